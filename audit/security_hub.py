"""The controls of Security Hub's FSBP standard that can be read from the prod templates.

The standard looks at what is deployed; a template shows what will be. Source: "Security Hub controls reference", AWS
Security Hub User Guide, 2026. Controls about services that the app does not use, and about what only a running account
shows, are listed with the reason in `NOT_APPLICABLE`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from audit.findings import Finding, Template, construct_of

Resource = dict[str, Any]
Check = Callable[[Resource], bool]


@dataclass(frozen=True)
class Control:
    """One control: what it asks for, of which resources, and whether one of them has it.

    :param companion: type of another resource that must name the first one. Default: none is needed
    :param companion_passes: what that resource must have, too. Default: nothing
    :param named: whether it must name the first one, and not only exist. Default: True
    """

    id: str
    asks: str
    resource_type: str
    passes: Check = lambda _: True
    companion: str | None = None
    companion_passes: Check = lambda _: True
    named: bool = True


def _is(name: str, *allowed: object) -> Check:
    return lambda properties: properties.get(name) in allowed


def _at_least(name: str, least: int) -> Check:
    return lambda properties: int(properties.get(name, 0)) >= least


def _has(name: str) -> Check:
    return lambda properties: bool(properties.get(name))


def _attribute(key: str, *allowed: str) -> Check:
    def check(properties: Resource) -> bool:
        found = {item["Key"]: item["Value"] for item in properties["LoadBalancerAttributes"]}
        return found.get(key) in allowed

    return check


def _tells(source_type: str, *categories: str) -> Check:
    return lambda p: p.get("SourceType") == source_type and set(categories) <= set(p.get("EventCategories", []))


def _open_ports(properties: Resource) -> set[int]:
    rules = properties.get("SecurityGroupIngress", [])
    anywhere = [rule for rule in rules if rule.get("CidrIp") == "0.0.0.0/0" or rule.get("CidrIpv6") == "::/0"]
    return {port for rule in anywhere for port in range(rule["FromPort"], rule["ToPort"] + 1)}


def _no_statement(wrong: Callable[[Resource], bool]) -> Check:
    def check(properties: Resource) -> bool:
        document = properties.get("PolicyDocument") or properties.get("KeyPolicy") or {"Statement": []}
        return not any(s["Effect"] == "Allow" and wrong(s) for s in document["Statement"])

    return check


def _decrypts_everything(statement: Resource) -> bool:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    return bool({"kms:Decrypt", "kms:ReEncryptFrom", "kms:*", "*"} & set(actions)) and "*" in statement["Resource"]


def _blocks_public_access(properties: Resource) -> bool:
    return all(properties.get("PublicAccessBlockConfiguration", {}).get(key) is True for key in _PUBLIC_ACCESS)


def _denies_plain_text(properties: Resource) -> bool:
    statements = properties["PolicyDocument"]["Statement"]
    return any(s["Effect"] == "Deny" and "aws:SecureTransport" in str(s.get("Condition")) for s in statements)


_PUBLIC_ACCESS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_TLS_POLICIES = (
    "ELBSecurityPolicy-TLS13-1-2-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    "ELBSecurityPolicy-TLS13-1-3-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
)
_RUNTIMES = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "nodejs22.x", "nodejs24.x")
_PORTS = ("5432", "3306")
_VPC = "AWS::EC2::VPC"
_EVENTS = "AWS::RDS::EventSubscription"
_CACHE = "AWS::ElastiCache::ReplicationGroup"
_DATABASE = "AWS::RDS::DBInstance"
_FUNCTION = "AWS::Lambda::Function"
_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
_LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
_GROUP = "AWS::EC2::SecurityGroup"
_BUCKET = "AWS::S3::Bucket"
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a resource type

CONTROLS = (
    Control("ElastiCache.1", "automatic backups", _CACHE, _at_least("SnapshotRetentionLimit", 1)),
    Control("ElastiCache.2", "automatic minor version upgrades", _CACHE, _is("AutoMinorVersionUpgrade", True)),
    Control("ElastiCache.3", "automatic failover", _CACHE, _is("AutomaticFailoverEnabled", True)),
    Control("ElastiCache.4", "encryption at rest", _CACHE, _is("AtRestEncryptionEnabled", True)),
    Control("ElastiCache.5", "encryption in transit", _CACHE, _is("TransitEncryptionEnabled", True)),
    Control(
        "ElastiCache.6",
        "AUTH before Redis 6",
        _CACHE,
        lambda p: float(p["EngineVersion"]) >= 6 or bool(p.get("AuthToken")),
    ),
    Control(
        "ElastiCache.7",
        "a subnet group of its own",
        _CACHE,
        lambda p: p.get("CacheSubnetGroupName", "default") != "default",
    ),
    Control("RDS.2", "no public access", _DATABASE, _is("PubliclyAccessible", False)),
    Control("RDS.3", "encryption at rest", _DATABASE, _is("StorageEncrypted", True)),
    Control("RDS.5", "more than one zone", _DATABASE, _is("MultiAZ", True)),
    Control("RDS.6", "enhanced monitoring", _DATABASE, _at_least("MonitoringInterval", 1)),
    Control("RDS.8", "deletion protection", _DATABASE, _is("DeletionProtection", True)),
    Control("RDS.9", "logs in CloudWatch", _DATABASE, _has("EnableCloudwatchLogsExports")),
    Control("RDS.10", "IAM authentication", _DATABASE, _is("EnableIAMDatabaseAuthentication", True)),
    Control("RDS.11", "automatic backups for a week", _DATABASE, _at_least("BackupRetentionPeriod", 7)),
    Control("RDS.13", "automatic minor version upgrades", _DATABASE, _is("AutoMinorVersionUpgrade", True)),
    Control("RDS.17", "tags copied to snapshots", _DATABASE, _is("CopyTagsToSnapshot", True)),
    Control(
        "RDS.20",
        "someone is told of the instance's events",
        _DATABASE,
        companion=_EVENTS,
        companion_passes=_tells("db-instance", "maintenance", "configuration change", "failure"),
    ),
    Control(
        "RDS.21",
        "someone is told of the parameters' events",
        "AWS::RDS::DBParameterGroup",
        companion=_EVENTS,
        companion_passes=_tells("db-parameter-group", "configuration change"),
    ),
    Control(
        "RDS.22",
        "someone is told of the groups' events",
        _DATABASE,
        companion=_EVENTS,
        companion_passes=_tells("db-security-group", "configuration change", "failure"),
        named=False,
    ),
    Control("RDS.23", "not the engine's default port", _DATABASE, lambda p: str(p.get("Port", "5432")) not in _PORTS),
    Control("RDS.25", "a user name of its own", _DATABASE, lambda p: p["MasterUsername"] not in {"postgres", "admin"}),
    Control(
        "RDS.36",
        "PostgreSQL's log in CloudWatch",
        _DATABASE,
        lambda p: p["Engine"] != "postgres" or "postgresql" in p["EnableCloudwatchLogsExports"],
    ),
    Control(
        "RDS.46",
        "no subnet with a way to the internet",
        "AWS::RDS::DBSubnetGroup",
        lambda p: "Public" not in str(p["SubnetIds"]),
    ),
    Control(
        "Lambda.1", "no public access", "AWS::Lambda::Permission", lambda p: p["Principal"] != "*" and "SourceArn" in p
    ),
    Control(
        "Lambda.2",
        "a supported runtime",
        _FUNCTION,
        lambda p: p["Runtime"] in _RUNTIMES or not isinstance(p["Runtime"], str),
    ),
    Control(
        "Lambda.5",
        "more than one zone",
        _FUNCTION,
        lambda p: "VpcConfig" not in p or len(p["VpcConfig"]["SubnetIds"]) > 1,
    ),
    Control("ELB.1", "HTTP is redirected", _LISTENER, _is("Protocol", "HTTPS")),
    Control(
        "ELB.4",
        "invalid headers dropped",
        _BALANCER,
        _attribute("routing.http.drop_invalid_header_fields.enabled", "true"),
    ),
    Control("ELB.5", "access logs", _BALANCER, _attribute("access_logs.s3.enabled", "true")),
    Control("ELB.6", "deletion protection", _BALANCER, _attribute("deletion_protection.enabled", "true")),
    Control(
        "ELB.12",
        "desync mitigation",
        _BALANCER,
        _attribute("routing.http.desync_mitigation_mode", "defensive", "strictest"),
    ),
    Control("ELB.13", "more than one zone", _BALANCER, lambda p: len(p["Subnets"]) > 1),
    Control("ELB.17", "a recommended TLS policy", _LISTENER, _is("SslPolicy", *_TLS_POLICIES)),
    Control("ELB.18", "listeners encrypt", _LISTENER, _is("Protocol", "HTTPS", "TLS")),
    Control("EC2.2", "a default group that admits nothing", _VPC, companion="Custom::VpcRestrictDefaultSG"),
    Control("EC2.6", "flow logs of the VPC", _VPC, companion="AWS::EC2::FlowLog"),
    Control("EC2.15", "no public addresses by default", "AWS::EC2::Subnet", _is("MapPublicIpOnLaunch", False)),
    Control("EC2.18", "only 80 and 443 are open", _GROUP, lambda p: _open_ports(p) <= {80, 443}),
    Control("EC2.19", "no risky port is open", _GROUP, lambda p: not _open_ports(p) - {80, 443}),
    Control("EC2.21", "network ACLs that keep SSH and RDP out", _VPC, companion="AWS::EC2::NetworkAcl"),
    Control("EC2.172", "no traffic of internet gateways", _VPC, companion="AWS::EC2::VPCBlockPublicAccessOptions"),
    Control("SecretsManager.1", "rotation", _SECRET, companion="AWS::SecretsManager::RotationSchedule"),
    Control(
        "KMS.1", "no policy decrypts with every key", "AWS::IAM::ManagedPolicy", _no_statement(_decrypts_everything)
    ),
    Control(
        "KMS.2", "no inline policy decrypts with every key", "AWS::IAM::Policy", _no_statement(_decrypts_everything)
    ),
    Control(
        "KMS.5", "no key for everyone", "AWS::KMS::Key", _no_statement(lambda s: s["Principal"] in ("*", {"AWS": "*"}))
    ),
    Control("S3.2", "no public reading", _BUCKET, _blocks_public_access),
    Control("S3.3", "no public writing", _BUCKET, _blocks_public_access),
    Control("S3.5", "TLS only", "AWS::S3::BucketPolicy", _denies_plain_text),
    Control(
        "S3.6",
        "no rights for other accounts",
        "AWS::S3::BucketPolicy",
        _no_statement(lambda s: "AWS" in s["Principal"]),
    ),
    Control("S3.8", "public access blocked", _BUCKET, _blocks_public_access),
    Control("S3.9", "access logs", _BUCKET, _has("LoggingConfiguration")),
    Control("S3.12", "no access control lists", _BUCKET, lambda p: "AccessControl" not in p),
    Control("S3.13", "a life cycle", _BUCKET, _has("LifecycleConfiguration")),
    Control(
        "SNS.4", "no topic for everyone", "AWS::SNS::TopicPolicy", _no_statement(lambda s: "*" in str(s["Principal"]))
    ),
    Control("WAF.10", "rules in the web ACL", "AWS::WAFv2::WebACL", _has("Rules")),
    Control("WAF.11", "decisions are logged", "AWS::WAFv2::WebACL", companion="AWS::WAFv2::LoggingConfiguration"),
    Control(
        "WAF.12",
        "metrics of every rule",
        "AWS::WAFv2::WebACL",
        lambda p: all(rule["VisibilityConfig"]["CloudWatchMetricsEnabled"] for rule in p["Rules"]),
    ),
)
NOT_APPLICABLE: Mapping[str, str] = {
    "RDS.19": "no DB cluster",
    "RDS.24": "no DB cluster",
    "RDS.43": "no RDS proxy",
    "EC2.8, EC2.9, EC2.25, EC2.170, EC2.181": "no EC2 instance and no launch template",
    "ECS.1 to ECS.16": "no ECS service",
    "SecretsManager.2": "a running account shows it",
    "SecretsManager.3": "a running account shows it",
    "SecretsManager.4": "a running account shows it",
    "KMS.3": "a running account shows it",
    "ACM.1": "the certificate is given, or made by ACM, which renews it",
    "ACM.2": "the certificate is given, or made by ACM with RSA 2048",
    "S3.1": "a setting of the account",
}


def findings(templates: Mapping[str, Template]) -> Iterator[Finding]:
    """The resources that do not have what a control asks for, under the rule ``SecurityHub-<control>``."""
    for control in CONTROLS:
        for template in templates.values():
            for logical_id, resource in template["Resources"].items():
                if resource["Type"] == control.resource_type and not _has_it(control, templates, logical_id, resource):
                    yield Finding(f"SecurityHub-{control.id}", construct_of(template, logical_id))


def _has_it(control: Control, templates: Mapping[str, Template], logical_id: str, resource: Resource) -> bool:
    if not control.passes(resource.get("Properties", {})):
        return False
    if control.companion is None:
        return True
    others = (other for template in templates.values() for other in template["Resources"].values())
    companions = [other["Properties"] for other in others if other["Type"] == control.companion]
    fit = [str(properties) for properties in companions if control.companion_passes(properties)]
    if not control.named:
        return bool(fit)
    # Another stack names it by an export, which CDK calls Ref or GetAtt and the logical id.
    naming = (f"'{logical_id}'", f"OutputRef{logical_id}", f"OutputFnGetAtt{logical_id}")
    return any(name in text for text in fit for name in naming)
