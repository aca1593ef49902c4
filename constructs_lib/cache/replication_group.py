"""An L2 for `AWS::ElastiCache::ReplicationGroup`, which aws-cdk-lib offers only as an L1."""

from collections.abc import Mapping
from dataclasses import dataclass

import jsii
from aws_cdk import ArnFormat, Aws, Fn, RemovalPolicy, Resource, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from constructs_lib.cache.auth_token import AuthToken
from constructs_lib.cache.cache_metrics import CacheMetrics
from constructs_lib.cache.cache_users import CacheUsers
from constructs_lib.errors import PropError
from constructs_lib.subnets import subnet_ids
from constructs_lib.watch.log_groups import LogSettings

PORT = 6379
MOST_NODES = 6
_CREATE_ONLY = (
    "at_rest_encryption_enabled",
    "cache_subnet_group_name",
    "kms_key_id",
    "network_type",
    "port",
    "snapshot_arns",
    "snapshot_name",
)
_NETWORK_ACTIONS = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)


@dataclass(frozen=True)
class CacheEngine:
    """An engine of a replication group, its version and its parameter group family. They only ever change together.

    :param name: what ElastiCache calls it, ``redis`` or ``valkey``
    :param version: major and minor version, such as ``7.1``
    :param family: parameter group family of that version, such as ``redis7``
    """

    name: str
    version: str
    family: str


REDIS_7_1 = CacheEngine("redis", "7.1", "redis7")
VALKEY_8_2 = CacheEngine("valkey", "8.2", "valkey8")


