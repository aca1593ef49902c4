"""The least that CloudFormation must be allowed to deploy both stages: policies for its role, derived and generated.

`cdk bootstrap` gives CloudFormation's role AdministratorAccess unless `--cloudformation-execution-policies` names
others. These are derived from the permissions that the handlers of each resource type declare in the CloudFormation
registry, as cfn-lint ships it. `make docs` writes them anew; docs/iam.md says how to use them.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "stacks" / "deployment_policies.json"
GOLDEN = ROOT / "tests" / "infra" / "golden"
OURS = "${NamePrefix}-*"  # CloudFormation's names begin with the stack's
_SCHEMAS = files("cfnlint") / "data" / "schemas"
MOST_CHARACTERS = 6144  # of a managed policy, white space not counted (IAM User Guide, "IAM and AWS STS quotas")

# What settings add to the golden templates: certificate and DNS name, NAT gateways, users of the cache, MySQL.
OF_SETTINGS = (
    "AWS::CertificateManager::Certificate",
    "AWS::EC2::EIP",
    "AWS::EC2::NatGateway",
    "AWS::ElastiCache::User",
    "AWS::ElastiCache::UserGroup",
    "AWS::RDS::OptionGroup",
    "AWS::Route53::RecordSet",
)
# Services of other uses of a type: a firewall of something else than a load balancer, a function with a file system.
_OTHER_USES = {
    "acm-pca",
    "amplify",
    "apigateway",
    "apprunner",
    "appsync",
    "autoscaling",
    "bedrock-agentcore",
    "cognito-idp",
    "elasticfilesystem",
    "firehose",
    "payments",
    "s3files",
    "s3tables",
    "vpc-lattice",
}
# And their actions: no user or group of people is made or changed, no verified access, no layer.
# A bucket's handler names s3:REST.PUT.OBJECT, an operation of access logs, which IAM would refuse to read.
_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9]+")
_OTHER_ACTIONS = re.compile(
    r"iam:.*(User|Group).*|iam:DescribeOrganization|ec2:.*VerifiedAccess.*|.*CapacityProvider.*|.*OnPremisesInstance.*"
)

_IAM = "arn:${AWS::Partition}:iam::${AWS::AccountId}"
_ROLES, _POLICIES, _AWS_POLICIES = (
    f"{_IAM}:role/{OURS}",
    f"{_IAM}:policy/{OURS}",
    "arn:${AWS::Partition}:iam::aws:policy/",
)
_FUNCTIONS = "arn:${AWS::Partition}:lambda:*:${AWS::AccountId}:function:" + OURS
_BUCKETS = ["arn:${AWS::Partition}:s3:::" + OURS, "arn:${AWS::Partition}:s3:::" + OURS + "/*"]
_ASSETS = "arn:${AWS::Partition}:s3:::cdk-*-assets-${AWS::AccountId}-*"  # of functions: made by cdk bootstrap
_RDS = "arn:${AWS::Partition}:rds:*:${AWS::AccountId}:"
_DATABASES = f"{_RDS}db:{OURS}"
# A change of a database names its groups, too, and AWS's default ones are not ours.
_WITH_GROUPS = [_DATABASES, *(f"{_RDS}{group}:*" for group in ("og", "pg", "secgrp", "snapshot", "subgrp"))]
_VAULTS = "arn:${AWS::Partition}:backup:*:${AWS::AccountId}:backup-vault:" + OURS
_LOG_GROUPS = [
    "arn:${AWS::Partition}:logs:*:${AWS::AccountId}:log-group:" + name
    for name in (OURS, "aws-waf-logs-" + OURS, "/aws/rds/instance/" + OURS)
]
_SECRETS = "arn:${AWS::Partition}:secretsmanager:*:${AWS::AccountId}:secret:"
_CACHE = "arn:${AWS::Partition}:elasticache:*:${AWS::AccountId}:"
_OF_CACHE_GROUPS = ("parametergroup", "securitygroup", "snapshot", "subnetgroup", "user", "usergroup")
_TAG = "project"  # app.py gives it to what CloudFormation names otherwise
_TAGGED = {"StringEquals": {f"aws:ResourceTag/{_TAG}": "cache-aside"}}
# IAM sees no difference between the tag of something new and a first such tag of something that exists.
_TAGGED_FIRST = {"StringEquals": {f"aws:RequestTag/{_TAG}": "cache-aside"}, "Null": {f"aws:ResourceTag/{_TAG}": "true"}}
_BOOTSTRAP = "arn:${AWS::Partition}:ssm:*:${AWS::AccountId}:parameter/cdk-bootstrap/*"
_SERVICES_WITH_ROLES = (
    "backup.amazonaws.com",
    "codedeploy.amazonaws.com",
    "lambda.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
_LINKED = ("backup", "elasticache", "elasticloadbalancing", "rds", "wafv2")


def resource_types() -> set[str]:
    """Those of both stages, and of the settings that add some."""
    templates = [json.loads(path.read_text()) for path in GOLDEN.glob("*/*.json")]
    found = {r["Type"] for t in templates if isinstance(t, dict) for r in t["Resources"].values()}
    return {t for t in found | set(OF_SETTINGS) if not t.startswith("Custom::")}


def declared(resource_type: str) -> set[str]:
    """The permissions that the handlers of a type ask for. KeyError for a type that declares none."""
    handlers = json.loads((_SCHEMAS / "resources" / f"{_schema_names()[resource_type]}.json").read_text())["handlers"]
    found = {permission for handler in handlers.values() for permission in handler["permissions"]}
    return {permission for permission in found if _ACTION.fullmatch(permission)}


@cache
def _schema_names() -> dict[str, str]:
    names: dict[str, str] = json.loads((_SCHEMAS / "providers" / "us-east-1.json").read_text())
    return names


def needed(types: Iterable[str]) -> set[str]:
    """The permissions for these types as they are used here."""
    asked = {permission for resource_type in types for permission in declared(resource_type)}
    return {
        permission
        for permission in asked
        if permission.partition(":")[0] not in _OTHER_USES and not _OTHER_ACTIONS.fullmatch(permission)
    }


def statements(permissions: Iterable[str], aws_policies: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What they become: rights over roles, policies and functions only where their name says that they are ours."""
    rest = set(permissions)

    def taken(pattern: str) -> list[str]:
        found = {permission for permission in rest if re.fullmatch(pattern, permission)}
        rest.difference_update(found)
        return sorted(found)

    yield _allow(taken("iam:PassRole"), _ROLES, {"StringEquals": {"iam:PassedToService": list(_SERVICES_WITH_ROLES)}})
    policies = [_POLICIES, *(f"{_AWS_POLICIES}{name}" for name in sorted(aws_policies))]
    yield _allow(taken("iam:(At|De)tachRolePolicy"), _ROLES, {"ArnLike": {"iam:PolicyARN": policies}})
    linked = {"StringEquals": {"iam:AWSServiceName": [f"{service}.amazonaws.com" for service in _LINKED]}}
    yield _allow(taken("iam:CreateServiceLinkedRole"), "*", linked)
    yield _allow(taken("iam:(Create|Delete|Put|Tag|Untag|Update|Get).*Role.*|iam:List.*Role(Policies|Policy)"), _ROLES)
    yield _allow(taken("iam:(Create|Delete|Get)Policy.*|iam:ListPolicyVersions|iam:ListEntitiesForPolicy"), _POLICIES)
    # Beside what handlers declare: CloudFormation calls the custom resources of the stacks.
    yield _allow(["lambda:InvokeFunction", *taken("lambda:(?!List|GetLayer|GetCodeSigning).*")], _FUNCTIONS)
    yield _allow(["ssm:GetParameters"], _BOOTSTRAP)  # each template names the version of the bootstrap as a parameter
    yield _allow(["s3:GetObject", "s3:GetObjectVersion"], f"{_ASSETS}/*")
    yield _allow(taken("s3:(?!ListAllMyBuckets).*"), _BUCKETS)
    yield _allow(taken("rds:DeleteDBInstance"), _DATABASES)
    yield _allow(
        taken("rds:(?!Describe).*DBInstance(FromDBSnapshot|ToPointInTime)?|rds:PromoteReadReplica"), _WITH_GROUPS
    )
    yield _allow(taken("backup:(?!List).*BackupVault.*"), _VAULTS)
    of_log_groups = "LogGroup|LogStream|LogEvents|KmsKey|Policy|MetricFilter|LogGroupDeletionProtection"
    yield _allow(
        taken(
            f"logs:(?!PutResource|DeleteResource|Describe)[A-Z][a-z]+[A-Za-z]*?({of_log_groups})|logs:(Unt|T)agResource"
        ),
        _LOG_GROUPS,
    )
    yield from _by_tag(taken)
    for service in sorted({permission.partition(":")[0] for permission in rest}):
        yield _allow(taken(f"{service}:.*"), "*")


