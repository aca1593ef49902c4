"""An RDS instance with the settings that `rds.DatabaseInstance` leaves to its poor defaults."""

from collections.abc import Mapping
from typing import Literal, cast

import jsii
from aws_cdk import ArnFormat, Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IConstruct

from constructs_lib.access.secret_access import grant_secret_read
from constructs_lib.access.source import from_this_account
from constructs_lib.database.database_engine import POSTGRES_18, DatabaseEngine
from constructs_lib.errors import PropError
from constructs_lib.watch.log_groups import LogSettings

MASTER_USERNAME = "database_admin"  # not the one that every attacker tries first
_CREATE_ONLY = (
    "db_instance_identifier",
    "db_name",
    "db_snapshot_identifier",
    "db_subnet_group_name",
    "kms_key_id",
    "master_username",
    "storage_encrypted",
)
Insights = Literal["off", "standard", "advanced"]
_INSIGHTS_MODE = {
    "off": None,
    "standard": rds.DatabaseInsightsMode.STANDARD,
    "advanced": rds.DatabaseInsightsMode.ADVANCED,
}
_INSIGHTS_RETENTION = {
    "off": None,
    "standard": rds.PerformanceInsightRetention.DEFAULT,
    "advanced": rds.PerformanceInsightRetention.MONTHS_15,
}


