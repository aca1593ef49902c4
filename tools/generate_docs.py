"""Writes the generated parts of the README: the settings table from the settings, the picture from the prod templates.

It also writes docs/security-hub.md and docs/alarms.md. `make docs` runs it; a test fails when a page differs from what
it would write.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from app import build, cdk_context
from audit.security_hub import CONTROLS, NOT_APPLICABLE
from stacks.accepted_findings import decisions
from stacks.config import STAGES
from stacks.stages import settings
from tools.picture import Templates, picture

README = Path(__file__).parents[1] / "README.md"
SECURITY_HUB = README.parent / "docs" / "security-hub.md"
ALARMS = README.parent / "docs" / "alarms.md"


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


def security_hub_page() -> str:
    """Every control of Security Hub that was looked at, and how the prod stage stands to it."""
    registered = {rule: d.id for d in decisions() for entry in d.accepts for rule in entry.rules}
    rows = [
        (
            control.id,
            control.asks,
            f"exception: {name}" if (name := registered.get(f"SecurityHub-{control.id}")) else "passes",
        )
        for control in CONTROLS
    ]
    rows += [(control, "", f"not applicable: {reason}") for control, reason in NOT_APPLICABLE.items()]
    return "\n".join(
        [_SECURITY_HUB_HEAD, *(f"| {control} | {asks} | {stands} |" for control, asks, stands in rows), ""]
    )


def alarms_page(templates: Templates) -> str:
    """Every alarm of the prod stage: one row for all nodes of the cache."""
    resources = [resource for template in templates.values() for resource in template["Resources"].values()]
    alarms = [resource for resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm"]
    return "\n".join([_ALARMS_HEAD, *dict.fromkeys(_alarm_row(alarm["Properties"]) for alarm in alarms), ""])


def _alarm_row(alarm: Mapping[str, Any]) -> str:
    name, value, period = _measured(alarm)
    sign = ">" if alarm["ComparisonOperator"] == "GreaterThanThreshold" else "<"
    in_gib = alarm.get("MetricName") in {"FreeableMemory", "FreeStorageSpace"}
    threshold = f"{alarm['Threshold'] / 2**30:g} GiB" if in_gib else f"{alarm['Threshold']:,}"
    silence = ", or silence" if alarm["TreatMissingData"] == "breaching" else ""
    of = f"{alarm['DatapointsToAlarm']} of {alarm['EvaluationPeriods']} at {period // 60} min"
    return f"| `{name}` | {value} {sign} {threshold}{silence} | {of} | {alarm['AlarmDescription']} |"


def _measured(alarm: Mapping[str, Any]) -> tuple[str, str, int]:
    if "Metrics" not in alarm:
        value = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        return f"{alarm['Namespace']} {alarm['MetricName']}", value, alarm["Period"]
    (expression,) = [part for part in alarm["Metrics"] if "Expression" in part]
    stats = [part["MetricStat"] for part in alarm["Metrics"] if "MetricStat" in part]
    names = ", ".join(stat["Metric"]["MetricName"] for stat in stats)
    return f"{stats[0]['Metric']['Namespace']} {names}", f"`{expression['Expression']}`", stats[0]["Period"]


_ALARMS_HEAD = """# What rings, and what it means

Written by `make docs` from the prod templates. All alarms tell one topic when they begin and when they are over, and
RDS tells it of failover, maintenance, failures and changes. Nobody hears it before somebody subscribes to the output
`AlarmTopicArn` of the network stack, which says what to put after `--topic-arn`:

```bash
aws sns subscribe --protocol email --notification-endpoint you@example.com --topic-arn arn:aws:sns:...
```

The cache's alarms exist for every node. Limits of memory, connections and load follow the instance class.

| metric | rings when | for | what it means |
|---|---|---|---|"""

_SECURITY_HUB_HEAD = """# AWS Foundational Security Best Practices

Written by `make docs` from [audit/security_hub.py](../audit/security_hub.py), which a test runs against the prod
templates, and from the [register of exceptions](../audit/accepted_findings.yaml).

| control | asks for | prod |
|---|---|---|"""


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
    """Synthesize prod and write the README and the page about Security Hub anew."""
    certificate = {"stage": "prod", "certificate_arn": "arn:aws:acm:eu-west-1:111122223333:certificate/readme"}
    app = build({**cdk_context(), **certificate, "aws:cdk:bundling-stacks": []})
    stacks = [stack for stack in app.node.children if isinstance(stack, cdk.Stack)]
    templates = {stack.node.id: Template.from_stack(stack).to_json() for stack in stacks}
    SECURITY_HUB.write_text(security_hub_page())
    ALARMS.write_text(alarms_page(templates))
    README.write_text(generated(README.read_text(), templates))


if __name__ == "__main__":
    main()
