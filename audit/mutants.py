"""`make audit-mutants`: mistakes in the prod stage, each of which the audit must call by its name and place.

A mutant is made in the constructs, with everything of the register accepted, so that only mistakes can be found.
Mutants that touch different constructs share a synthesis, which takes most of the time: a mutant counts as caught only
if its own rule finds something at its own place.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aws_cdk as cdk

from audit.findings import Finding
from audit.synthesis import quiet, synthesize
from stacks.accepted_findings import matching

CACHE = "Data/Cache/Resource"
DATABASE = "Data/Database/Resource/Resource"
PARAMETERS = "Data/Database/ParameterGroup/Resource"
FUNCTION = "App/Service/Function/Resource/Resource"
BUCKET = "App/WebEntry/AccessLogs/Resource"
LISTENER = "App/WebEntry/Resource/Listener/Resource"
BALANCER = "App/WebEntry/Resource"
CACHE_GROUP = "Network/SecurityGroups/CacheSG/Resource"
ROLE_POLICY = "App/Service/Function/Role/Policy/Resource"
ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Mutant:
    """A mistake.

    :param mistake: what it is
    :param rule: the rule that must find it
    :param construct: the construct that is changed
    :param change: what is done to it
    :param settings: laid over the prod stage's. Default: none
    :param place: the construct at which the rule must find it. Default: the one that is changed
    """

    mistake: str
    rule: str
    construct: str
    change: Callable[[Any], None]
    settings: Mapping[str, str] = field(default_factory=dict)
    place: str | None = None

    def is_found(self, finding: Finding) -> bool:
        """Whether this is the finding that the mistake must lead to."""
        return finding.rule == self.rule and fnmatchcase(finding.construct, self.at)

    @property
    def at(self) -> str:
        """Where the rule must find it."""
        return self.place or self.construct

    def meets(self, other: "Mutant") -> bool:
        """Whether the two cannot be told apart, or undo one another, in one synthesis."""
        a, b = f"{self.construct}/", f"{other.construct}/"
        found_alike = (self.rule, self.at) == (other.rule, other.at)
        return a.startswith(b) or b.startswith(a) or found_alike or self.settings != other.settings

    def apply(self, app: cdk.App) -> None:
        """Make the mistake."""
        (construct,) = matching(app, self.construct)
        self.change(construct)


def _mutant(mistake: str, rule: str, construct: str, place: str | None = None, **attributes: Any) -> Mutant:
    def change(resource: Any) -> None:
        for name, value in attributes.items():
            setattr(resource, name, value)

    return Mutant(mistake, rule, construct, change, place=place)


def _with_mysql(mistake: str, rule: str, construct: str, **attributes: Any) -> Mutant:
    return replace(_mutant(mistake, rule, construct, **attributes), settings={"database.engine": "mysql"})


def _balancer(mistake: str, rule: str, attribute: str, value: str) -> Mutant:
    def change(balancer: Any) -> None:
        balancer.set_attribute(attribute, value)

    return Mutant(mistake, rule, BALANCER, change, place=f"{BALANCER}/Resource")


def _without(construct: str, mistake: str, rule: str) -> Mutant:
    def change(group: Any) -> None:
        group.node.scope.node.try_remove_child(group.node.id)

    return Mutant(mistake, rule, construct, change, place=construct.partition("/")[0])


def _ingress(port: int, **peer: str) -> list[dict[str, Any]]:
    return [{"ipProtocol": "tcp", "fromPort": port, "toPort": port, "description": "a mistake", **peer}]


def _allowing(action: str, resource: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}


def _without_conditions(role: Any) -> None:
    role.add_property_deletion_override("AssumeRolePolicyDocument.Statement.0.Condition")


def _retained(resource: Any) -> None:
    resource.cfn_options.deletion_policy = cdk.CfnDeletionPolicy.RETAIN


MUTANTS = (
    _mutant("the cache is not encrypted", "CACHE_NOT_ENCRYPTED", CACHE, at_rest_encryption_enabled=False),
    _mutant("the cache uses a key of AWS", "CACHE_NOT_ENCRYPTED", CACHE, kms_key_id=None),
    _mutant("the cache speaks plain text", "AwsSolutions-AEC3", CACHE, transit_encryption_enabled=False),
    _mutant("the cache also speaks plain text", "CACHE_WITHOUT_TLS", CACHE, transit_encryption_mode="preferred"),
    _mutant("the cache asks for no token", "CACHE_WITHOUT_CREDENTIALS", CACHE, auth_token=None),
    Mutant(
        "a user of the cache may do everything",
        "CACHE_USER_WITH_EVERY_RIGHT",
        "Data/CacheUsers/AppUser",
        lambda user: setattr(user, "access_string", "on ~* +@all"),
        {"cache.auth": "iam"},
    ),
    Mutant(
        "the cache knows no users",
        "CACHE_WITHOUT_CREDENTIALS",
        CACHE,
        lambda cache: setattr(cache, "user_group_ids", None),
        {"cache.auth": "iam"},
    ),
    _mutant(
        "nobody rotates the token",
        "AwsSolutions-SMG4",
        "Data/AuthTokenRotation/Schedule",
        place="Data/AuthToken/Resource/Resource",
        rotation_rules=None,
    ),
    _mutant("the cache has no second zone", "AwsSolutions-AEC4", CACHE, multi_az_enabled=False),
    _mutant(
        "the cache keeps one snapshot",
        "NIST.800.53.R5-ElastiCacheRedisClusterAutomaticBackup",
        CACHE,
        snapshot_retention_limit=1,
    ),
    _mutant(
        "CacheSG admits addresses",
        "ADDRESS_REACHES_MORE_THAN_THE_LISTENER",
        CACHE_GROUP,
        security_group_ingress=_ingress(6379, cidrIp="10.0.0.0/8"),
    ),
    _mutant(
        "CacheSG admits everyone",
        "AwsSolutions-EC23",
        CACHE_GROUP,
        security_group_ingress=_ingress(443, cidrIp=ANYWHERE),
    ),
    _mutant(
        "SSH is open to everyone",
        "NIST.800.53.R5-EC2RestrictedSSH",
        "Network/SecurityGroups/AppSG/Resource",
        security_group_ingress=_ingress(22, cidrIp=ANYWHERE),
    ),
    _mutant(
        "the database admits addresses by a rule of its own",
        "ADDRESS_IN_A_RULE_OF_ITS_OWN",
        "Network/SecurityGroups/RDSSG/from *",
        source_security_group_id=None,
        cidr_ip="10.0.0.0/16",
    ),
    _mutant(
        "the endpoint is open to the VPC",
        "ENDPOINT_WITHOUT_GROUP",
        "Network/Network/SecretsManager/Resource",
        security_group_ids=[],
    ),
    *(
        Mutant(f"a failed creation leaves {what}", "RETAINED_BY_A_FAILED_CREATION", construct, _retained)
        for what, construct in (
            ("the vault", "Data/DatabaseBackup/Vault/Resource"),
            ("the key of the logs", "Network/LogKey/Resource"),
            ("the firewall's log", "App/Firewall/LogGroup/Resource"),
        )
    ),
    _mutant(
        "every stage has the same vault",
        "NAME_OF_NO_STAGE",
        "Data/DatabaseBackup/Vault/Resource",
        backup_vault_name="backups",
    ),
    _mutant(
        "every stage has the same token", "NAME_OF_NO_STAGE", "Data/AuthToken/Resource/Resource", name="cache/token"
    ),
    _mutant("the database is not encrypted", "AwsSolutions-RDS2", DATABASE, storage_encrypted=False),
    _mutant("the database is public", "NIST.800.53.R5-RDSInstancePublicAccess", DATABASE, publicly_accessible=True),
    _mutant("the database can be deleted", "AwsSolutions-RDS10", DATABASE, deletion_protection=False),
    _mutant("the database has one zone", "AwsSolutions-RDS3", DATABASE, multi_az=False),
    _mutant(
        "the database keeps its logs",
        "HIPAA.Security-RDSLoggingEnabled[LogExport::postgresql]",
        DATABASE,
        enable_cloudwatch_logs_exports=[],
    ),
    _mutant(
        "the database accepts plain text",
        "DATABASE_WITHOUT_TLS",
        PARAMETERS,
        parameters={"rds.force_ssl": "0"},
    ),
    _with_mysql("MySQL has its default parameters", "DATABASE_WITHOUT_TLS", DATABASE, db_parameter_group_name=None),
    _with_mysql("MySQL accepts plain text", "DATABASE_WITHOUT_TLS", PARAMETERS, parameters={"rds.force_ssl": "1"}),
    _with_mysql(
        "MySQL keeps its audit log",
        "HIPAA.Security-RDSLoggingEnabled[LogExport::audit]",
        DATABASE,
        enable_cloudwatch_logs_exports=["error", "general", "slowquery"],
    ),
    _mutant(
        "the app's role may read every secret",
        "AwsSolutions-IAM5[Action::secretsmanager:*]",
        ROLE_POLICY,
        policy_document=_allowing("secretsmanager:*", "arn:aws:secretsmanager:*:*:secret:*"),
    ),
    _mutant("the app's role may do anything", "WILDCARD_ACTION", ROLE_POLICY, policy_document=_allowing("*", "*")),
    _mutant(
        "a role may do anything with secrets",
        "WILDCARD_ACTION",
        "App/InvalidationRelay/Function/Role/Policy/Resource",
        policy_document=_allowing("secretsmanager:*", "*"),
    ),
    _mutant(
        "an inline policy allows anything with secrets",
        "WILDCARD_ACTION",
        "App/SchemaMigration/FrameworkRole/Resource",
        policies=[{"policyName": "inline", "policyDocument": _allowing("secretsmanager:*", "*")}],
    ),
    _mutant(
        "code may use the function's network rights",
        "NETWORK_RIGHTS_FOR_CODE",
        "App/SchemaMigration/Function/Role/Policy/Resource",
        policy_document=_allowing("ec2:CreateNetworkInterface", "*"),
    ),
    _mutant(
        "an endpoint leads to every account",
        "ENDPOINT_FOR_ANY_ACCOUNT",
        "Network/Network/SecretsManager/Resource",
        policy_document=None,
    ),
    _mutant(
        "an endpoint's policy names no account",
        "ENDPOINT_FOR_ANY_ACCOUNT",
        "Network/Network/ElastiCacheApi/Resource",
        policy_document=_allowing("*", "*"),
    ),
    *(
        Mutant(f"{service} acts in any account's name", "SERVICE_IN_ANY_NAME", role, _without_conditions)
        for service, role in (
            ("vpc-flow-logs", "Network/Network/FlowLogRole/Resource"),
            ("monitoring.rds", "Data/Database/Resource/MonitoringRole/Resource"),
            ("backup", "Data/DatabaseBackup/Plan/Database/Role/Resource"),
        )
    ),
    _mutant(
        "load balancers of any account write logs",
        "SERVICE_IN_ANY_NAME",
        "App/WebEntry/AccessLogs/Policy/Resource",
        policy_document={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "s3:PutObject",
                    "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
                    "Resource": "*",
                }
            ],
        },
    ),
    _mutant(
        "any target group may invoke the function",
        "FUNCTION_INVOKED_BY_ANYONE",
        "App/Service/Live/LoadBalancer",
        source_arn=cdk.Fn.join(":", ["arn:aws:elasticloadbalancing", cdk.Aws.REGION, "targetgroup/*"]),
    ),
    _mutant(
        "requests go to whatever the function is",
        "REQUESTS_TO_LATEST",
        "App/WebEntry/Resource/Listener/AppGroup/Resource",
        targets=[{"id": "arn:aws:lambda:us-east-1:111122223333:function:app"}],
    ),
    _mutant(
        "the alias follows the function", "ALIAS_OF_LATEST", "App/Service/Live/Resource", function_version="$LATEST"
    ),
    _mutant(
        "no alarm stops a release",
        "RELEASE_WITHOUT_ALARMS",
        "App/Release/Resource",
        alarm_configuration={"enabled": False, "alarms": []},
    ),
    _mutant("the listener takes old TLS", "LISTENER_TLS_POLICY", LISTENER, ssl_policy="ELBSecurityPolicy-2016-08"),
    _mutant("the listener names no TLS policy", "LISTENER_TLS_POLICY", LISTENER, ssl_policy=None),
    _mutant(
        "the listener speaks HTTP",
        "PCI.DSS.321-ELBv2ACMCertificateRequired",
        LISTENER,
        protocol="HTTP",
        certificates=None,
        ssl_policy=None,
        port=80,
    ),
    _balancer(
        "invalid headers reach the app",
        "LOAD_BALANCER_KEEPS_INVALID_HEADERS",
        "routing.http.drop_invalid_header_fields.enabled",
        "false",
    ),
    _balancer(
        "ambiguous requests reach the app",
        "LOAD_BALANCER_PASSES_DESYNC",
        "routing.http.desync_mitigation_mode",
        "monitor",
    ),
    _balancer("the load balancer logs nothing", "AwsSolutions-ELB2", "access_logs.s3.enabled", "false"),
    _mutant(
        "the firewall protects something else",
        "NIST.800.53.R5-ALBWAFEnabled",
        "App/Firewall/Association",
        place=f"{BALANCER}/Resource",
        resource_arn="arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/other/1",
    ),
    _mutant(
        "the firewall's samples hold tokens",
        "FIREWALL_SAMPLES_CREDENTIALS",
        "App/Firewall/Resource",
        data_protection_config=None,
    ),
    _mutant(
        "the firewall keeps pieces of bodies",
        "FIREWALL_SAMPLES_CREDENTIALS",
        "App/Firewall/Resource",
        data_protection_config={
            "dataProtections": [
                {"field": {"fieldType": "SINGLE_HEADER", "fieldKeys": ["authorization"]}, "action": "SUBSTITUTION"}
            ]
        },
    ),
    _mutant(
        "access logs can be deleted",
        "LOGS_CAN_BE_DELETED",
        "App/WebEntry/AccessLogs/Policy/Resource",
        policy_document={"Version": "2012-10-17", "Statement": []},
    ),
    _mutant(
        "the vault has no lock", "VAULT_WITHOUT_LOCK", "Data/DatabaseBackup/Vault/Resource", lock_configuration=None
    ),
    _mutant(
        "the log bucket is public",
        "PCI.DSS.321-S3BucketPublicReadProhibited",
        BUCKET,
        public_access_block_configuration=None,
    ),
    _mutant(
        "the log bucket keeps no versions",
        "NIST.800.53.R5-S3BucketVersioningEnabled",
        BUCKET,
        versioning_configuration=None,
    ),
    _mutant("a key never rotates", "AwsSolutions-KMS5", "Data/CacheKey/Resource", enable_key_rotation=False),
    _mutant(
        "a log is not encrypted",
        "NIST.800.53.R5-CloudWatchLogGroupEncrypted",
        "App/Service/Function/LogGroup/Resource",
        kms_key_id=None,
    ),
    _mutant(
        "a log is kept for ever",
        "NIST.800.53.R5-CloudWatchLogGroupRetentionPeriod",
        "App/Service/Function/LogGroup/Resource",
        retention_in_days=None,
    ),
    _mutant("the function is outside the VPC", "PCI.DSS.321-LambdaInsideVPC", FUNCTION, vpc_config=None),
    _mutant(
        "anybody may invoke the function",
        "FUNCTION_INVOKED_BY_ANYONE",
        "App/Service/Live/LoadBalancer",
        source_arn=None,
    ),
    _without("Data/CacheAlarms", "the cache has no alarms", "CACHE_WITHOUT_ALARMS"),
    _without("Data/DatabaseAlarms", "the database has no alarms", "DATABASE_WITHOUT_ALARMS"),
    _without("App/ServiceAlarms", "the app has no alarms", "LOAD_BALANCER_WITHOUT_ALARMS"),
    _mutant(
        "an alarm watches the group, which has no metrics",
        "ALARM_OF_NO_CACHE_NODE",
        "Data/CacheAlarms/Node1/Memory/Resource",
        dimensions=[{"name": "ReplicationGroupId", "value": "cache"}],
    ),
    _mutant(
        "an alarm does not say what silence means",
        "ALARM_WITHOUT_A_WORD_ON_SILENCE",
        "App/ServiceAlarms/RelayStopped/Resource",
        treat_missing_data=None,
    ),
    _mutant(
        "an alarm tells nobody",
        "NIST.800.53.R5-CloudWatchAlarmAction",
        "Data/DatabaseAlarms/Cpu/Resource",
        alarm_actions=[],
        ok_actions=[],
    ),
    _mutant(
        "the topic of alarms is not encrypted",
        "NIST.800.53.R5-SNSEncryptedKMS",
        "Network/AlarmTopic/Resource/Resource",
        kms_master_key_id=None,
    ),
    _mutant(
        "the backup plan leaves the database out",
        "NIST.800.53.R5-RDSInBackupPlan",
        "Data/DatabaseBackup/Plan/Database/Resource",
        place=DATABASE,
        backup_selection={
            "iamRoleArn": "arn:aws:iam::111122223333:role/backup",
            "selectionName": "Nothing",
            "resources": [],
        },
    ),
)


def groups(mutants: Sequence[Mutant]) -> list[list[Mutant]]:
    """The mutants in groups that share a synthesis: of any two in a group, each has constructs of its own."""
    found: list[list[Mutant]] = []
    for mutant in mutants:
        fitting = (group for group in found if not any(mutant.meets(other) for other in group))
        group = next(fitting, None)
        if group is None:
            found.append(group := [])
        group.append(mutant)
    return found


def findings_in(number: int) -> frozenset[Finding]:
    """What the packs find in one of the groups of `MUTANTS`."""
    group = groups(MUTANTS)[number]

    def change(app: cdk.App) -> None:
        for mutant in group:
            mutant.apply(app)

    with TemporaryDirectory() as directory:
        audited = synthesize("prod", Path(directory), group[0].settings, acknowledged=True, change=change)
    return frozenset(finding for findings in audited.findings.values() for finding in findings)


def _line(mutant: Mutant, found: frozenset[Finding]) -> str:
    if any(map(mutant.is_found, found)):
        return f"{mutant.mistake:55}caught by {mutant.rule}"
    near = sorted(
        f"{f.rule} at {f.construct}" for f in found if f.rule == mutant.rule or f.construct == mutant.construct
    )
    return f"{mutant.mistake:55}MISSED; nearest: {', '.join(near) or 'nothing'}"


def main() -> None:
    """Print one line a mutant."""
    together = groups(MUTANTS)
    # The validator keeps its memory until the process ends, so that no process makes many of them.
    with get_context("spawn").Pool(2, initializer=quiet, maxtasksperchild=4) as processes:
        found = processes.map(findings_in, range(len(together)), chunksize=1)
    by_mutant = {id(mutant): findings for group, findings in zip(together, found, strict=True) for mutant in group}
    caught = sum(any(map(mutant.is_found, by_mutant[id(mutant)])) for mutant in MUTANTS)
    lines = [_line(mutant, by_mutant[id(mutant)]) for mutant in MUTANTS]
    sys.stdout.write("\n".join([*lines, f"{caught} of {len(MUTANTS)} caught", ""]))
    sys.exit(caught < len(MUTANTS))


if __name__ == "__main__":
    main()
