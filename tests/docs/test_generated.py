"""What the docs take from the code is what the code says, and their examples run."""

import re
from collections.abc import Callable

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template

from audit.iam import deployment
from stacks.settings import settings
from storefront.security_log import Kind
from tests.infra.synthesis import Stage
from tools.abuse_page import FILES, marked
from tools.generate_docs import (
    ABUSE,
    ALARMS,
    ARCHITECTURE,
    CONSTRUCTS,
    SECURITY_HUB,
    SETTINGS,
    alarms_page,
    security_hub_page,
    with_attacks,
    with_constructs,
    with_picture,
)
from tools.picture import picture
from tools.settings_page import GROUPS, settings_page

PYTHON_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_picture_is_that_of_the_templates(prod: Stage) -> None:
    page = ARCHITECTURE.read_text()
    assert page == with_picture(page, prod.templates), "run `make docs`"


def test_settings_page_is_that_of_the_settings() -> None:
    assert SETTINGS.read_text() == settings_page(), "run `make docs`"


def test_every_setting_has_its_row_on_the_page() -> None:
    assert re.findall(r"^\| `([a-z_.]+)` \|", settings_page(), re.MULTILINE) == sorted(
        settings(), key=lambda key: list(GROUPS).index(key.rpartition(".")[0])
    )


def test_tables_of_constructs_are_those_of_the_docstrings() -> None:
    page = CONSTRUCTS.read_text()
    assert page == with_constructs(page), "run `make docs`"


def test_attacks_on_the_page_are_those_that_tests_try() -> None:
    page = ABUSE.read_text()
    assert page == with_attacks(page), "run `make docs`"
    assert set(FILES) == marked()


def test_alarms_page_is_that_of_the_templates(prod: Stage) -> None:
    assert ALARMS.read_text() == alarms_page(prod.templates), "run `make docs`"


def test_alarms_page_names_every_event_of_the_security_log() -> None:
    assert [kind for kind in Kind if f"`{kind}`" not in ALARMS.read_text()] == []


def test_security_hub_page_is_that_of_the_controls() -> None:
    assert SECURITY_HUB.read_text() == security_hub_page(), "run `make docs`"


def test_deployment_policies_are_those_of_the_templates() -> None:
    assert deployment.TEMPLATE.read_text() == deployment.text(), "run `make docs`"


def test_picture_has_the_engine_of_the_templates(mysql: Stage) -> None:
    lines = "\n".join(picture(mysql.templates))
    assert "RDS mysql 8.4." in lines
    assert "AppSG -->|3306| RDSSG" in lines
    assert "5432" not in lines


def test_example_adds_a_cache_to_an_own_stack() -> None:
    (example,) = (code for code in PYTHON_BLOCK.findall(CONSTRUCTS.read_text()) if "def add_cache" in code)
    names: dict[str, Callable[..., object]] = {}
    exec(example, names)  # noqa: S102 - the page's own text
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
