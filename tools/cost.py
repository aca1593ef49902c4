"""`make cost`: what a stage costs a month, from its synthesized templates and `prices.toml`.

Each line is one kind of resource. Below the total: what single settings change, and what the next larger databases
cost, with which a cache competes. Left out, as cents: transfer between zones, access logs in S3, notifications.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("CDK_VALIDATION", "false")  # read when aws_cdk is imported

import app as cdk_app
from audit.synthesis import NEEDED, STACKS
from constructs_lib import PropError
from stacks.app_stack import WEB_FUNCTION
from stacks.settings import ConfigError

PRICES: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())
SWITCHES = {
    "dev": ({"cache.engine": "valkey"}, {"network.nat_gateways": "1"}, {"database.multi_az": "true"}),
    "prod": (
        {"cache.engine": "valkey"},
        {"cache.nodes": "2"},
        {"cache.auth_token_rotation_days": "none"},
        {"database.insights": "standard"},
        {"web.firewall": "false"},
        {"network.nat_gateways": "3"},
    ),
}
_VCPUS = {"micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4, "2xlarge": 8}
_SECONDS_A_MONTH = 3600 * PRICES["hours_a_month"]

Properties = Mapping[str, Any]


class UnknownPriceError(Exception):
    """The price list lacks what a template has."""


@dataclass(frozen=True)
class Line:
    """So many of something, each at a price a month."""

    what: str
    count: float
    each: float

    @property
    def month(self) -> float:
        """Dollars."""
        return self.count * self.each


def synthesized(stage: str, settings: Mapping[str, str]) -> list[tuple[str, Properties]]:
    """The type and the properties of all that a stage deploys.

    :param stage: dev or prod
    :param settings: laid over an example of what the stage needs
    :raises ConfigError: for a stage or setting that is not allowed
    """
    needed = NEEDED.get(stage, {})
    context = {**cdk_app.cdk_context(), "aws:cdk:bundling-stacks": [], "stage": stage, **needed, **settings}
    with TemporaryDirectory() as directory:
        assembly = cdk_app.build(context, outdir=directory).synth()
        return resources([assembly.get_stack_artifact(name).template for name in STACKS])


def resources(templates: Iterable[Mapping[str, Any]]) -> list[tuple[str, Properties]]:
    """The type and the properties of all that these templates deploy."""
    found = chain.from_iterable(template["Resources"].values() for template in templates)
    return [(resource["Type"], resource.get("Properties", {})) for resource in found]


def lines(stage: str, found: Sequence[tuple[str, Properties]]) -> list[Line]:
    """What the resources cost, and then what their use does.

    :raises UnknownPriceError: for a node type or instance class that the price list lacks
    """
    counted: dict[tuple[str, float], float] = {}
    for kind, properties in found:
        for line in PRICED[kind](properties) if kind in PRICED else ():
            counted[line.what, line.each] = counted.get((line.what, line.each), 0) + line.count
    fixed = [Line(what, count, each) for (what, each), count in counted.items()]
    return fixed + list(_use(PRICES["usage"][stage], found))


def database_class(found: Sequence[tuple[str, Properties]]) -> tuple[str, bool]:
    """The instance class of the database, and whether it has a standby."""
    ((name, multi_az),) = [(p["DBInstanceClass"], p["MultiAZ"]) for kind, p in found if kind == "AWS::RDS::DBInstance"]
    return name, multi_az


def larger_databases(found: Sequence[tuple[str, Properties]]) -> Iterator[tuple[str, float]]:
    """The next two larger classes of the family, and what each costs a month more than the one there is."""
    name, multi_az = database_class(found)
    family = [other for other in PRICES["hourly"]["database"] if other.rpartition(".")[0] == name.rpartition(".")[0]]
    hourly = PRICES["hourly"]["database"]
    for other in family[family.index(name) + 1 :][:2]:
        yield other, (hourly[other] - hourly[name]) * (2 if multi_az else 1) * PRICES["hours_a_month"]


def _hourly(name: str) -> float:
    return float(PRICES["hourly"][name]) * float(PRICES["hours_a_month"])


def _of(kind: str, name: str) -> Any:
    known = PRICES["hourly"][kind]
    if name not in known:
        raise UnknownPriceError(f"tools/prices.toml has no price of {name}: add it. It has {', '.join(known)}")
    return known[name]


def _cache(properties: Properties) -> Iterator[Line]:
    node = properties["CacheNodeType"]
    hourly = _of("cache", node)[properties["Engine"]]
    nodes = int(properties["NumCacheClusters"])
    yield Line(f"cache node {node} ({properties['Engine']})", nodes, hourly * PRICES["hours_a_month"])


def _database(properties: Properties) -> Iterator[Line]:
    name, copies = properties["DBInstanceClass"], 2 if properties["MultiAZ"] else 1
    standby = " and its standby" if properties["MultiAZ"] else ""
    yield Line(f"database {name}{standby}", copies, _of("database", name) * PRICES["hours_a_month"])
    gigabytes = int(properties["AllocatedStorage"]) * copies
    yield Line("database storage, GB", gigabytes, PRICES["gigabyte"]["database_storage"])
    if properties.get("ManageMasterUserPassword"):
        yield from PRICED["AWS::SecretsManager::Secret"]({})
    if properties.get("DatabaseInsightsMode") == "advanced":
        vcpus = _VCPUS[name.rpartition(".")[2]] * copies
        yield Line("Database Insights advanced, vCPU", vcpus, _hourly("database_insights_advanced_a_vcpu"))


def _endpoint(properties: Properties) -> Iterator[Line]:
    if properties.get("VpcEndpointType") == "Interface":
        yield Line("interface endpoint, a zone", len(properties["SubnetIds"]), _hourly("interface_endpoint_a_zone"))


def _load_balancer(properties: Properties) -> Iterator[Line]:
    yield Line("load balancer", 1, _hourly("load_balancer"))
    if properties["Scheme"] == "internet-facing":
        yield Line("public IPv4 address", len(properties["Subnets"]), _hourly("public_ipv4_address"))


def _web_acl(properties: Properties) -> Iterator[Line]:
    yield Line("web ACL", 1, PRICES["monthly"]["web_acl"])
    yield Line("web ACL rule", len(properties["Rules"]), PRICES["monthly"]["web_acl_rule"])


def _nat_gateway(_: Properties) -> Iterator[Line]:
    yield Line("NAT gateway", 1, _hourly("nat_gateway"))
    yield Line("public IPv4 address", 1, _hourly("public_ipv4_address"))


def _monthly(what: str) -> Callable[[Properties], Iterator[Line]]:
    def line(_: Properties) -> Iterator[Line]:
        yield Line(what, 1, PRICES["monthly"][what])

    return line


def _alarm(properties: Properties) -> Iterator[Line]:
    metrics = sum("MetricStat" in metric for metric in properties.get("Metrics", ())) or 1
    yield Line("alarm, a metric", metrics, PRICES["monthly"]["alarm"])


PRICED: Mapping[str, Callable[[Properties], Iterator[Line]]] = {
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::EC2::NatGateway": _nat_gateway,
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::ElastiCache::ReplicationGroup": _cache,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _load_balancer,
    "AWS::KMS::Key": _monthly("key"),
    "AWS::RDS::DBInstance": _database,
    "AWS::SecretsManager::Secret": _monthly("secret"),
    "AWS::WAFv2::WebACL": _web_acl,
}
USED = {"AWS::Backup::BackupVault", "AWS::EC2::FlowLog", "AWS::Lambda::Function", "AWS::Logs::LogGroup"}
"""What costs by its use; the price list says what use is assumed."""


def _use(usage: Mapping[str, float], found: Sequence[tuple[str, Properties]]) -> Iterator[Line]:
    gigabyte, million = PRICES["gigabyte"], PRICES["million"]
    kinds = {kind for kind, _ in found}
    (web,) = [p for kind, p in found if kind == "AWS::Lambda::Function" and p.get("Description") == WEB_FUNCTION]
    requests = usage["requests_a_second"] * _SECONDS_A_MONTH / 1e6
    yield Line("million requests to the function", requests, million["function_requests"])
    (architecture,) = web["Architectures"]
    seconds = requests * usage["request_milliseconds"] / 1000 * web["MemorySize"] / 1024
    price = million["function_gigabyte_seconds"][architecture]
    yield Line(f"million GB-seconds of the function ({architecture})", seconds, price)
    if web.get("TracingConfig"):
        # X-Ray's default: the first request of each second, and a twentieth of the others.
        first = min(1.0, usage["requests_a_second"])
        traces = (first + (usage["requests_a_second"] - first) / 20) * _SECONDS_A_MONTH / 1e6
        yield Line("million traces", traces, million["traces"])
    units = max(1.0, usage["requests_a_second"] / 25)  # a capacity unit has 25 new connections a second
    yield Line("load balancer capacity unit", units, _hourly("load_balancer_capacity_unit"))
    yield Line("responses to the internet, GB", requests * usage["response_kilobytes"], gigabyte["transfer_out"])
    if "AWS::WAFv2::WebACL" in kinds:
        yield Line("million requests to the web ACL", requests, million["web_acl_requests"])
    logs = requests * usage["logs_kilobytes_a_request"] + usage["flow_logs_gigabytes"]
    yield Line("logs, GB", logs, gigabyte["logs"])
    yield Line("custom metric", usage["custom_metrics"], PRICES["monthly"]["custom_metric"])
    if "AWS::Backup::BackupVault" in kinds:
        yield Line("backups in the vault, GB", usage["backups_gigabytes"], gigabyte["backup_vault"])
    for kind, group in found:
        snapshots = (
            int(group.get("SnapshotRetentionLimit", 0)) - 1 if kind == "AWS::ElastiCache::ReplicationGroup" else 0
        )
        if snapshots > 0:
            stored = snapshots * usage["cache_gigabytes"]
            yield Line("snapshots of the cache but the first, GB", stored, gigabyte["cache_snapshot"])
    if "AWS::EC2::NatGateway" in kinds:
        yield Line("through NAT gateways, GB", usage["nat_gigabytes"], gigabyte["nat"])


def total(found: Sequence[Line]) -> float:
    """Dollars a month."""
    return sum(line.month for line in found)


def report(stage: str, settings: Mapping[str, str]) -> Iterator[str]:
    """The table, the settings that change it, and what larger databases cost."""
    found = synthesized(stage, settings)
    own = lines(stage, found)
    yield f"{'resource':48}{'count':>10}{'each':>10}{'$ a month':>12}"
    for line in sorted(own, key=lambda line: -line.month):
        yield f"{line.what:48}{line.count:10,.6g}{line.each:10,.4g}{line.month:12,.2f}"
    yield f"{f'{stage}, in all':68}{total(own):12,.2f}"
    yield ""
    usage = ", ".join(f"{name.replace('_', ' ')}: {value:g}" for name, value in PRICES["usage"][stage].items())
    yield f"Prices of us-east-1, read {PRICES['read']}, and the use of the stage: tools/prices.toml. Assumed here:"
    yield usage
    yield ""
    for switch in SWITCHES[stage]:
        if switch.keys() & settings.keys():
            continue
        change = total(lines(stage, synthesized(stage, {**settings, **switch}))) - total(own)
        yield f"with {' '.join(f'{key}={value}' for key, value in switch.items()):63}{change:+12,.2f}"
    for name, more in larger_databases(found):
        yield f"{f'{name} in place of {database_class(found)[0]}':68}{more:+12,.2f}"


def main() -> None:
    """Print what a stage costs; or one clear error."""
    parser = argparse.ArgumentParser(prog="make cost", description=__doc__)
    parser.add_argument("stage")
    parser.add_argument("-c", "--context", action="append", default=[], metavar="SETTING=VALUE")
    given = parser.parse_args()
    settings = dict(text.partition("=")[::2] for text in given.context)
    try:
        for line in report(given.stage, settings):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except (ConfigError, PropError, UnknownPriceError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
