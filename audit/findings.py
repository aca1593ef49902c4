"""What the rule packs found, set against what the register of exceptions accepts."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from stacks.accepted_findings import Decision
from stacks.settings import StageConfig

Template = dict[str, Any]


@dataclass(frozen=True, order=True)
class Finding:
    """One rule that one resource breaks. `construct` is the resource's path in the construct tree."""

    rule: str
    construct: str


def accepted(finding: Finding, config: StageConfig, decisions: Sequence[Decision]) -> bool:
    """Whether a decision accepts the finding in a stage with these settings."""
    return any(
        any(_covers(rule, path, finding) for rule in entry.rules for path in entry.constructs)
        for decision in decisions
        for entry in decision.accepts
        if entry.holds(config)
    )


def unused(decisions: Sequence[Decision], config: StageConfig, found: Collection[Finding]) -> Iterator[Finding]:
    """What the register accepts in a stage though nothing finds it: rule and construct as they stand there."""
    for entry in (entry for decision in decisions for entry in decision.accepts if entry.holds(config)):
        for rule in entry.rules:
            for path in entry.constructs:
                if not any(_covers(rule, path, finding) for finding in found):
                    yield Finding(rule, path)


def construct_of(template: Template, logical_id: str) -> str:
    """The path of a resource in the construct tree."""
    path: str = template["Resources"][logical_id]["Metadata"]["aws:cdk:path"]
    return path


def _covers(rule: str, path: str, finding: Finding) -> bool:
    # An acknowledgement of CDK's validator carries the validator's name; its report does not.
    return rule.removeprefix("CloudFormation-Validate::") == finding.rule and fnmatchcase(finding.construct, path)
