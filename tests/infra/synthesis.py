"""A synthesized stage, for tests to read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

import app as cdk_app

STACKS = ("Network", "Data", "App")
SETTINGS = {
    "dev": {"web.allowed_cidrs": "203.0.113.0/24"},
    "prod": {"certificate_arn": "arn:aws:acm:us-east-1:111122223333:certificate/11111111-2222-3333-4444-555555555555"},
}

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

    def findings(self) -> list[tuple[str, str]]:
        """What AwsSolutions finds and nobody acknowledged: rule and construct path."""
        report = AwsSolutionsChecks(self.app).validate_scope(self.app)
        return [(v.rule_name, str(r.construct_path)) for v in report.violations for r in v.violating_resources]


def synthesize(stage: str, **settings: str) -> Stage:
    """A stage with `settings` (``cache__nodes`` for ``cache.nodes``) laid over what it needs to synthesize."""
    overrides = SETTINGS[stage] | {key.replace("__", "."): value for key, value in settings.items()}
    return synthesize_context({"stage": stage, **overrides})


def synthesize_context(context: Mapping[str, object]) -> Stage:
    """What the app makes of a context, without bundling."""
    app = cdk_app.build({**cdk_app.cdk_context(), "aws:cdk:bundling-stacks": [], **context})
    assembly = app.synth()
    templates = {name: assembly.get_stack_artifact(name).template for name in STACKS}
    return Stage(str(context["stage"]), app, templates)