def _by_tag(taken: Callable[[str], list[str]]) -> Iterator[dict[str, Any]]:
    """Rights over what CloudFormation gives other names: only with our tag, which nothing foreign may be given."""
    keys = (
        "CreateGrant|Decrypt|Disable.*|Encrypt|GenerateDataKey|PutKeyPolicy|RetireGrant|ScheduleKeyDeletion|Up.*|Un.*"
    )
    yield _allow([*taken(f"kms:({keys})"), *taken("kms:TagResource")], "*", _TAGGED)
    yield _allow(["kms:TagResource"], "*", _TAGGED_FIRST)
    yield _allow(taken("secretsmanager:(?!Create|Describe|GetRandom|List).*"), "*", _TAGGED)
    yield _allow(["secretsmanager:TagResource"], [f"{_SECRETS}{name}*" for name in _secrets()], _TAGGED_FIRST)
    # RDS tags the secret of the master user in the caller's name.
    yield _allow(["secretsmanager:TagResource"], f"{_SECRETS}rds!*", {"Null": {f"aws:RequestTag/{_TAG}": "true"}})
    caches = "(Modify|Delete|(De|In)crease).*(ReplicationGroup|Replica).*"
    changed = taken(f"elasticache:{caches}")
    tags = taken("elasticache:(AddTagsTo|RemoveTagsFrom)Resource")
    groups = f"{_CACHE}replicationgroup:*"
    yield _allow([*changed, *tags], groups, _TAGGED)
    yield _allow(["elasticache:AddTagsToResource"], groups, _TAGGED_FIRST)
    yield _allow([*changed, *tags], [f"{_CACHE}{other}:*" for other in ("cluster", *_OF_CACHE_GROUPS)])


