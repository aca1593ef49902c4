"""What is asked of IAM: the recorded calls of the functions' code, and what AWS's services do for them.

calls.json has what the code calls, by handler. A call is an action and the environment variables that name what it is
about: the synthesized function must have them, and the synthesized policies must allow just that. tests/rotation/
test_recorded_calls.py records it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.iam.policies import Policies
from audit.iam.resolved import ACCOUNT, REGION, Resource, Stage, arn

CALLS = Path(__file__).with_name("calls.json")
# CDK's own functions, from their sources in aws-cdk-lib: the Provider framework, and what closes the default group.
OF_CDK: Mapping[str, tuple[str, ...]] = {
    "framework.onEvent": (
        "lambda:GetFunction $USER_ON_EVENT_FUNCTION_ARN",
        "lambda:InvokeFunction $USER_ON_EVENT_FUNCTION_ARN",
    ),
    "__entrypoint__.handler": (
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress",
    ),
}
# What Secrets Manager asks of KMS in the caller's name (its User Guide, "Secret encryption and decryption").
_KEY_CALLS = {"GetSecretValue": ("Decrypt",), "PutSecretValue": ("Decrypt", "GenerateDataKey")}
# What ModifyReplicationGroup depends on (Service Authorization Reference, ElastiCache).
_CALLED_BY_ELASTICACHE = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
Context = Mapping[str, str | list[str]]

# The simulator cannot tell an alias from a version, and this is about either.
NOT_SIMULATED = {"lambda:GetProvisionedConcurrencyConfig"}
_INTERFACE = arn("ec2", "network-interface/eni-0123456789abcdef0")
_HERE = {"aws:PrincipalAccount": ACCOUNT, "aws:ResourceAccount": ACCOUNT, "aws:SecureTransport": "true"}


class NoWayError(Exception):
    """A function calls a service that it cannot reach, or about something that the stage does not have."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call, and the policies that are evaluated for it, by name.

    :param who: the function, service or person, for the table
    :param principal: ARN of a session, or a service
    :param refused: whether an explicit Deny must refuse it. Default: False, it must be allowed
    """

    who: str
    principal: str
    action: str
    resource: str
    context: Context
    identity: tuple[str, ...] = ()
    attached: str | None = None
    boundary: tuple[str, ...] = ()
    endpoint: str | None = None
    refused: bool = False
    account: str = field(default=ACCOUNT)


def recorded() -> dict[str, list[str]]:
    """What the code calls, by handler."""
    calls: dict[str, list[str]] = json.loads(CALLS.read_text())
    return calls


def requests(stage: Stage, policies: Policies) -> list[Request]:
    """Every call of the stage. NoWayError."""
    functions = [
        request for function in stage.of("AWS::Lambda::Function") for request in _function(stage, policies, function)
    ]
    return [
        *functions,
        *_releases(stage, policies),
        *_flow_logs(stage, policies),
        *_operator(policies),
        *_services(stage, policies),
    ]


def _function(stage: Stage, policies: Policies, function: Resource) -> Iterator[Request]:
    role = stage.by_arn(function.properties["Role"])
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.ref}/{function.ref}"
    granted: dict[str, Any] = {"principal": session, "identity": policies.of_role(role), "boundary": policies.boundary}
    code: Context = {**_HERE, "lambda:SourceFunctionArn": function.arn, "aws:ViaAWSService": "false"}
    yield Request(
        who="Lambda",
        principal="lambda.amazonaws.com",
        action="sts:AssumeRole",
        resource=role.arn,
        context=_HERE,
        attached=policies.trust(role),
    )
    yield from _runtime(policies, function, granted)
    for action, resource in _resources(stage, function):
        try:
            endpoint = policies.endpoint(action) if "VpcConfig" in function.properties else None
        except KeyError as service:
            raise NoWayError(
                f"{function.properties['Handler']} calls {action}, and no endpoint leads there"
            ) from service
        in_vpc = {"aws:SourceVpc": "vpc-1", "aws:SourceVpce": "vpce-1"} if endpoint else {}
        yield Request(
            who=function.properties["Handler"],
            action=action,
            resource=resource,
            context={**code, **in_vpc},
            endpoint=endpoint,
            **granted,
        )
        yield from _in_its_name(policies, function, action, resource, code, granted)


def _resources(stage: Stage, function: Resource) -> Iterator[tuple[str, str]]:
    """The actions that the code calls, each with the ARN of each thing that it is about."""
    handler = function.properties["Handler"]
    variables = function.properties.get("Environment", {}).get("Variables", {})
    calls = recorded().get(handler, OF_CDK.get(handler))
    if calls is None:
        raise NoWayError(f"nobody has recorded what {handler} calls: see tests/rotation/test_recorded_calls.py")
    for call in calls:
        action, *names = call.split()
        given = [variables.get(name.removeprefix("$")) for name in names]
        if None not in given:  # one way to log in to the cache has other variables than the other
            yield from ((action, resource) for resource in _named(stage, action, [str(value) for value in given]))


def _named(stage: Stage, action: str, given: list[str]) -> Iterator[str]:
    """What the values of the variables are, as ARNs."""
    match action.partition(":")[0], given:
        case "rds-db", [endpoint, user]:
            database = next(d for d in stage.of("AWS::RDS::DBInstance") if endpoint.startswith(f"{d.logical_id}."))
            yield arn("rds-db", f"dbuser:{database.logical_id}.DbiResourceId/{user}")
        case "elasticache", [group]:
            yield arn("elasticache", f"replicationgroup:{group}")
        case "elasticache", [user, group]:
            yield from (arn("elasticache", f"user:{user}"), arn("elasticache", f"replicationgroup:{group}"))
        case "ec2", []:
            yield from (
                arn("ec2", f"security-group/{r.properties['DefaultSecurityGroupId']}")
                for r in stage.of("Custom::VpcRestrictDefaultSG")
            )
        case _, [one]:
            yield one
        case _:
            yield "*"


def _in_its_name(
    policies: Policies,
    function: Resource,
    action: str,
    resource: str,
    code: Context,
    granted: Mapping[str, Any],
) -> Iterator[Request]:
    """What the called service does in the function's name."""
    service, _, operation = action.partition(":")
    through: Context = {**code, "aws:ViaAWSService": "true", "aws:CalledVia": [f"{service}.amazonaws.com"]}
    who = f"{service} for {function.properties['Handler']}"
    if service == "secretsmanager" and operation in _KEY_CALLS:
        key = policies.key_of(resource)
        context = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com", "kms:EncryptionContext:SecretARN": resource}
        for call in _KEY_CALLS[operation]:
            yield Request(
                who=who,
                action=f"kms:{call}",
                resource=key,
                context={**through, **context},
                attached=policies.attached_to(key),
                **granted,
            )
    if action == "elasticache:ModifyReplicationGroup":
        for call in _CALLED_BY_ELASTICACHE:
            resource = "*" if "Describe" in call else _INTERFACE
            yield Request(who=who, action=call, resource=resource, context=through, **granted)


