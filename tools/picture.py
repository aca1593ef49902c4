"""The architecture as a Mermaid picture of synthesized templates: security groups, their rules, and who wears them."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Resource = Mapping[str, Any]
Templates = Mapping[str, Mapping[str, Any]]
TIERS = {"Public": "public subnets", "App": "private app subnets", "Data": "isolated data subnets"}
# Resource type -> the tier it is drawn in, where it names its security groups, how it is labelled.
WEARERS: Mapping[str, tuple[str, Callable[[Resource], object], Callable[[Resource], str]]] = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        "Public",
        lambda balancer: balancer["SecurityGroups"],
        lambda _: "Application Load Balancer",
    ),
    "AWS::Lambda::Function": (
        "App",
        lambda function: function.get("VpcConfig"),
        lambda function: f"Lambda: {function['Description']}",
    ),
    "AWS::EC2::VPCEndpoint": (
        "App",
        lambda endpoint: endpoint["SecurityGroupIds"],
        lambda endpoint: f"interface endpoint: {re.findall('[a-z-]+', str(endpoint['ServiceName']))[-1]}",
    ),
    "AWS::ElastiCache::ReplicationGroup": (
        "Data",
        lambda cache: cache["SecurityGroupIds"],
        lambda cache: "<br/>".join(
            [
                f"ElastiCache {cache['Engine']} {cache['EngineVersion']}",
                f"primary, {cache['NumCacheClusters'] - 1} replicas",
            ]
        ),
    ),
    "AWS::RDS::DBInstance": (
        "Data",
        lambda database: database["VPCSecurityGroups"],
        lambda database: "<br/>".join(
            [
                f"RDS {database['Engine']} {database['EngineVersion']}",
                "primary, standby" if database["MultiAZ"] else "primary",
            ]
        ),
    ),
}


def picture(templates: Templates) -> Iterator[str]:
    """Lines of a Mermaid flowchart: one node a security group with what wears it, one arrow an ingress rule."""
    groups = dict(_resources(templates, "AWS::EC2::SecurityGroup"))
    wearers = {group: list(_wearers(templates, group)) for group in groups}
    yield "flowchart LR"
    yield '    clients(["clients"])'
    for tier, title in TIERS.items():
        yield f'    subgraph {tier}["{title}"]'
        for group in (group for group, worn in wearers.items() if worn and worn[0][0] == tier):
            name = _name(group)
            yield f'        {name}["{"<br/>".join([*(label for _, label in wearers[group]), f"<i>{name}</i>"])}"]'
        yield "    end"
    for source, target, port in _rules(templates, groups):
        yield f"    {source} -->|{port}| {target}"
    if any(
        group["TargetType"] == "lambda"
        for _, group in _resources(templates, "AWS::ElasticLoadBalancingV2::TargetGroup")
    ):
        yield "    LoadBalancerSG -.->|invokes through the Lambda API| AppSG"


def _rules(templates: Templates, groups: Mapping[str, Resource]) -> Iterator[tuple[str, str, int]]:
    for group, properties in groups.items():
        for rule in properties.get("SecurityGroupIngress", []):
            yield "clients", _name(group), rule["FromPort"]
    for _, rule in _resources(templates, "AWS::EC2::SecurityGroupIngress"):
        source, target = (rule[end]["Fn::GetAtt"][0] for end in ("SourceSecurityGroupId", "GroupId"))
        yield _name(source), _name(target), rule["FromPort"]


def _wearers(templates: Templates, group: str) -> Iterator[tuple[str, str]]:
    """The tier and the label of every resource that wears the group."""
    for kind, (tier, worn, label) in WEARERS.items():
        for _, resource in _resources(templates, kind):
            # An export's name carries the logical id of what it exports: one test serves references across stacks too.
            if group in str(worn(resource)):
                yield tier, label(resource)


def _resources(templates: Templates, kind: str) -> Iterator[tuple[str, Resource]]:
    for template in templates.values():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] == kind:
                yield logical_id, resource["Properties"]


def _name(group: str) -> str:
    # CDK makes a logical id of the construct path and eight hexadecimal digits.
    return group.removeprefix("SecurityGroups")[:-8]
