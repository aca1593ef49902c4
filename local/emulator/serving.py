"""What stands between a request and the function: completes the stock handlers, which drop some properties."""

from typing import Any

from local.emulator.ministack import Created, Properties, alb, lambda_service
from local.emulator.stock import finish_with


def register() -> None:
    """Completes functions and target groups."""
    finish_with("AWS::Lambda::Function", _with_network_and_concurrency)
    finish_with("AWS::ElasticLoadBalancingV2::TargetGroup", _with_targets)


def _with_network_and_concurrency(name: str, attributes: dict[str, Any], properties: Properties) -> Created:
    function = lambda_service._functions[name]
    function["config"]["VpcConfig"] = lambda_service._vpc_config_with_id(properties.get("VpcConfig"))
    function["concurrency"] = properties.get("ReservedConcurrentExecutions")
    return name, attributes


def _with_targets(arn: str, attributes: dict[str, Any], properties: Properties) -> Created:
    alb._targets[arn] = [dict(target) for target in properties.get("Targets", [])]
    return arn, attributes