def _runtime(policies: Policies, function: Resource, granted: Mapping[str, Any]) -> Iterator[Request]:
    """What Lambda does as the function's role, before and beside the code; and the code, which must not."""
    properties, who = function.properties, f"Lambda for {function.properties['Handler']}"

    def by_lambda(action: str, resource: str, **more: Any) -> Request:
        return Request(
            who=who, action=action, resource=resource, context={**_HERE, **more.pop("context", {})}, **granted, **more
        )

    if key := properties.get("KmsKeyArn"):
        context = {"kms:EncryptionContext:aws:lambda:FunctionArn": function.arn}
        yield by_lambda("kms:Decrypt", key, context=context, attached=policies.attached_to(key))
    if "LoggingConfig" in properties and function.properties["Handler"] != "__entrypoint__.handler":
        group = arn("logs", f"log-group:{properties['LoggingConfig']['LogGroup']}")
        yield by_lambda("logs:CreateLogStream", f"{group}:log-stream:2026/01/01/1")
        yield by_lambda("logs:PutLogEvents", f"{group}:log-stream:2026/01/01/1")
    if "TracingConfig" in properties:
        yield by_lambda("xray:PutTraceSegments", "*")
        yield by_lambda("xray:PutTelemetryRecords", "*")
    if "VpcConfig" in properties:
        by_code = {"lambda:SourceFunctionArn": function.arn, "aws:ViaAWSService": "false"}
        for action, resource in _interfaces(properties["VpcConfig"]):
            yield by_lambda(action, resource)
            yield Request(
                who=f"code of {function.properties['Handler']}",
                action=action,
                resource=resource,
                context={**_HERE, **by_code},
                refused=True,
                **granted,
            )


