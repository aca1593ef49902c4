"""Replication groups and database instances that are real: each asks the supervisor for an engine and waits for it."""

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from local.emulator.ministack import (
    RESOURCE_HANDLERS,
    Created,
    Properties,
    elasticache,
    provisioners,
    rds,
    secrets_manager,
)
from local.engine_requests import EngineRequest, withdraw
from local.processes import free_port
from local.tls import Certificates

_CACHE, _DATABASE = "AWS::ElastiCache::ReplicationGroup", "AWS::RDS::DBInstance"
# What runs here for each engine of RDS.
_DATABASES: Mapping[str, Literal["postgres", "mariadb"]] = {"postgres": "postgres", "mysql": "mariadb"}
_START_TIMEOUT_SECONDS = 60.0


class EngineHandlers:
    """The handlers of the two types. Requests go to `directory`; `certificates` are what the engines will show."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self._directory = directory
        self._certificates = certificates
        self._stock_cache = RESOURCE_HANDLERS[_CACHE]
        self._stock_database = RESOURCE_HANDLERS[_DATABASE]

    def register(self) -> None:
        """Replaces the stock handlers, which know endpoints but run nothing."""
        RESOURCE_HANDLERS[_CACHE] = {
            **self._stock_cache,
            "create": self._create_cache,
            "update": self._update_cache,
            "delete": self._delete_cache,
        }
        RESOURCE_HANDLERS[_DATABASE] = {
            **self._stock_database,
            "create": self._create_database,
            "update": self._update_database,
            "delete": self._delete_database,
        }

    def _create_cache(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        group_id, _ = self._stock_cache["create"](logical_id, properties, stack_name)
        try:
            return self._with_cache(group_id, properties)
        except Exception:
            self._delete_cache(group_id, properties)
            raise

    def _update_cache(self, physical_id: str, old: Properties, new: Properties, *rest: str) -> Created:
        group_id, _ = self._stock_cache["update"](physical_id, old, new, *rest)
        if group_id != physical_id:
            withdraw(self._directory, physical_id)
        return self._with_cache(group_id, new)

    def _delete_cache(self, physical_id: str, properties: Properties) -> None:
        withdraw(self._directory, physical_id)
        self._stock_cache["delete"](physical_id, properties)

    def _with_cache(self, group_id: str, properties: Properties) -> Created:
        """The group with endpoints that answer: its engine goes on, or starts when the group is new or replaced."""
        if not properties.get("TransitEncryptionEnabled") or not properties.get("AuthToken"):
            raise ValueError(
                f"{_CACHE}: the local engine serves TLS with an AUTH token only; the template leaves one out"
            )
        (node_group,) = elasticache._replication_groups[group_id]["NodeGroups"]
        known = EngineRequest.find(self._directory, group_id)
        if known and node_group["PrimaryEndpoint"]["Port"] == known.port:
            incarnation, port = known.incarnation, known.port
        else:
            incarnation, port = secrets.token_hex(4), free_port()
        self._run(EngineRequest(group_id, incarnation, "valkey", port, properties["AuthToken"]))
        endpoint = {"Address": "localhost", "Port": port}
        node_group.update(PrimaryEndpoint=endpoint, ReaderEndpoint=endpoint)
        for member in node_group["NodeGroupMembers"]:
            member["ReadEndpoint"] = endpoint
        return group_id, provisioners._ec_rg_attrs(group_id)

    def _create_database(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        instance_id, _ = self._stock_database["create"](logical_id, properties, stack_name)
        try:
            return self._with_database(instance_id, properties)
        except Exception:
            self._delete_database(instance_id, properties)
            raise

    def _update_database(self, physical_id: str, old: Properties, new: Properties, *rest: str) -> Created:
        before = rds._instances.get(physical_id)
        instance_id, _ = self._stock_database["update"](physical_id, old, new, *rest)
        if rds._instances[instance_id] is not before:
            self._forget_database(physical_id, before)
        return self._with_database(instance_id, new)

    def _delete_database(self, physical_id: str, properties: Properties) -> None:
        self._forget_database(physical_id, rds._instances.get(physical_id))
        self._stock_database["delete"](physical_id, properties)

    def _forget_database(self, instance_id: str, instance: dict[str, Any] | None) -> None:
        withdraw(self._directory, instance_id)
        if instance and "MasterUserSecret" in instance:
            secret_id = instance["MasterUserSecret"]["SecretArn"]
            secrets_manager._delete_secret({"SecretId": secret_id, "ForceDeleteWithoutRecovery": True})

    def _with_database(self, instance_id: str, properties: Properties) -> Created:
        """The instance with its managed master secret and an endpoint that answers."""
        if not properties.get("ManageMasterUserPassword"):
            raise ValueError(
                f"{_DATABASE}: the local engine needs ManageMasterUserPassword; the template leaves it out"
            )
        if properties.get("Engine") not in _DATABASES:
            raise ValueError(f"{_DATABASE}: the local engines are {', '.join(_DATABASES)}; the template names another")
        instance = rds._instances[instance_id]
        if "MasterUserSecret" not in instance:
            self._start_database(instance_id, instance, _DATABASES[properties["Engine"]])
        return instance_id, {
            **provisioners._rds_db_instance_attrs(instance),
            "MasterUserSecret.SecretArn": instance["MasterUserSecret"]["SecretArn"],
        }

    def _start_database(self, instance_id: str, instance: dict[str, Any], kind: Literal["postgres", "mariadb"]) -> None:
        incarnation, port, password = secrets.token_hex(4), free_port(), secrets.token_urlsafe(24)
        username, database = instance["MasterUsername"], instance["DBName"]
        self._run(EngineRequest(instance_id, incarnation, kind, port, password, username, database))
        arn = secrets_manager.create_secret_in_process(
            f"rds!db-{instance['DbiResourceId']}-{incarnation}",
            json.dumps({"username": username, "password": password}),
            f"The secret associated with the primary RDS DB instance: {instance['DBInstanceArn']}",
        )
        instance["MasterUserSecret"] = {"SecretArn": arn, "SecretStatus": "active"}
        instance["Endpoint"].update(Address="localhost", Port=port)

    def _run(self, request: EngineRequest) -> None:
        """Asks for the engine and blocks until it answers as asked, 60 s at most."""
        request.write(self._directory)
        engine = request.engine(self._directory, self._certificates)
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while True:
            try:
                return engine.ping()
            except engine.not_ready as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no {request.kind} answers on {engine.endpoint}: {error}") from error
                time.sleep(0.1)
