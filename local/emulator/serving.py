"""What stands between a request and the function: completes the stock handlers, which drop some properties."""

from typing import Any

from local.emulator.ministack import RESOURCE_HANDLERS, Created, Properties, alb, lambda_service
from local.emulator.stock import finish_with


def register() -> None:
    """Completes functions and target groups."""
    finish_with("AWS::Lambda::Function", _with_network_and_concurrency)
    finish_with("AWS::ElasticLoadBalancingV2::TargetGroup", _with_targets)
    for resource_type in ("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup"):
        RESOURCE_HANDLERS[resource_type] = _RECORDED


def _with_network_and_concurrency(name: str, attributes: dict[str, Any], properties: Properties) -> Created:
    function = lambda_service._functions[name]
    function["config"]["VpcConfig"] = lambda_service._vpc_config_with_id(properties.get("VpcConfig"))
    function["concurrency"] = properties.get("ReservedConcurrentExecutions")
    return name, attributes


def _with_targets(arn: str, attributes: dict[str, Any], properties: Properties) -> Created:
    alb._targets[arn] = [dict(target) for target in properties.get("Targets", [])]
    return arn, attributes


def _create(logical_id: str, _properties: Properties, stack_name: str) -> Created:
    return f"{stack_name}-{logical_id}", {}


def _update(physical_id: str, _old: Properties, _new: Properties, *_rest: str) -> Created:
    return physical_id, {}


# CodeDeploy itself is not here: CloudFormation moves the alias by itself.
_RECORDED = {"create": _create, "update": _update, "delete": lambda _physical_id, _properties: None}