def _interfaces(network: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What Lambda does to a function's network interfaces."""
    yield "ec2:DescribeNetworkInterfaces", "*"
    yield "ec2:DescribeSubnets", "*"
    yield "ec2:CreateNetworkInterface", _INTERFACE
    yield from (("ec2:CreateNetworkInterface", arn("ec2", f"subnet/{subnet}")) for subnet in network["SubnetIds"])
    groups = network["SecurityGroupIds"]
    yield from (("ec2:CreateNetworkInterface", arn("ec2", f"security-group/{group}")) for group in groups)
    yield "ec2:DeleteNetworkInterface", _INTERFACE
    yield "ec2:AssignPrivateIpAddresses", _INTERFACE
    yield "ec2:UnassignPrivateIpAddresses", _INTERFACE


def _releases(stage: Stage, policies: Policies) -> Iterator[Request]:
    """What CodeDeploy does while it moves the alias, as AWSCodeDeployRoleForLambdaLimited allows it."""
    for group in stage.of("AWS::CodeDeploy::DeploymentGroup"):
        role = stage.by_arn(group.properties["ServiceRoleArn"])
        (alias,) = (a for a in stage.of("AWS::Lambda::Alias") if a.logical_id.startswith("ServiceLive"))
        function = alias.arn.rpartition(":")[0]
        for action, resource in (
            ("cloudwatch:DescribeAlarms", arn("cloudwatch", "alarm:any")),
            ("lambda:GetAlias", function),
            ("lambda:UpdateAlias", function),
        ):
            yield Request(
                who="CodeDeploy",
                principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.ref}/CodeDeploy",
                action=action,
                resource=resource,
                context=_HERE,
                identity=policies.of_role(role),
                boundary=policies.boundary,
            )


def _flow_logs(stage: Stage, policies: Policies) -> Iterator[Request]:
    """What the VPC's flow log does as its role (VPC User Guide, "IAM role for publishing flow logs")."""
    for log in stage.of("AWS::EC2::FlowLog"):
        role = stage.by_arn(log.properties["DeliverLogsPermissionArn"])
        group = arn("logs", f"log-group:{log.properties['LogGroupName']}")
        for action in ("CreateLogStream", "DescribeLogStreams", "PutLogEvents"):
            stream = "" if action == "DescribeLogStreams" else "eni-0123456789abcdef0-all"
            yield Request(
                who="flow log",
                principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.ref}/flow-logs",
                action=f"logs:{action}",
                resource=f"{group}:log-stream:{stream}",
                context=_HERE,
                identity=policies.of_role(role),
                boundary=policies.boundary,
            )


def _operator(policies: Policies) -> Iterator[Request]:
    """What a person with the policy that the stack offers to operators looks at."""
    for group in policies.stage.of("AWS::ElastiCache::ReplicationGroup"):
        for action, resource in (
            ("elasticache:DescribeReplicationGroups", f"replicationgroup:{group.ref}"),
            ("elasticache:DescribeCacheClusters", f"cluster:{group.ref}-001"),
        ):
            yield Request(
                who="operator",
                principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/Operator/person",
                action=action,
                resource=arn("elasticache", resource),
                context=_HERE,
                identity=policies.unattached(),
            )


