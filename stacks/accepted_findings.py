"""What was accepted of the rule packs: audit/accepted_findings.yaml is the one source, for code and auditors alike.

Constructs acknowledge nothing themselves. Whoever uses one in another app decides there what to accept, and finds what
was decided here, and why, in the register.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, cast

import aws_cdk as cdk
import yaml
from constructs import IConstruct
from pydantic import BaseModel, ConfigDict, Field

from stacks.settings import StageConfig, shown, values

REGISTER = Path(__file__).parents[1] / "audit" / "accepted_findings.yaml"
_CFN_LINT_RULE = re.compile(r"[EWI]\d{4}")

Prose = Annotated[str, Field(min_length=30)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Accepted(_Entry):
    """Findings that one decision accepts: each of the rules on each of the constructs.

    :param rules: ids as the tool prints them
    :param constructs: paths of resources in the construct tree; ``*`` stands for a part of an id
    :param stages: where they are accepted. Default: in every stage
    :param settings: they are accepted only while each of these settings has one of the values given, in which ``*``
        stands for any text. Default: always
    :param unless: they are not accepted while one of these settings has one of the values given. Default: never
    """

    rules: tuple[str, ...] = Field(min_length=1)
    constructs: tuple[str, ...] = Field(min_length=1)
    stages: tuple[Literal["dev", "prod"], ...] = ("dev", "prod")
    settings: Mapping[str, tuple[str, ...]] = {}
    unless: Mapping[str, tuple[str, ...]] = {}

    def holds(self, config: StageConfig) -> bool:
        """Whether the findings are accepted in a stage with these settings."""
        texts = {key: shown(value) for key, value in values(config).items()}
        return (
            config.stage in self.stages
            and all(_is_one_of(texts[key], allowed) for key, allowed in self.settings.items())
            and not any(_is_one_of(texts[key], refused) for key, refused in self.unless.items())
        )


def _is_one_of(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


class Decision(_Entry):
    """One decision of a reviewer.

    :param owner: the role that answers for it, and decides anew
    :param reason: why the rule does not fit
    :param compensation: what protects instead
    :param review: when to decide anew; a test fails from that day on
    """

    id: str
    owner: Literal["platform engineer", "application engineer", "security officer"]
    reason: Prose
    compensation: Prose
    review: date
    accepts: tuple[Accepted, ...] = Field(min_length=1)


def decisions(register: Path = REGISTER) -> tuple[Decision, ...]:
    """Every decision of the register.

    :raises pydantic.ValidationError: for an entry that lacks something or has something unknown
    """
    return tuple(Decision.model_validate(entry) for entry in yaml.safe_load(register.read_text()))


def acknowledge(app: cdk.App, config: StageConfig) -> None:
    """Tell every tool what the register accepts for a stage, on the resources themselves."""
    for decision in decisions():
        for accepted in decision.accepts:
            for path in accepted.constructs if accepted.holds(config) else ():
                for construct in matching(app, path):
                    _acknowledge(construct, accepted.rules, decision.reason)


def matching(root: IConstruct, path: str) -> Iterator[IConstruct]:
    """The constructs below `root` at a path, in which ``*`` stands for a part of an id."""
    name, _, rest = path.partition("/")
    for child in root.node.children:
        if fnmatchcase(child.node.id, name):
            yield from matching(child, rest) if rest else [child]


def _acknowledge(construct: IConstruct, rules: tuple[str, ...], reason: str) -> None:
    if not cdk.CfnResource.is_cfn_resource(construct):
        raise TypeError(f"audit/accepted_findings.yaml: {construct.node.path} is no resource")
    resource = cast(cdk.CfnResource, construct)
    for rule in rules:
        if rule.startswith("CKV"):
            skipped = (resource.get_metadata("checkov") or {"skip": []})["skip"]
            resource.add_metadata("checkov", {"skip": [*skipped, {"id": rule, "comment": reason}]})
        elif _CFN_LINT_RULE.fullmatch(rule):
            resource.add_metadata("cfn-lint", {"config": {"ignore_checks": [rule]}})
        elif not rule.startswith("SecurityHub-"):  # Security Hub reads no template; audit/security_hub.py does
            cdk.Validations.of(resource).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))
