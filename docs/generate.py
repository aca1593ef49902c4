"""Writes the generated parts of the README: the settings table from the settings, the picture from the prod templates.

`make docs` runs it; a test fails when the README differs from what it would write.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import aws_cdk as cdk
from aws_cdk.assertions import Template

from app import build, cdk_context
from docs.picture import Templates, picture
from stacks.config import STAGES
from stacks.stages import settings

README = Path(__file__).parents[1] / "README.md"


def generated(readme: str, templates: Templates) -> str:
    """The README's text with its generated parts written anew. `templates` are the prod stage's, by stack id."""
    readme = _between(readme, "settings", "\n".join(settings_table()))
    return _between(readme, "picture", "\n".join(["```mermaid", *picture(templates), "```"]))


def settings_table() -> Iterator[str]:
    """One row a setting: its key, what it means, its value in each stage."""
    yield f"| setting | {' | '.join(STAGES)} | what it is |"
    yield f"|---|{'---|' * len(STAGES)}---|"
    for key, field in settings().items():
        values = [values.get(key, None if field.is_required() else field.default) for values in STAGES.values()]
        yield f"| `{key}` | {' | '.join(map(_shown, values))} | {field.description} |"


def _shown(value: object) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _between(text: str, name: str, content: str) -> str:
    parts = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    text, count = parts.subn(lambda match: f"{match[1]}{content}\n{match[2]}", text)
    if count != 1:
        raise ValueError(f"the README needs exactly one part '{name}', it has {count}")
    return text


def main() -> None:
    """Synthesize prod and write the README anew."""
    certificate = {"stage": "prod", "certificate_arn": "arn:aws:acm:eu-west-1:111122223333:certificate/readme"}
    app = build({**cdk_context(), **certificate, "aws:cdk:bundling-stacks": []})
    stacks = [stack for stack in app.node.children if isinstance(stack, cdk.Stack)]
    templates = {stack.node.id: Template.from_stack(stack).to_json() for stack in stacks}
    README.write_text(generated(README.read_text(), templates))


if __name__ == "__main__":
    main()
