"""The CDK app: the only reader of CDK context. It picks the stage, builds its stacks and attaches the rule pack."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import (
    AwsSolutionsChecks,
    HIPAASecurityChecks,
    NIST80053R5Checks,
    PCIDSS321Checks,
    ServerlessChecks,
    WriteNagSuppressionsToCloudFormationAspect,
)

from constructs_lib import PropError
from stacks.accepted_findings import acknowledge
from stacks.app_stack import AppStack
from stacks.data_stack import DataStack
from stacks.network_stack import NetworkStack
from stacks.settings import DEFAULT_STAGE, ConfigError, load

ROOT = Path(__file__).parent
CDK_JSON = ROOT / "cdk.json"
OWN_RULES = ROOT / "stacks" / "rules.guard"
PERMISSIONS_BOUNDARY = "@aws-cdk/core:permissionsBoundary"
QUALIFIER = "@aws-cdk/core:bootstrapQualifier"
NAG_PACKS = (AwsSolutionsChecks, NIST80053R5Checks, HIPAASecurityChecks, PCIDSS321Checks, ServerlessChecks)


def build(
    context: Mapping[str, object] | None = None, *, outdir: str | None = None, acknowledged: bool = True
) -> cdk.App:
    """The app with the three stacks of one stage, not yet synthesized.

    :param context: laid over what the CDK CLI gives. Default: nothing
    :param outdir: where to synthesize to. Default: where the CDK CLI says, else a temporary directory
    :param acknowledged: accept what the register of exceptions accepts. Default: True; False shows an audit everything
    :raises ConfigError: for a stage or setting that is not allowed
    :raises PropError: for a value that a construct refuses
    """
    app = cdk.App(context=dict(context or {}), outdir=outdir)
    overrides = _settings(app.node.get_all_context())
    config = load(overrides.pop("stage", DEFAULT_STAGE), overrides)
    env = cdk.Environment(account=config.account, region=config.region)
    if config.permissions_boundary:
        app.node.set_context(PERMISSIONS_BOUNDARY, {"name": config.permissions_boundary})
    if config.bootstrap_qualifier:
        app.node.set_context(QUALIFIER, config.bootstrap_qualifier)
    network = NetworkStack(app, "Network", config=config, env=env)
    data = DataStack(app, "Data", config=config, env=env, network=network)
    AppStack(app, "App", config=config, env=env, network=network, data=data)
    cdk.Tags.of(app).add("project", "cache-aside")
    cdk.Tags.of(app).add("stage", config.stage)
    if config.instance:
        cdk.Tags.of(app).add("instance", config.instance)
    _attach_rules(app)
    if acknowledged:
        acknowledge(app, config)
    return app


def _attach_rules(app: cdk.App) -> None:
    cdk.Validations.of(app).add_plugins(*(pack(app) for pack in NAG_PACKS))
    cdk.Aspects.of(app).add(WriteNagSuppressionsToCloudFormationAspect())
    if os.environ.get("CDK_VALIDATION") != "false":  # CDK's own switch; making the validator takes a second
        cdk.Validations.of(app).add_plugins(validator())


def validator() -> cdk.CloudFormationValidatePlugin:
    """CDK's validator with its own rules and with ours."""
    own_rules = cdk.ValidationRuleSource(name="cache-aside", content=OWN_RULES.read_text())
    return cdk.CloudFormationValidatePlugin(guard_rules=[own_rules])


def cdk_context() -> dict[str, object]:
    """What cdk.json sets: feature flags, which are CDK's and never settings."""
    context: dict[str, object] = json.loads(CDK_JSON.read_text())["context"]
    return context


def _settings(context: Mapping[str, object]) -> dict[str, str]:
    flags = cdk_context()
    return {k: str(v) for k, v in context.items() if ":" not in k and not k.startswith("@") and k not in flags}


def main() -> None:
    """Synthesize, or print one clear error."""
    try:
        app = build()
    except (ConfigError, PropError) as error:
        sys.exit(f"error: {error}")
    app.synth()


if __name__ == "__main__":
    main()