def _secrets() -> list[str]:
    """What the names of secrets begin with: CloudFormation takes the logical id."""
    templates = [json.loads(path.read_text()) for path in GOLDEN.glob("*/*.json")]
    resources = [item for t in templates if isinstance(t, dict) for item in t["Resources"].items()]
    return sorted({logical_id for logical_id, r in resources if r["Type"] == "AWS::SecretsManager::Secret"})


def template() -> dict[str, Any]:
    """A CloudFormation template of managed policies, as many as their limit of size asks for."""
    parts: list[list[dict[str, Any]]] = [[]]
    for statement in statements(needed(resource_types()), aws_policies()):
        for piece in _halved(statement):
            if _size([*parts[-1], piece]) > MOST_CHARACTERS:
                parts.append([])
            parts[-1].append(piece)
    resources = {
        f"Policy{number}": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "ManagedPolicyName": {"Fn::Sub": f"deploy-${{NamePrefix}}-{number}"},  # no name of OURS
                "Description": "What CloudFormation needs to deploy cache-aside",
                "PolicyDocument": {"Version": "2012-10-17", "Statement": part},
            },
        }
        for number, part in enumerate(parts, start=1)
    }
    arns = {"Fn::Join": [",", [{"Ref": name} for name in resources]]}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Policies for cdk bootstrap --cloudformation-execution-policies. Generated: see docs/iam.md",
        "Parameters": {
            "NamePrefix": {
                "Type": "String",
                "Default": "cache-aside",
                "Description": "What the names of the stacks begin with",
            }
        },
        "Resources": resources,
        "Outputs": {"Arns": {"Description": "For --cloudformation-execution-policies", "Value": arns}},
    }


def aws_policies() -> set[str]:
    """AWS's own policies that roles of the templates have, by name with path."""
    text = "".join(path.read_text() for path in GOLDEN.glob("*/*.json"))
    return set(re.findall(r":iam::aws:policy/([\w/-]+)", text))


def _allow(actions: list[str], resource: str | list[str], condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": _computed(resource)}
    return {**statement, "Condition": _computed(condition)} if condition else statement


def _computed(value: Any) -> Any:
    if isinstance(value, str):
        return {"Fn::Sub": value} if "${" in value else value
    if isinstance(value, list):
        return [_computed(item) for item in value]
    return {key: _computed(item) for key, item in value.items()}


def _halved(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The statement, in two if it would fill most of a policy."""
    if _size([statement]) < MOST_CHARACTERS // 2:
        yield statement
        return
    actions = statement["Action"]
    for half in (actions[: len(actions) // 2], actions[len(actions) // 2 :]):
        yield from _halved({**statement, "Action": half})


def _size(part: list[dict[str, Any]]) -> int:
    # An account's number is shorter than what stands for it, so that this errs on the safe side.
    return len(json.dumps({"Version": "2012-10-17", "Statement": part}, separators=(",", ":")))


def text() -> str:
    """The template as the file has it."""
    return json.dumps(template(), indent=1) + "\n"
