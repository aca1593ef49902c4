"""What is deployed in the local account, read through the AWS API as any client would."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from botocore.config import Config

from local.emulator.process import Emulator

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

_DIRECT = Config(proxies={})  # never through a proxy that the shell may name
_SETTLED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
_STACKS = ("network", "data", "app")


class Deployment:
    """One stage in the emulator."""

    def __init__(self, emulator: Emulator, stage: str) -> None:
        self._url = emulator.url
        self._credential_headers = emulator.credential_headers
        self._stage = stage
        self.session = emulator.session()
        self._formation = self.session.client("cloudformation", endpoint_url=self._url, config=_DIRECT)

    def statuses(self) -> dict[str, str]:
        """The status of each stack of the stage that exists, by its name."""
        return {stack["StackName"]: stack["StackStatus"] for stack in self._stacks()}

    def settled(self) -> bool:
        """Whether all stacks of the stage exist and none was left half-finished."""
        statuses = self.statuses()
        return len(statuses) == len(_STACKS) and _SETTLED.issuperset(statuses.values())

    def outputs(self) -> dict[str, str]:
        """The outputs of all its stacks, without the exports that CDK adds."""
        return {
            output["OutputKey"]: output["OutputValue"]
            for stack in self._stacks()
            for output in stack.get("Outputs", [])
            if "ExportName" not in output
        }

    def engine_endpoints(self) -> set[str]:
        """`host:port` of cache and database."""
        outputs = self.outputs()
        return {outputs["ElastiCacheEndpoint"], outputs["RdsEndpoint"]}

    def _stacks(self) -> "list[StackTypeDef]":
        ours = {f"cache-aside-{self._stage}-{name}" for name in _STACKS}
        return [stack for stack in self._formation.describe_stacks()["Stacks"] if stack["StackName"] in ours]

    def function_environment(self) -> dict[str, str]:
        """The variables that the deployed function runs with."""
        functions = self.session.client("lambda", endpoint_url=self._url, config=_DIRECT)
        configuration = functions.get_function_configuration(FunctionName=self.outputs()["FunctionName"])
        return dict(configuration["Environment"]["Variables"])

    def first_operator(self) -> dict[str, str]:
        """The login of the first operator: `username` and `password`."""
        secrets = self.session.client("secretsmanager", endpoint_url=self._url, config=_DIRECT)
        secret = secrets.get_secret_value(SecretId=self.outputs()["FirstOperatorSecretArn"])["SecretString"]
        return dict(json.loads(secret))

    def request(
        self, path: str, *, method: str = "GET", body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Sends a request through the deployed load balancer to the deployed function; `body` becomes JSON."""
        load_balancer = urlsplit(self.outputs()["LoadBalancerUrl"]).hostname or ""
        url, headers = self._url + path, {"Host": load_balancer, **self._credential_headers, **(headers or {})}
        return httpx.request(method, url, json=body, headers=headers, timeout=30, trust_env=False)
