"""What a stage costs: every resource has a price, costs by its use, or is free, and the README says the sum."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import tools.cost
from stacks.app_stack import WEB_FUNCTION
from tests.infra.synthesis import Stage
from tools.cost import PRICED, PRICES, USED, Line, UnknownPriceError, larger_databases, lines, resources, total

README = Path(__file__).parents[2] / "README.md"
FREE = (
    r"AWS::(IAM|CDK|CloudFormation|RDS::(DBSubnetGroup|DBParameterGroup|OptionGroup|EventSubscription)|"
    r"Events|WAFv2::(WebACLAssociation|LoggingConfiguration)|Backup::Backup(Plan|Selection)|KMS::Alias|"
    r"ElastiCache::(ParameterGroup|SubnetGroup|User|UserGroup)|ElasticLoadBalancingV2::(Listener|TargetGroup)|"
    r"EC2::(VPC|Subnet|Route|RouteTable|SubnetRouteTableAssociation|InternetGateway|VPCGatewayAttachment|SecurityGroup"
    r"|SecurityGroupIngress|SecurityGroupEgress)|Lambda::(Permission|EventInvokeConfig|Alias|Version|LayerVersion)|"
    r"Logs::(MetricFilter|ResourcePolicy)|S3::BucketPolicy|SNS::TopicPolicy|SecretsManager::(SecretTargetAttachment"
    r"|RotationSchedule|ResourcePolicy)|CodeDeploy)(::|$)|Custom::"
)
WEB = {"Description": WEB_FUNCTION, "MemorySize": 1024, "Architectures": ["arm64"]}
CENTS = {"AWS::S3::Bucket", "AWS::SNS::Topic"}


def test_every_resource_has_a_price_or_costs_nothing(any_stage: Stage) -> None:
    kinds = {kind for kind, _ in resources(any_stage.templates.values())}
    assert [kind for kind in kinds - PRICED.keys() - USED - CENTS if not re.match(FREE, kind)] == []


def test_nodes_zones_and_standbys_count() -> None:
    cache = {"CacheNodeType": "cache.t4g.micro", "Engine": "valkey", "NumCacheClusters": 3}
    database = {"DBInstanceClass": "db.t4g.micro", "MultiAZ": True, "AllocatedStorage": "20"}
    endpoint = {"VpcEndpointType": "Interface", "SubnetIds": ["a", "b"]}
    found: list[tuple[str, dict[str, Any]]] = [
        ("AWS::ElastiCache::ReplicationGroup", cache),
        ("AWS::RDS::DBInstance", database),
        ("AWS::EC2::VPCEndpoint", endpoint),
        ("AWS::Lambda::Function", WEB),
    ]
    assert {
        Line("cache node cache.t4g.micro (valkey)", 3, 0.0128 * 730),
        Line("database db.t4g.micro and its standby", 2, 0.016 * 730),
        Line("database storage, GB", 40, 0.115),
        Line("interface endpoint, a zone", 2, 0.01 * 730),
    } < set(lines("dev", found))
    assert dict(larger_databases(found)) == pytest.approx(
        {"db.t4g.small": 2 * 0.016 * 730, "db.t4g.medium": 2 * 0.049 * 730}
    )


def test_memory_architecture_and_tracing_of_the_web_function_count() -> None:
    small, x86 = {**WEB, "MemorySize": 128}, {**WEB, "Architectures": ["x86_64"]}
    traced = {**WEB, "TracingConfig": {"Mode": "Active"}}
    migration = {"MemorySize": 512, "Architectures": ["arm64"]}
    dollars = [
        total(lines("prod", [("AWS::Lambda::Function", web), ("AWS::Lambda::Function", migration)]))
        for web in (small, WEB, x86, traced)
    ]
    assert dollars[0] < dollars[1] < dollars[2]
    assert dollars[3] - dollars[1] == pytest.approx((1 + 99 / 20) * 3600 * 730 / 1e6 * 5)


def test_every_price_is_used() -> None:
    code = inspect.getsource(tools.cost)
    priced = [*PRICES["hourly"], *PRICES["monthly"], *PRICES["gigabyte"], *PRICES["million"], *PRICES["usage"]["prod"]]
    assert [name for name in priced if f'"{name}"' not in code] == []


def test_a_class_without_a_price_is_named() -> None:
    cache = {"CacheNodeType": "cache.x9.huge", "Engine": "valkey", "NumCacheClusters": 3}
    with pytest.raises(UnknownPriceError, match=r"no price of cache\.x9\.huge: add it"):
        lines("dev", [("AWS::ElastiCache::ReplicationGroup", cache)])


def test_the_readme_says_what_the_stages_cost(stage: Stage) -> None:
    dollars = total(lines(stage.name, resources(stage.templates.values())))
    assert f"`{stage.name}` about ${round(dollars, -1):,.0f}" in README.read_text()
