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


@pytest.mark.parametrize(
    ("action", "resource", "result"),
    [
        ("iam:CreateAccessKey", "user/administrator", "Allowed"),
        ("iam:UpdateAssumeRolePolicy", "role/Admin", "Allowed"),
        ("iam:CreateRole", "role/cache-aside-any", "ExplicitlyDenied"),
        ("iam:DeleteRolePermissionsBoundary", "role/cache-aside-any", "ExplicitlyDenied"),
    ],
)
def test_boundary_that_cdk_bootstraps_limits_new_roles_alone_as_docs_iam_says(
    action: str, resource: str, result: str
) -> None:
    policies = Policies(Resolved({}), boundary())
    policies.statements["any right"] = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    asked = Request(
        who="a role of a stack",
        principal=arn("iam", "role/cache-aside-any"),
        action=action,
        resource=arn("iam", resource),
        context={},
        identity=("any right",),
        boundary=policies.boundary,
    )
    (answer,) = simulate(policies, [asked])
    assert answer.result == result


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


Call = tuple[str, str] | tuple[str, str, dict[str, str]]  # action, resource and context


class Deployer:
    """CloudFormation's role with the generated policies."""

    def __init__(self) -> None:
        resources = json.loads(json.dumps(template()).replace("${NamePrefix}", "cache-aside"))["Resources"]
        stage = Resolved({"Deployment": {"Resources": resources}})
        self.policies = Policies(stage)
        self.granted = tuple(self.policies.statements)
        # As CDK writes it: the account's IAM policies decide. Without one, every call to a key would be refused.
        root = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
        self.policies.statements["key"] = [root]

    def answers(self, *calls: Call) -> list[Answer]:
        return simulate(
            self.policies,
            [
                Request(
                    who="CloudFormation",
                    principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/cdk-hnb659fds-cfn-exec-role/AWSCloudFormation",
                    action=action,
                    resource=resource,
                    context=dict(*context),
                    identity=self.granted,
                    attached="key" if action.startswith("kms:") else None,
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


def test_deployer_may_not_make_ours_what_is_not() -> None:
    tags = {"aws:RequestTag/project": "cache-aside", "aws:TagKeys": "project"}
    theirs = {"aws:ResourceTag/project": "payroll"}
    key, cache = arn("kms", "key/payroll"), arn("elasticache", "replicationgroup:payroll")
    calls: list[Call] = [
        ("secretsmanager:TagResource", SECRET, tags | theirs),
        ("secretsmanager:TagResource", SECRET, tags),
        ("secretsmanager:TagResource", arn("secretsmanager", "secret:rds!db-1-AbCdEf"), tags),
        ("secretsmanager:UntagResource", SECRET, {"aws:TagKeys": "project"} | theirs),
        ("kms:TagResource", key, tags | theirs),
        ("kms:UntagResource", key, {"aws:TagKeys": "project"} | theirs),
        ("kms:Decrypt", key),
        ("kms:CreateGrant", key, theirs),
        ("elasticache:AddTagsToResource", cache, tags | theirs),
        ("elasticache:ModifyReplicationGroup", cache, theirs),
        ("elasticache:DeleteReplicationGroup", cache),
        ("rds:ModifyDBInstance", arn("rds", "db:payroll")),
        ("rds:RebootDBInstance", arn("rds", "db:payroll")),
        ("backup:DeleteBackupVaultLockConfiguration", arn("backup", "backup-vault:payroll")),
        ("backup:PutBackupVaultAccessPolicy", arn("backup", "backup-vault:payroll")),
        ("logs:DeleteLogGroup", arn("logs", "log-group:payroll")),
        ("logs:PutRetentionPolicy", arn("logs", "log-group:payroll")),
        ("iam:PassRole", OURS, {"iam:PassedToService": "ecs-tasks.amazonaws.com"}),
    ]
    found = [(call[0], answer.result) for call, answer in zip(calls, Deployer().answers(*calls), strict=True)]
    assert found == [(action, "ImplicitlyDenied") for action, *_ in calls]


def test_deployer_may_make_and_change_what_is_named_or_tagged_as_ours() -> None:
    tags = {"aws:RequestTag/project": "cache-aside", "aws:TagKeys": "project"}
    ours = {"aws:ResourceTag/project": "cache-aside"}
    key, cache = arn("kms", "key/ours"), arn("elasticache", "replicationgroup:ours")
    calls: list[Call] = [
        ("secretsmanager:TagResource", arn("secretsmanager", "secret:AuthToken2A98C926-random-AbCdEf"), tags),
        ("secretsmanager:TagResource", SECRET, {**tags, **ours}),
        ("secretsmanager:TagResource", arn("secretsmanager", "secret:rds!db-1-AbCdEf"), {"aws:TagKeys": "aws:rds:x"}),
        ("kms:TagResource", key, tags),
        ("kms:CreateGrant", key, ours),
        ("elasticache:AddTagsToResource", cache, tags),
        ("elasticache:ModifyReplicationGroup", cache, ours),
        ("elasticache:ModifyReplicationGroup", arn("elasticache", "usergroup:cache-aside-prod")),
        ("rds:ModifyDBInstance", arn("rds", "db:cache-aside-prod")),
        ("rds:ModifyDBInstance", arn("rds", "og:default:mysql-8-4")),
        ("backup:PutBackupVaultLockConfiguration", arn("backup", "backup-vault:cache-aside-prod")),
        ("logs:CreateLogGroup", arn("logs", "log-group:aws-waf-logs-cache-aside-prod")),
        ("logs:PutRetentionPolicy", arn("logs", "log-group:/aws/rds/instance/cache-aside-prod/postgresql")),
        ("logs:PutMetricFilter", arn("logs", "log-group:cache-aside-prod-app-ServiceFunctionLogGroup")),
    ]
    found = [(call[0], answer.result) for call, answer in zip(calls, Deployer().answers(*calls), strict=True)]
    assert found == [(action, "Allowed") for action, *_ in calls]


def test_deployer_passes_roles_to_the_services_that_have_one_in_a_stage_and_to_no_other(prod: Stage) -> None:
    trusted = {
        statement["Principal"]["Service"]
        for role in prod.resources("AWS::IAM::Role").values()
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    }
    (passing,) = (
        statement
        for policy in template()["Resources"].values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "iam:PassRole" in statement["Action"]
    )
    assert set(passing["Condition"]["StringEquals"]["iam:PassedToService"]) == trusted


def test_deployment_policies_allow_what_the_handlers_need_and_fit_into_their_limits() -> None:
    documents: list[Any] = [r["Properties"]["PolicyDocument"] for r in template()["Resources"].values()]
    allowed = {action for document in documents for s in document["Statement"] for action in s["Action"]}
    assert needed(resource_types()) <= allowed
    assert not any("*" in action for action in allowed)
    assert len(documents) <= 10
    assert all(len(json.dumps(document, separators=(",", ":"))) <= MOST_CHARACTERS for document in documents)
