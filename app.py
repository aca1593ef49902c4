"""The CDK app: the only reader of CDK context. It picks the stage, builds its stacks and attaches the rule pack."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from constructs_lib.errors import PropError
from stacks.app_stack import AppStack
from stacks.data_stack import DataStack
from stacks.network_stack import NetworkStack
from stacks.stages import DEFAULT_STAGE, ConfigError, load

CDK_JSON = Path(__file__).with_name("cdk.json")


def build(context: Mapping[str, object] | None = None) -> cdk.App:
    """The app with the three stacks of one stage, not yet synthesized.

    :param context: laid over what the CDK CLI gives. Default: nothing
    :raises ConfigError: for a stage or setting that is not allowed
    :raises PropError: for a value that a construct refuses
    """
    app = cdk.App(context=dict(context or {}))
    overrides = _settings(app.node.get_all_context())
    config = load(overrides.pop("stage", DEFAULT_STAGE), overrides)
    env = cdk.Environment(account=config.account, region=config.region)
    network = NetworkStack(app, "Network", config=config, env=env)
    data = DataStack(app, "Data", config=config, env=env, network=network)
    AppStack(app, "App", config=config, env=env, network=network, data=data)
    cdk.Tags.of(app).add("project", "cache-aside")
    cdk.Tags.of(app).add("stage", config.stage)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app, write_suppressions_to_cloud_formation=True))
    return app


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
