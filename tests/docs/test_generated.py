"""The generated parts of the pages, and the README's example, are those of the code."""

import re
from collections.abc import Callable

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template

from tests.infra.synthesis import Stage
from tools.generate_docs import ALARMS, README, SECURITY_HUB, alarms_page, generated, security_hub_page
from tools.picture import picture

PYTHON_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_generated_parts_are_those_of_the_code(prod: Stage) -> None:
    readme = README.read_text()
    assert readme == generated(readme, prod.templates), "run `make docs`"


def test_alarms_page_is_that_of_the_templates(prod: Stage) -> None:
    assert ALARMS.read_text() == alarms_page(prod.templates), "run `make docs`"


def test_security_hub_page_is_that_of_the_controls() -> None:
    assert SECURITY_HUB.read_text() == security_hub_page(), "run `make docs`"


def test_picture_has_the_engine_of_the_templates(mysql: Stage) -> None:
    lines = "\n".join(picture(mysql.templates))
    assert "RDS mysql 8.4." in lines
    assert "AppSG -->|3306| RDSSG" in lines
    assert "5432" not in lines


def test_example_adds_a_cache_to_an_own_stack() -> None:
    (example,) = (code for code in PYTHON_BLOCK.findall(README.read_text()) if "def add_cache" in code)
    names: dict[str, Callable[..., object]] = {}
    exec(example, names)  # noqa: S102 - the README's own text
    stack = cdk.Stack(cdk.App(), "Own")
    isolated = ec2.SubnetType.PRIVATE_ISOLATED
    subnets = [ec2.SubnetConfiguration(name="Isolated", subnet_type=isolated)]
    vpc = ec2.Vpc(stack, "Vpc", subnet_configuration=subnets)
    service = lambda_.Function(
        stack,
        "Service",
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=isolated),
        code=lambda_.Code.from_inline("def handler(event, context): ..."),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_14,
    )

    names["add_cache"](stack, vpc, service)

    Template.from_stack(stack).has_resource_properties(
        "AWS::ElastiCache::ReplicationGroup", {"Engine": "valkey", "MultiAZEnabled": True}
    )