def _services(stage: Stage, policies: Policies) -> Iterator[Request]:
    """What AWS's services do in their own name, for resources of the stage."""

    def request(service: str, action: str, resource: str, source: str, attached: str, **context: str) -> Request:
        here = {**_HERE, "aws:SourceAccount": ACCOUNT, "aws:SourceArn": source, **context}
        return Request(
            who=service, principal=service, action=action, resource=resource, context=here, attached=attached
        )

    for service, function, source in _callers(stage):
        yield request(service, "lambda:InvokeFunction", function, source, policies.attached_to(function))
    for service, topic, source in _publishers(stage):
        yield request(service, "sns:Publish", topic, source, policies.attached_to(topic))
        key = stage.by_arn(topic).properties["KmsMasterKeyId"]
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            yield request(service, action, key, source, policies.attached_to(key))
    for group in stage.of("AWS::Logs::LogGroup"):
        key, source = group.properties["KmsKeyId"], group.arn.removesuffix(":*")
        for action in ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"):
            context = {"kms:EncryptionContext:aws:logs:arn": source}
            yield request(f"logs.{REGION}.amazonaws.com", action, key, source, policies.attached_to(key), **context)
    for service, role, source in _assumed(stage):
        yield request(service, "sts:AssumeRole", role, source, policies.trust(stage.by_arn(role)))
    for balancer in stage.of("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        for bucket in stage.of("AWS::S3::Bucket"):
            log = f"{bucket.arn}/AWSLogs/{ACCOUNT}/elasticloadbalancing/{REGION}/2026/01/01/log.gz"
            service = "logdelivery.elasticloadbalancing.amazonaws.com"
            yield request(service, "s3:PutObject", log, balancer.arn, policies.attached_to(bucket.arn))


def _callers(stage: Stage) -> Iterator[tuple[str, str, str]]:
    """Who invokes which function: service, function, and the resource in whose name."""
    for group in stage.of("AWS::ElasticLoadBalancingV2::TargetGroup"):
        for target in group.properties["Targets"]:
            yield "elasticloadbalancing.amazonaws.com", target["Id"], group.arn
    for rule in stage.of("AWS::Events::Rule"):
        for target in rule.properties["Targets"]:
            if ":function:" in target["Arn"]:
                yield "events.amazonaws.com", target["Arn"], rule.arn
    for schedule in stage.of("AWS::SecretsManager::RotationSchedule"):
        yield "secretsmanager.amazonaws.com", schedule.properties["RotationLambdaARN"], schedule.properties["SecretId"]


def _publishers(stage: Stage) -> Iterator[tuple[str, str, str]]:
    """Who publishes to which topic. One alarm and one subscription stand for all: no policy tells them apart."""
    for alarm in list(stage.of("AWS::CloudWatch::Alarm"))[:1]:
        yield "cloudwatch.amazonaws.com", alarm.properties["AlarmActions"][0], alarm.arn
    for subscription in list(stage.of("AWS::RDS::EventSubscription"))[:1]:
        source = next(iter(stage.of("AWS::RDS::DBInstance"))).arn
        yield "events.rds.amazonaws.com", subscription.properties["SnsTopicArn"], source


def _assumed(stage: Stage) -> Iterator[tuple[str, str, str]]:
    """Which services assume which roles, besides Lambda."""
    for log in stage.of("AWS::EC2::FlowLog"):
        yield "vpc-flow-logs.amazonaws.com", log.properties["DeliverLogsPermissionArn"], log.arn
    for database in stage.of("AWS::RDS::DBInstance"):
        if role := database.properties.get("MonitoringRoleArn"):
            yield "monitoring.rds.amazonaws.com", role, database.arn
    for group in stage.of("AWS::CodeDeploy::DeploymentGroup"):
        source = arn("codedeploy", f"deploymentgroup:{group.properties['ApplicationName']}/{group.ref}")
        yield "codedeploy.amazonaws.com", group.properties["ServiceRoleArn"], source
    for selection in stage.of("AWS::Backup::BackupSelection"):
        role = selection.properties["BackupSelection"]["IamRoleArn"]
        yield "backup.amazonaws.com", role, arn("backup", "backup-plan:plan")
