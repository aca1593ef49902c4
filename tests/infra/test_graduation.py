"""From one cache node to Multi-AZ in two deployments (docs/graduating-to-multi-az.md)."""

from typing import Any

import pytest

from tests.infra.replacement import replacements
from tests.infra.synthesis import STACKS, Stage, synthesize

CACHE = "AWS::ElastiCache::ReplicationGroup"


@pytest.fixture(scope="module")
def with_replicas() -> Stage:
    return synthesize("dev", cache__nodes="2")


@pytest.fixture(scope="module")
def with_failover() -> Stage:
    return synthesize("dev", cache__nodes="2", cache__multi_az="true")


def changed(before: Stage, after: Stage) -> dict[str, tuple[Any, Any]]:
    old, new = before.properties(CACHE), after.properties(CACHE)
    return {key: (old[key], new[key]) for key in old if old[key] != new[key]}


def test_first_deployment_only_adds_nodes(dev: Stage, with_replicas: Stage) -> None:
    assert changed(dev, with_replicas) == {"NumCacheClusters": (1, 2)}


def test_second_deployment_only_turns_failover_on(with_replicas: Stage, with_failover: Stage) -> None:
    expected = {"AutomaticFailoverEnabled": (False, True), "MultiAZEnabled": (False, True)}
    assert changed(with_replicas, with_failover) == expected


@pytest.mark.parametrize("stack", STACKS)
def test_neither_deployment_replaces_anything(
    dev: Stage, with_replicas: Stage, with_failover: Stage, stack: str
) -> None:
    assert replacements(dev.templates[stack], with_replicas.templates[stack]) == []
    assert replacements(with_replicas.templates[stack], with_failover.templates[stack]) == []


def test_a_third_zone_moves_no_subnet(dev: Stage) -> None:
    wider = synthesize("dev", network__zones="3")
    assert len(wider.resources("AWS::EC2::Subnet")) == len(dev.resources("AWS::EC2::Subnet")) + 3
    assert replacements(dev.templates["Network"], wider.templates["Network"]) == []


def test_switching_to_valkey_changes_engine_and_family_together_and_replaces_nothing(dev: Stage) -> None:
    valkey = synthesize("dev", cache__engine="valkey")
    assert changed(dev, valkey) == {"Engine": ("redis", "valkey"), "EngineVersion": ("7.1", "8.2")}
    family = valkey.properties("AWS::ElastiCache::ParameterGroup")["CacheParameterGroupFamily"]
    assert family == "valkey8"
    assert replacements(dev.templates["Data"], valkey.templates["Data"]) == []
