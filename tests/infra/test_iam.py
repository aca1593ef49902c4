"""What IAM decides, by simulation: the recorded calls over the synthesized policies, and the rights to deploy."""

import copy
import json
from typing import Any

import pytest

from audit.iam.boundary import boundary
from audit.iam.deployment import MOST_CHARACTERS, needed, resource_types, template
from audit.iam.policies import Policies
from audit.iam.report import Simulation
from audit.iam.requests import NoWayError, Request
from audit.iam.resolved import ACCOUNT, arn
from audit.iam.resolved import Stage as Resolved
from audit.iam.simulator import Answer, simulate
from tests.infra.synthesis import Stage

POLICY = "ServiceFunctionRolePolicy"


@pytest.mark.parametrize("name", ["dev", "prod", "users"])
def test_every_call_is_allowed_by_statements_without_which_it_is_refused(
    name: str, request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue(name)
    found = Simulation(stage.templates)
    assert len(found.requests) > 100
    assert list(found.problems()) == []


def test_every_call_passes_the_boundary_that_cdk_bootstraps(dev: Stage) -> None:
    assert list(Simulation(dev.templates, boundary()).problems()) == []


def test_table_names_the_statements_that_decide(dev: Stage) -> None:
    lines = list(Simulation(dev.templates).table())
    after = lines[lines.index("storefront.lambda_handler.handler") :]
    (login,) = (line for line in after[:4] if "rds-db:connect" in line)
    assert login.split()[:3] == ["rds-db:connect", "allowed", "without"]
    assert f"{POLICY}[" in login
    assert login.endswith(": refused")


def test_missing_rights_and_rights_that_nobody_uses_are_problems(dev: Stage) -> None:
    templates = copy.deepcopy(dev.templates)
    (policy,) = (r for i, r in templates["App"]["Resources"].items() if i.startswith(POLICY))
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    statements[:] = [s for s in statements if "rds-db:connect" not in str(s["Action"])]
    statements.append({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    missing, unused = Simulation(templates).problems()
    assert "rds-db:connect on " in missing
    assert missing.endswith("by storefront.lambda_handler.handler: ImplicitlyDenied, not Allowed")
    assert unused.startswith(f"nobody uses s3:GetObject of {POLICY}")


def test_function_of_which_nobody_knows_what_it_calls_is_refused(dev: Stage) -> None:
    templates = copy.deepcopy(dev.templates)
    for resource in templates["App"]["Resources"].values():
        if resource["Properties"].get("Handler") == "storefront.lambda_handler.handler":
            resource["Properties"]["Handler"] = "storefront.other.handler"
    with pytest.raises(NoWayError, match=r"storefront\.other\.handler"):
        Simulation(templates)


def test_call_to_a_service_without_an_endpoint_is_refused(prod: Stage) -> None:
    templates = copy.deepcopy(prod.templates)
    network = templates["Network"]["Resources"]
    del network[next(i for i in network if i.startswith("NetworkElastiCacheApi"))]
    with pytest.raises(NoWayError, match="elasticache:DescribeReplicationGroups, and no endpoint leads there"):
        Simulation(templates)


def test_deployment_policies_know_every_type_that_the_stages_have(prod: Stage, mysql: Stage, users: Stage) -> None:
    stages = (prod, mysql, users)
    types = {r["Type"] for s in stages for t in s.templates.values() for r in t["Resources"].values()}
    assert {t for t in types if not t.startswith("Custom::")} <= resource_types()


class Deployer:
    """CloudFormation's role with the generated policies."""

    def __init__(self) -> None:
        resources = json.loads(json.dumps(template()).replace("${NamePrefix}", "cache-aside"))["Resources"]
        stage = Resolved({"Deployment": {"Resources": resources}})
        self.policies = Policies(stage)

    def answers(self, *calls: tuple[str, str] | tuple[str, str, dict[str, str]]) -> list[Answer]:
        return simulate(
            self.policies,
            [
                Request(
                    who="CloudFormation",
                    principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/cdk-hnb659fds-cfn-exec-role/AWSCloudFormation",
                    action=action,
                    resource=resource,
                    context=dict(*context),
                    identity=tuple(name for name in self.policies.statements),
                )
                for action, resource, *context in calls
            ],
        )


OURS, THEIRS = arn("iam", "role/cache-aside-dev-app-ServiceFunctionRole"), arn("iam", "role/Admin")
SECRET = arn("secretsmanager", "secret:token-AbCdEf")
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def test_deployer_may_do_to_what_is_ours_what_the_handlers_need() -> None:
    assert {
        answer.result
        for answer in Deployer().answers(
            ("iam:CreateRole", OURS),
            ("iam:AttachRolePolicy", OURS, {"iam:PolicyARN": arn("iam", "policy/cache-aside-dev-app-Policy")}),
            ("iam:PassRole", OURS, {"iam:PassedToService": "lambda.amazonaws.com"}),
            ("iam:CreatePolicy", arn("iam", "policy/cache-aside-dev-app-Policy")),
            ("lambda:CreateFunction", arn("lambda", "function:cache-aside-dev-app-ServiceFunction")),
            ("lambda:InvokeFunction", arn("lambda", "function:cache-aside-dev-app-SchemaMigrationProvider")),
            ("s3:GetObject", f"arn:aws:s3:::cdk-hnb659fds-assets-{ACCOUNT}-eu-west-1/code.zip"),
            (
                "secretsmanager:GetSecretValue",
                SECRET,
                {"aws:ResourceTag/project": "cache-aside"},
            ),
        )
    } == {"Allowed"}


def test_deployer_may_not_raise_its_own_rights_or_touch_what_is_not_ours() -> None:
    assert {
        answer.result
        for answer in Deployer().answers(
            ("iam:CreateRole", THEIRS),
            ("iam:AttachRolePolicy", OURS, {"iam:PolicyARN": ADMINISTRATOR}),
            ("iam:AttachRolePolicy", THEIRS, {"iam:PolicyARN": ADMINISTRATOR}),
            ("iam:PassRole", THEIRS, {"iam:PassedToService": "lambda.amazonaws.com"}),
            ("iam:PassRole", OURS, {"iam:PassedToService": "ec2.amazonaws.com"}),
            ("iam:CreatePolicyVersion", arn("iam", "policy/deploy-cache-aside-1")),
            ("iam:CreateUser", arn("iam", "user/me")),
            ("lambda:UpdateFunctionCode", arn("lambda", "function:payroll")),
            ("s3:GetObject", "arn:aws:s3:::payroll/salaries.csv"),
            ("secretsmanager:GetSecretValue", SECRET, {"aws:ResourceTag/project": "payroll"}),
            ("rds:DeleteDBInstance", arn("rds", "db:payroll")),
            ("kms:ScheduleKeyDeletion", arn("kms", "key/payroll")),
        )
    } == {"ImplicitlyDenied"}


def test_deployment_policies_allow_what_the_handlers_need_and_fit_into_their_limits() -> None:
    documents: list[Any] = [r["Properties"]["PolicyDocument"] for r in template()["Resources"].values()]
    allowed = {action for document in documents for s in document["Statement"] for action in s["Action"]}
    assert needed(resource_types()) <= allowed
    assert not any("*" in action for action in allowed)
    assert len(documents) <= 10
    assert all(len(json.dumps(document, separators=(",", ":"))) <= MOST_CHARACTERS for document in documents)
