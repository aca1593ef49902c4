"""The boundary that `cdk bootstrap --example-permissions-boundary` creates, as the CDK CLI ships it."""

from pathlib import Path
from typing import Any

import yaml

from audit.iam.resolved import ACCOUNT, PARTITION, REGION

NAME = f"cdk-hnb659fds-permissions-boundary-{ACCOUNT}-{REGION}"
_BOOTSTRAP = Path(__file__).parents[2].joinpath("node_modules/aws-cdk/lib/api/bootstrap/bootstrap-template.yaml")
_GIVEN = {
    "${AWS::AccountId}": ACCOUNT,
    "${AWS::Partition}": PARTITION,
    "${AWS::Region}": REGION,
    "${Qualifier}": "hnb659fds",
}


class _Loader(yaml.SafeLoader):
    """Reads what the template computes in short form as text: none of it is in the boundary."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, node: str(node.value))


def boundary() -> list[dict[str, Any]]:
    """Its statements, for the account and region of `audit.iam.resolved`."""
    document = yaml.load(_BOOTSTRAP.read_text(), _Loader)  # noqa: S506 - a SafeLoader
    policy = document["Resources"]["CdkBoostrapPermissionsBoundaryPolicy"]["Properties"]["PolicyDocument"]
    return [_resolved(statement) for statement in policy["Statement"]]


def _resolved(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_resolved, value))
    if isinstance(value, dict):
        return (
            _resolved(value["Fn::Sub"]) if "Fn::Sub" in value else {key: _resolved(item) for key, item in value.items()}
        )
    for name, given in _GIVEN.items():
        value = value.replace(name, given)
    return value