@jsii.implements(ec2.IConnectable)
class Database(Construct):
    """A database instance and, with `multi_az`, its standby. TLS is required and IAM users may connect.

    RDS makes and keeps the master password; `grant_master_secret_read` is for the function that makes the roles.
    Another engine is another database: see docs/decisions/database-engine.md before changing it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        security_group: ec2.ISecurityGroup,
        instance_identifier: str,
        instance_type: str,
        database_name: str,
        encryption_key: kms.IKey,
        log_settings: LogSettings,
        engine: DatabaseEngine = POSTGRES_18,
        multi_az: bool = False,
        allocated_storage_gib: int = 20,
        max_allocated_storage_gib: int = 100,
        backup_retention_days: int = 15,
        backup_window: str | None = None,
        maintenance_window: str | None = None,
        insights: Insights = "off",
        monitoring_interval_seconds: int = 60,
        deletion_protection: bool = True,
        created: bool = True,
    ) -> None:
        """
        :param vpc: the network of the instance
        :param vpc_subnets: its subnets, in two zones at least
        :param security_group: decides who may connect; `connections` carries it
        :param instance_identifier: its name, create-only; RDS derives the names of its log groups from it
        :param instance_type: its class, such as ``db.r7g.large``
        :param database_name: the database to create, create-only
        :param encryption_key: encrypts storage, snapshots, insights and the master secret; create-only
        :param log_settings: of the exported logs
        :param engine: engine, port, parameters, logs and plug-ins; another one replaces the instance. Default:
            PostgreSQL 18
        :param multi_az: keep a standby in another zone. Default: False, none
        :param allocated_storage_gib: storage at the start, GiB. Default: 20, the least that gp3 takes
        :param max_allocated_storage_gib: where storage autoscaling stops, GiB. Default: 100
        :param backup_retention_days: days of point-in-time recovery. Default: 15
        :param backup_window: UTC ``hh:mm-hh:mm``. Default: AWS picks one
        :param maintenance_window: UTC ``ddd:hh:mm-ddd:hh:mm``. Default: AWS picks one
        :param insights: mode of Database Insights; "advanced" keeps 15 months. Default: off
        :param monitoring_interval_seconds: seconds between the operating system's metrics. Default: 60
        :param deletion_protection: refuse deletion, and keep a final snapshot and the automated backups if it is
            deleted after all. Default: True; False deletes the data with the stack
        :param created: False in the deployment that creates the instance: it can be deleted then, in spite of
            `deletion_protection`, so that CloudFormation can clean up after a failure. Default: True
        :raises PropError: for insights on a class that has none
        """
        super().__init__(scope, construct_id)
        _check_insights(insights, instance_type, engine)
        self._key = encryption_key
        self.engine = engine
        self.instance_type = instance_type
        self.allocated_storage_gib = allocated_storage_gib
        self.insights = insights
        parameters = rds.ParameterGroup(
            self, "ParameterGroup", description="TLS only", engine=engine.version, parameters=engine.parameters
        )
        self.parameter_group_name = parameters.bind_to_instance().parameter_group_name
        self.instance = rds.DatabaseInstance(
            self,
            "Resource",
            engine=engine.version,
            auto_minor_version_upgrade=True,
            parameter_group=parameters,
            option_group=self._option_group(deletion_protection) if engine.options else None,
            ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
            vpc=vpc,
            subnet_group=rds.SubnetGroup(
                self, "SubnetGroup", description="Subnets of the database", vpc=vpc, vpc_subnets=vpc_subnets
            ),
            security_groups=[security_group],
            publicly_accessible=False,
            instance_identifier=instance_identifier,
            instance_type=ec2.InstanceType(instance_type.removeprefix("db.")),
            multi_az=multi_az,
            database_name=database_name,
            credentials=rds.Credentials.from_username(MASTER_USERNAME, encryption_key=encryption_key),
            manage_master_user_password=True,
            iam_authentication=True,
            storage_type=rds.StorageType.GP3,
            storage_encrypted=True,
            storage_encryption_key=encryption_key,
            allocated_storage=allocated_storage_gib,
            max_allocated_storage=max_allocated_storage_gib,
            backup_retention=Duration.days(backup_retention_days),
            preferred_backup_window=backup_window,
            preferred_maintenance_window=maintenance_window,
            copy_tags_to_snapshot=True,
            delete_automated_backups=not deletion_protection,
            deletion_protection=deletion_protection and created,
            removal_policy=RemovalPolicy.SNAPSHOT if deletion_protection else RemovalPolicy.DESTROY,
            cloudwatch_logs_exports=list(engine.log_exports.values()),
            monitoring_interval=Duration.seconds(monitoring_interval_seconds),
            database_insights_mode=_INSIGHTS_MODE[insights],
            enable_performance_insights=insights != "off",
            performance_insight_retention=_INSIGHTS_RETENTION[insights],
            performance_insight_encryption_key=None if insights == "off" else encryption_key,
        )
        _narrow(self.instance.node.find_child("MonitoringRole"), Stack.of(self), instance_identifier)
        # RDS makes groups of these names itself, unencrypted and for ever, unless they are there first.
        for construct_id, export in engine.log_exports.items():
            name = f"/aws/rds/instance/{instance_identifier}/{export}"
            self.instance.node.add_dependency(log_settings.group(self, construct_id, name=name))
        self.database_name = database_name

    @property
    def connections(self) -> ec2.Connections:
        """The database's group and port, for `app.connections.allow_to_default_port(database)`."""
        return self.instance.connections

    @property
    def endpoint(self) -> str:
        """``host:port``; after a failover the name leads to the former standby."""
        return Fn.join(":", [self.instance.db_instance_endpoint_address, self.instance.db_instance_endpoint_port])

    @property
    def replaced_with(self) -> Mapping[str, object]:
        """What CloudFormation replaces the instance for, and its endpoint with it (AWS::RDS::DBInstance)."""
        resource = self.instance.node.default_child
        return {name: getattr(resource, name) for name in _CREATE_ONLY}

    @property
    def master_secret(self) -> secretsmanager.ISecret:
        """The secret that RDS makes: JSON with ``username`` and ``password``."""
        return cast(secretsmanager.ISecret, self.instance.secret)  # there is one: manage_master_user_password

    def grant_connect(self, grantee: iam.IGrantable, user: str) -> iam.Grant:
        """Allow connecting as the one database role `user` with an IAM token instead of a password."""
        return self.instance.grant_connect(grantee, user)

    def grant_master_secret_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow reading the master password, and its key for this secret only."""
        return grant_secret_read(grantee, self.master_secret, self._key)

    def _option_group(self, keep: bool) -> rds.OptionGroup:
        group = rds.OptionGroup(
            self,
            "OptionGroup",
            description="Plug-ins of the engine",
            engine=self.engine.version,
            configurations=[
                rds.OptionConfiguration(name=name, settings=settings) for name, settings in self.engine.options.items()
            ],
        )
        # RDS deletes no option group that a snapshot needs ("Working with option groups", RDS User Guide).
        group.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else RemovalPolicy.DESTROY)
        return group


def _narrow(monitoring_role: IConstruct, stack: Stack, instance_identifier: str) -> None:
    # "Protecting against the confused deputy problem", RDS User Guide, enhanced monitoring; CDK's role names no source.
    instance = stack.format_arn(
        service="rds", resource="db", resource_name=instance_identifier, arn_format=ArnFormat.COLON_RESOURCE_NAME
    )
    role = cast(iam.CfnRole, monitoring_role.node.default_child)
    role.add_property_override("AssumeRolePolicyDocument.Statement.0.Condition", from_this_account(instance))


def _check_insights(insights: Insights, instance_type: str, engine: DatabaseEngine) -> None:
    if insights != "off" and instance_type in engine.classes_without_insights:
        raise PropError(
            f"insights must be off on instance_type {instance_type} with {engine.name}, got: {insights}. "
            "Micro and small burstable classes have none there; allowed from db.t4g.medium on"
        )
