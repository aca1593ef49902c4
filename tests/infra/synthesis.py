"""A synthesized stage, for tests to read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import aws_cdk as cdk
from constructs import IConstruct

import app as cdk_app
from audit import synthesis as audited
from audit.findings import Finding

STACKS = audited.STACKS
SETTINGS = audited.NEEDED

Template = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One synthesized stage."""

    name: str
    app: cdk.App
    templates: dict[str, Template]

    def resources(self, resource_type: str) -> dict[str, dict[str, Any]]:
        """All resources of a type in all three stacks, by logical id."""
        return {
            logical_id: resource
            for template in self.templates.values()
            for logical_id, resource in template["Resources"].items()
            if resource["Type"] == resource_type
        }

    def properties(self, resource_type: str, prefix: str = "") -> dict[str, Any]:
        """The properties of the only resource of that type whose logical id begins with `prefix`."""
        (found,) = [r for i, r in self.resources(resource_type).items() if i.startswith(prefix)]
        properties: dict[str, Any] = found["Properties"]
        return properties

    def findings(self) -> list[Finding]:
        """What the packs of cdk-nag find and the register does not accept."""
        return nag_findings(self.app)


@cache
def synthesize(stage: str, **settings: str) -> Stage:
    """A stage with `settings` (``cache__nodes`` for ``cache.nodes``) laid over what it needs to synthesize.

    The same settings are synthesized once in a process: change a copy of the templates, never the templates.
    """
    overrides = SETTINGS[stage] | {key.replace("__", "."): value for key, value in settings.items()}
    return synthesize_context({"stage": stage, **overrides})


def synthesize_context(context: Mapping[str, object]) -> Stage:
    """What the app makes of a context, without bundling."""
    app = build(context)
    assembly = app.synth()
    templates = {name: assembly.get_stack_artifact(name).template for name in STACKS}
    return Stage(str(context["stage"]), app, templates)


def build(context: Mapping[str, object], *, acknowledged: bool = True) -> cdk.App:
    """The app for a context, not yet synthesized."""
    return cdk_app.build({**cdk_app.cdk_context(), "aws:cdk:bundling-stacks": [], **context}, acknowledged=acknowledged)


def warnings(construct: IConstruct) -> list[str]:
    """What the construct warns of, without a synthesis."""
    return [str(entry.data) for entry in construct.node.metadata if entry.type == "aws:cdk:warning"]


def nag_findings(app: cdk.App) -> list[Finding]:
    """What the packs of cdk-nag find in the constructs, without a synthesis."""
    return [
        Finding(violation.rule_name, str(resource.construct_path))
        for pack in cdk_app.NAG_PACKS
        for violation in pack(app).validate_scope(app).violations
        for resource in violation.violating_resources
    ]
