"""The security groups of all three stacks are the table of stacks/network_policy.py, and nothing else."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from constructs_lib import ANYWHERE, AllowedPath
from stacks.network_policy import GROUPS, allowed_paths
from tests.infra.synthesis import SETTINGS, Stage, synthesize

NO_EGRESS = "Disallow all traffic"  # CDK's placeholder in a group without egress; it matches no traffic
Rule = tuple[str, str, str, str, int, str]


def table(paths: tuple[AllowedPath, ...]) -> Counter[Rule]:
    """What the table asks for: each path as egress of its source and as ingress of its target, if they are groups."""
    rules: Counter[Rule] = Counter()
    for path in paths:
        if path.target in GROUPS:
            rules["ingress", path.target, path.source, "tcp", path.port, path.why] += 1
        if path.source in GROUPS:
            rules["egress", path.source, path.target, "tcp", path.port, path.why] += 1
    return rules


def synthesized(stage: Stage) -> Counter[Rule]:
    """Every rule of every stack, inline or a resource of its own."""
    return Counter(rule for rule in _rules(stage))


def _rules(stage: Stage) -> Iterator[Rule]:
    names = {
        logical_id: _name(resource["Properties"]["GroupDescription"])
        for logical_id, resource in stage.resources("AWS::EC2::SecurityGroup").items()
    }
    for logical_id, resource in stage.resources("AWS::EC2::SecurityGroup").items():
        for direction in ("ingress", "egress"):
            for rule in resource["Properties"].get(f"SecurityGroup{direction.capitalize()}", []):
                if rule["Description"] != NO_EGRESS:
                    yield _rule(direction, names[logical_id], rule, names)
    for direction in ("ingress", "egress"):
        for resource in stage.resources(f"AWS::EC2::SecurityGroup{direction.capitalize()}").values():
            rule = resource["Properties"]
            yield _rule(direction, names[rule["GroupId"]["Fn::GetAtt"][0]], rule, names)


def _rule(direction: str, group: str, rule: dict[str, Any], names: dict[str, str]) -> Rule:
    assert rule["FromPort"] == rule["ToPort"]
    peer = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    other = names[peer["Fn::GetAtt"][0]] if peer else rule["CidrIp"]
    return direction, group, other, rule["IpProtocol"], rule["FromPort"], rule["Description"]


def _name(description: str) -> str:
    return next(name for name, text in GROUPS.items() if text == description)


def test_prod_has_exactly_the_paths_of_the_table(prod: Stage) -> None:
    paths = allowed_paths(listener_port=443, listener_cidrs=[ANYWHERE], database_port=5432, internet_egress=False)
    assert synthesized(prod) == table(paths)


def test_mysql_has_exactly_the_paths_of_the_table(mysql: Stage) -> None:
    paths = allowed_paths(listener_port=443, listener_cidrs=[ANYWHERE], database_port=3306, internet_egress=False)
    assert synthesized(mysql) == table(paths)


def test_dev_has_exactly_the_paths_of_the_table(dev: Stage) -> None:
    cidrs = [SETTINGS["dev"]["web.allowed_cidrs"]]
    paths = allowed_paths(listener_port=80, listener_cidrs=cidrs, database_port=5432, internet_egress=False)
    assert synthesized(dev) == table(paths)


def test_nat_gateways_open_the_app_tier_to_port_443_and_to_nothing_else(dev: Stage) -> None:
    with_nat = synthesize("dev", network__nat_gateways="1")
    assert len(with_nat.resources("AWS::EC2::NatGateway")) == 1
    ((rule, count),) = (synthesized(with_nat) - synthesized(dev)).items()
    assert (rule[:5], count) == (("egress", "AppSG", ANYWHERE, "tcp", 443), 1)


def test_only_the_listener_admits_addresses(stage: Stage) -> None:
    assert {rule[1] for rule in synthesized(stage) if "/" in rule[2]} == {"LoadBalancerSG"}


def test_cache_and_database_have_no_egress_and_no_path_to_each_other(any_stage: Stage) -> None:
    of_the_data_tier = [rule for rule in synthesized(any_stage) if rule[1] in {"CacheSG", "RDSSG"}]
    port = {"postgres": 5432, "mysql": 3306}[any_stage.properties("AWS::RDS::DBInstance")["Engine"]]
    assert sorted(rule[:5] for rule in of_the_data_tier) == [
        ("ingress", "CacheSG", "AppSG", "tcp", 6379),
        ("ingress", "RDSSG", "AppSG", "tcp", port),
    ]


def test_every_group_without_egress_carries_the_placeholder(stage: Stage) -> None:
    inline = {
        _name(r["Properties"]["GroupDescription"]): r["Properties"].get("SecurityGroupEgress", [])
        for r in stage.resources("AWS::EC2::SecurityGroup").values()
    }
    assert {name: [rule["Description"] for rule in rules] for name, rules in inline.items()} == {
        name: [] if name == "AppSG" else [NO_EGRESS] for name in GROUPS
    }


def test_functions_inside_the_vpc_wear_the_app_group(stage: Stage) -> None:
    worn = [
        f["Properties"]["VpcConfig"]["SecurityGroupIds"]
        for f in stage.resources("AWS::Lambda::Function").values()
        if "VpcConfig" in f["Properties"]
    ]
    assert len(worn) == {"dev": 3, "prod": 4}[stage.name]
    assert all("AppSG" in str(groups) and len(groups) == 1 for groups in worn)
