"""Building blocks for a cache in front of a database on AWS.

They take plain keyword props and know nothing of this app. Everything public is exported here; docs/constructs.md lists
it.
"""

from constructs_lib.access.managed_role import ManagedRole
from constructs_lib.access.secret_access import grant_secret_read, grant_secret_rotation
from constructs_lib.access.source import from_this_account
from constructs_lib.cache.auth_token import AuthToken
from constructs_lib.cache.cache_alarms import CacheAlarms
from constructs_lib.cache.cache_users import CacheUsers, access_string
from constructs_lib.cache.replication_group import REDIS_7_1, VALKEY_8_2, CacheEngine, ReplicationGroup
from constructs_lib.compute.auth_token_rotation import SETTLE_PERIOD, AuthTokenRotation
from constructs_lib.compute.data_access import DataAccess
from constructs_lib.compute.gradual_release import GradualRelease
from constructs_lib.compute.invalidation_relay import InvalidationRelay
from constructs_lib.compute.lambda_service import LambdaService
from constructs_lib.compute.live_alias import LiveAlias
from constructs_lib.compute.python_bundle import fingerprint, python_bundle
from constructs_lib.compute.schema_migration import SchemaMigration
from constructs_lib.compute.vpc_function import FunctionSettings, VpcFunction
from constructs_lib.database.database import Database
from constructs_lib.database.database_alarms import DatabaseAlarms
from constructs_lib.database.database_backup import DatabaseBackup
from constructs_lib.database.database_backup_alarms import DatabaseBackupAlarms
from constructs_lib.database.database_engine import DATABASE_ENGINES, MYSQL_8_4, POSTGRES_18, DatabaseEngine
from constructs_lib.database.database_events import DatabaseEvents
from constructs_lib.database.instance_size import InstanceSize, instance_size
from constructs_lib.errors import PropError
from constructs_lib.network.network import Network
from constructs_lib.network.security_groups import ANYWHERE, AllowedPath, SecurityGroups
from constructs_lib.watch.alarm_topic import AlarmTopic
from constructs_lib.watch.alarms import Alarms
from constructs_lib.watch.log_groups import LogKey, LogSettings
from constructs_lib.web.web_entry import HTTP_PORT, HTTPS_PORT, WebEntry
from constructs_lib.web.web_firewall import MANAGED_GROUPS, PathRate, WebFirewall

__all__ = [
    "ANYWHERE",
    "DATABASE_ENGINES",
    "HTTPS_PORT",
    "HTTP_PORT",
    "MANAGED_GROUPS",
    "MYSQL_8_4",
    "POSTGRES_18",
    "REDIS_7_1",
    "SETTLE_PERIOD",
    "VALKEY_8_2",
    "AlarmTopic",
    "Alarms",
    "AllowedPath",
    "AuthToken",
    "AuthTokenRotation",
    "CacheAlarms",
    "CacheEngine",
    "CacheUsers",
    "DataAccess",
    "Database",
    "DatabaseAlarms",
    "DatabaseBackup",
    "DatabaseBackupAlarms",
    "DatabaseEngine",
    "DatabaseEvents",
    "FunctionSettings",
    "GradualRelease",
    "InstanceSize",
    "InvalidationRelay",
    "LambdaService",
    "LiveAlias",
    "LogKey",
    "LogSettings",
    "ManagedRole",
    "Network",
    "PathRate",
    "PropError",
    "ReplicationGroup",
    "SchemaMigration",
    "SecurityGroups",
    "VpcFunction",
    "WebEntry",
    "WebFirewall",
    "access_string",
    "fingerprint",
    "from_this_account",
    "grant_secret_read",
    "grant_secret_rotation",
    "instance_size",
    "python_bundle",
]