@jsii.implements(ec2.IConnectable)
class ReplicationGroup(CacheMetrics, Resource):
    """One primary and its replicas, without shards. Clients need TLS, and an AUTH token or to be one of its users.

    Changing a create-only property replaces the cache (CloudFormation schema): at-rest encryption and its key, the
    subnet group, the port. So does going from `auth_token` to `users` or back: see docs/decisions/token-or-users.md.
    Changing `nodes` and `multi_az` in one update fails: see docs/graduating-to-multi-az.md.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        security_group: ec2.ISecurityGroup,
        node_type: str,
        encryption_key: kms.IKey,
        log_settings: LogSettings,
        auth_token: AuthToken | None = None,
        users: CacheUsers | None = None,
        former_token: AuthToken | None = None,
        engine: CacheEngine = REDIS_7_1,
        nodes: int = 1,
        multi_az: bool = False,
        snapshot_retention_days: int = 0,
        snapshot_window: str | None = None,
        maintenance_window: str | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.SNAPSHOT,
    ) -> None:
        """
        :param vpc: the network of the nodes
        :param vpc_subnets: the subnets of the nodes; create-only as a group, though its subnets may change
        :param security_group: decides who may connect; `connections` carries it
        :param node_type: size of every node, such as ``cache.r7g.large``
        :param encryption_key: encrypts data at rest and snapshots; create-only
        :param log_settings: of the slow log and the engine log
        :param auth_token: the token that clients must present. Which of `auth_token` and `users` is given is
            create-only. Default: none; then `users` is required
        :param users: who may log in with IAM, and what each may do; made for the same engine. Default: none; then
            `auth_token` is required
        :param former_token: the token that the group was created with, where it was moved to `users` outside of
            CloudFormation, see docs/token-to-iam.md. It stays a property of the group, because CloudFormation would
            replace the group without it; nobody can log in with it. Default: none
        :param engine: engine, version and parameter group family. Default: Redis 7.1
        :param nodes: the primary and its replicas, 1 to 6. Default: 1, no replica
        :param multi_az: fail over by itself to a replica in another zone; needs 2 nodes. Default: False, a lost primary
            is replaced, empty
        :param snapshot_retention_days: days a daily snapshot is kept. Default: 0, no daily snapshots
        :param snapshot_window: when the daily snapshot is taken, UTC ``hh:mm-hh:mm``. Default: AWS picks one
        :param maintenance_window: when AWS may patch, UTC ``ddd:hh:mm-ddd:hh:mm``. Default: AWS picks one
        :param removal_policy: what happens when the cache is deleted or replaced. Default: a final snapshot is kept
        :raises PropError: for a number of nodes that AWS refuses, and unless exactly one of `auth_token` and `users` is
            given; for `former_token` without `users`
        """
        super().__init__(scope, construct_id)
        _check(nodes, multi_az)
        self._login: AuthToken | CacheUsers = _one_of(auth_token, users)
        if former_token and not users:
            raise PropError("former_token needs users: give the users that the group was moved to")
        property_token = auth_token or former_token
        self.nodes = nodes
        self._connections = ec2.Connections(security_groups=[security_group], default_port=ec2.Port.tcp(PORT))
        subnets = elasticache.CfnSubnetGroup(
            self,
            "SubnetGroup",
            description="Subnets of the cache nodes",
            subnet_ids=subnet_ids(vpc, vpc_subnets),
        )
        self._resource = elasticache.CfnReplicationGroup(
            self,
            "Resource",
            replication_group_description="Cache in front of the database",
            engine=engine.name,
            engine_version=engine.version,
            auto_minor_version_upgrade=True,
            cache_parameter_group_name=self._parameter_group(engine).ref,
            cache_node_type=node_type,
            num_cache_clusters=nodes,
            automatic_failover_enabled=multi_az,
            multi_az_enabled=multi_az,
            port=PORT,  # said, though it is the default: cdk-nag's AEC5 reads it
            cache_subnet_group_name=subnets.ref,
            security_group_ids=[security_group.security_group_id],
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            auth_token=property_token.dynamic_reference if property_token else None,
            user_group_ids=[users.group_id] if users and not former_token else None,
            at_rest_encryption_enabled=True,
            kms_key_id=encryption_key.key_arn,
            snapshot_retention_limit=snapshot_retention_days,
            snapshot_window=snapshot_window,
            preferred_maintenance_window=maintenance_window,
            log_delivery_configurations=[
                _log_delivery("slow-log", log_settings.group(self, "SlowLogGroup")),
                _log_delivery("engine-log", log_settings.group(self, "EngineLogGroup")),
            ],
        )
        self._resource.apply_removal_policy(removal_policy)
        self.replication_group_id = self._resource.ref

    @property
    def connections(self) -> ec2.Connections:
        """The cache's group and port, for `app.connections.allow_to_default_port(cache)`."""
        return self._connections

    @property
    def primary_endpoint(self) -> str:
        """``host:port`` that follows the primary through a failover: for writes, and for reads that must see them."""
        return Fn.join(":", [self._resource.attr_primary_end_point_address, self._resource.attr_primary_end_point_port])

    @property
    def reader_endpoint(self) -> str:
        """``host:port`` that spreads connections over the replicas, which lag behind the primary."""
        return Fn.join(":", [self._resource.attr_reader_end_point_address, self._resource.attr_reader_end_point_port])

    def grant_describe(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow looking at the group and at its nodes.

        DescribeReplicationGroups accepts only replication group ARNs and DescribeCacheClusters only cluster ARNs, so a
        statement with both actions on one ARN would grant half of it (Service Authorization Reference, ElastiCache).
        """
        group, node = (self._arn("replicationgroup", ""), self._arn("cluster", "-*"))
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["elasticache:DescribeReplicationGroups"], resource_arns=[group]
        ).combine(
            iam.Grant.add_to_principal(
                grantee=grantee, actions=["elasticache:DescribeCacheClusters"], resource_arns=[node]
            )
        )

    @property
    def replaced_with(self) -> Mapping[str, object]:
        """What CloudFormation replaces the group for, and its endpoint with it (AWS::ElastiCache::ReplicationGroup)."""
        return {name: getattr(self._resource, name) for name in _CREATE_ONLY}

    @property
    def auth_token(self) -> AuthToken:
        """The token that clients present. PropError where they are users instead."""
        if isinstance(self._login, AuthToken):
            return self._login
        raise PropError("the clients of this replication group are users; it has no auth_token")

    def grant_connect(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow reading the AUTH token, or logging in as the user: all that a client needs besides the network."""
        if isinstance(self._login, AuthToken):
            return self._login.grant_read(grantee)
        return self._login.grant_connect(grantee, self.replication_group_id)

    @property
    def client_environment(self) -> dict[str, str]:
        """The variables that tell a client where the cache is and how to log in; no secret among them."""
        endpoint = {"ELASTICACHE_ENDPOINT": self.primary_endpoint}
        if isinstance(self._login, AuthToken):
            return {**endpoint, "ELASTICACHE_AUTH_SECRET_ARN": self._login.secret.secret_arn}
        user = {
            "ELASTICACHE_USER": self._login.user_name,
            "ELASTICACHE_REPLICATION_GROUP_ID": self.replication_group_id,
        }
        return {**endpoint, **user}

    def grant_auth_token_change(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow changing the group, the AUTH token included, and seeing when the change is done.

        Both actions accept the ARN of the group. ModifyReplicationGroup depends on network actions (Service
        Authorization Reference, ElastiCache): they are allowed where ElastiCache takes them in the grantee's name.
        """
        change = iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["elasticache:DescribeReplicationGroups", "elasticache:ModifyReplicationGroup"],
            resource_arns=[self._arn("replicationgroup", "")],
        )
        network = iam.Grant.add_to_principal(
            grantee=grantee,
            actions=list(_NETWORK_ACTIONS),
            resource_arns=["*"],
            conditions={"ForAnyValue:StringEquals": {"aws:CalledVia": "elasticache.amazonaws.com"}},
        )
        return change.combine(network)

    def _arn(self, resource: str, suffix: str) -> str:
        return Stack.of(self).format_arn(
            service="elasticache",
            resource=resource,
            partition=Aws.PARTITION,  # as parameters, so that the ARN reads the same in every environment
            region=Aws.REGION,
            account=Aws.ACCOUNT_ID,
            resource_name=self.replication_group_id + suffix,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _parameter_group(self, engine: CacheEngine) -> elasticache.CfnParameterGroup:
        # CloudFormation names it: the family is create-only, so another engine makes another group in the same update.
        return elasticache.CfnParameterGroup(
            self,
            "ParameterGroup",
            cache_parameter_group_family=engine.family,
            description="A general cache: evict what was used least recently",
            properties={"maxmemory-policy": "allkeys-lru", "reserved-memory-percent": "25"},
        )


def _log_delivery(
    kind: str, group: logs.ILogGroup
) -> elasticache.CfnReplicationGroup.LogDeliveryConfigurationRequestProperty:
    # ElastiCache refuses one group for both logs.
    return elasticache.CfnReplicationGroup.LogDeliveryConfigurationRequestProperty(
        log_type=kind,
        log_format="json",
        destination_type="cloudwatch-logs",
        destination_details=elasticache.CfnReplicationGroup.DestinationDetailsProperty(
            cloud_watch_logs_details=elasticache.CfnReplicationGroup.CloudWatchLogsDestinationDetailsProperty(
                log_group=group.log_group_name
            )
        ),
    )


def _one_of(auth_token: AuthToken | None, users: CacheUsers | None) -> AuthToken | CacheUsers:
    if auth_token and users:
        raise PropError("give auth_token or users, not both: a replication group has one of them")
    if login := auth_token or users:
        return login
    raise PropError("give auth_token or users: without them everybody in the network may log in")


def _check(nodes: int, multi_az: bool) -> None:
    if not 1 <= nodes <= MOST_NODES:
        raise PropError(f"nodes must be 1 to {MOST_NODES}, got: {nodes}")
    if multi_az and nodes < 2:
        raise PropError(f"multi_az needs nodes to be at least 2, got: {nodes}")
