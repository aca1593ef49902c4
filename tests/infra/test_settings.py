"""Settings: what is allowed, and what an error says about it."""

import json
from pathlib import Path

import pytest

from audit.settings_matrix import refusal
from constructs_lib import DATABASE_ENGINES
from stacks import aws_rules
from stacks.settings import STAGES, ConfigError, StageConfig, example, load, settings
from stacks.settings_model import CLASSES_WITHOUT_INSIGHTS
from tests.infra.synthesis import SETTINGS
from tools.refresh_classes import CLASSES, classes

CERTIFICATE = SETTINGS["prod"]["certificate_arn"]
VAULT = "arn:aws:backup:eu-west-1:444455556666:backup-vault:copies"


def load_dev(**overrides: str) -> StageConfig:
    return load("dev", SETTINGS["dev"] | {key.replace("__", "."): text for key, text in overrides.items()})


def test_text_is_converted_by_the_type_of_its_setting() -> None:
    config = load_dev(
        cache__nodes="3",
        cache__multi_az="true",
        cache__node_type="cache.r7g.xlarge",
        web__allowed_cidrs="203.0.113.7/32, 198.51.100.0/24",
        app__reserved_concurrency="5",
        app__python="3.12",
        account="012345678901",
    )
    assert (config.cache.nodes, config.cache.multi_az, config.cache.node_type) == (3, True, "cache.r7g.xlarge")
    assert [str(cidr) for cidr in config.web.allowed_cidrs] == ["203.0.113.7/32", "198.51.100.0/24"]
    assert (config.app.reserved_concurrency, config.app.python, config.account) == (5, "3.12", "012345678901")


def test_none_unsets_a_setting_that_may_be_unset() -> None:
    assert load("prod", SETTINGS["prod"] | {"app.reserved_concurrency": "none"}).app.reserved_concurrency is None
    assert load("prod", SETTINGS["prod"] | {"network.availability_zones": "none"}).network.availability_zones == ()


def test_unknown_stage_names_the_allowed_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown stage 'prdo'; allowed: dev, prod"):
        load("prdo")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("cache.nodetype", "cache.node_type or cache.nodes"),
        ("multi_az", "cache.multi_az or database.multi_az"),
        ("web.allowed_cidr", "web.allowed_cidrs"),
        ("certificate-arn", "certificate_arn"),
        ("stages", "stage"),
    ],
)
def test_unknown_setting_is_answered_with_the_one_that_was_meant(key: str, meant: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load("dev", SETTINGS["dev"] | {key: "x"})
    assert str(refused.value) == f"unknown setting {key!r}. Did you mean {meant}? All settings: docs/settings.md"


def test_a_setting_that_resembles_none_is_answered_with_the_page_of_all() -> None:
    with pytest.raises(ConfigError, match=r"^unknown setting 'qqq'\. All settings: docs/settings\.md$"):
        load("dev", {"qqq": "1"})


def test_the_stage_is_no_setting() -> None:
    assert "stage" not in settings()


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        ("cache.engine", "memcached", "'redis' or 'valkey'"),
        ("cache.nodes", "7", "less than or equal to 6"),
        ("cache.nodes", "3.0", "valid integer"),
        ("cache.nodes", "three", "valid integer"),
        ("cache.nodes", "true", "valid integer"),
        ("cache.multi_az", "yes", "valid boolean"),
        ("cache.node_type", "r7g.large", "Example: cache.node_type=cache.r7g.large"),
        ("cache.node_type", "cache.foo.bar", "there is no family foo; families: c7gn, c8gn, m4"),
        ("cache.node_type", "cache.t1.micro", "there is no family t1"),
        ("cache.node_type", "cache.r7g.huge", "no size huge; its sizes: large, xlarge"),
        ("cache.node_type", "cache.r6gd.xlarge", "need data tiering"),
        ("cache.node_type", "cache.t2.micro", "have no Multi-AZ"),
        ("cache.snapshot_window", "03:00-03:59", "lasts 59 min, and AWS asks for at least 60"),
        ("cache.snapshot_window", "04:00-03:00", "perhaps because its ends are exchanged"),
        ("cache.maintenance_window", "sun:05:00-sun:05:30", "AWS asks for at least 60"),
        ("cache.maintenance_window", "sun:05:30-sun:04:30", "lasts 167 h 0 min"),
        ("database.backup_window", "02:00-02:29", "AWS asks for at least 30"),
        ("database.maintenance_window", "sun:05:30-tue:05:30", "at most 24 h are allowed"),
        ("database.instance_type", "db.t1.micro", "there is no family t1"),
        ("database.instance_type", "db.serverless", "Example: database.instance_type=db.r7g.large"),
        ("network.cidr", "127.0.0.0/16", "have other uses and cannot be a VPC"),
        ("network.cidr", "169.254.0.0/16", "have other uses"),
        ("network.cidr", "224.0.0.0/16", "have other uses"),
        ("network.availability_zones", "eu-west-1a,eu-west-1x", "a letter from a to f"),
        ("network.availability_zones", "us-east-1-bos-1a,us-east-1b", "local zones"),
        ("network.availability_zones", "eu-west-9a,eu-west-9b", "there is no region eu-west-9"),
        ("region", "eu-west-9", "regions of similar names: eu-west-"),
        ("certificate_arn", "arn:aws:acm:eu-west-1:111122223333:certificate/mine", "not the complete ARN"),
        ("domain_name", "-shop.example.com", "no hyphen at either end"),
        ("domain_name", "shop-.example.com", "no hyphen at either end"),
        ("domain_name", f"{'a' * 64}.example.com", "1 to 63"),
        ("domain_name", "example", "labels joined by dots"),
        ("domain_name", f"{'a' * 30}.{'b' * 30}.example.com", "has 73 characters, and ACM takes 64"),
        ("hosted_zone_id", "Z" + "A" * 32, "it has another form"),
        ("certificate_arn", CERTIFICATE.replace("us-east-1", "eu-nowhere-9"), "there is no region eu-nowhere-9"),
        ("certificate_arn", CERTIFICATE.replace("arn:aws:", "arn:aws-cn:"), "its partition is aws-cn, and that of us-"),
        ("backup.copy_to_vault_arn", VAULT.replace("eu-west-1", "nowhere"), "there is no region nowhere"),
        ("backup.copy_to_vault_arn", VAULT.replace("arn:aws:", "arn:aws-cn:"), "its partition is aws-cn"),
        ("backup.copy_to_vault_arn", VAULT + "/x", "not the complete ARN of a backup vault"),
        ("app.memory_mib", "9" * 5000, "valid integer"),
        ("database.backup_window", "\N{ARABIC-INDIC DIGIT ZERO}2:00-02:45", "it has another form"),
        ("permissions_boundary", "///", "it has another form"),
        ("permissions_boundary", "Gränze", "it has another form"),
        ("web.access_log_deletion_role", "Löscher", "it has another form"),
        ("web.allowed_cidrs", ",".join(f"10.0.{i}.0/24" for i in range(61)), "61 ranges are more than the 60 rules"),
        ("web.allowed_cidrs", "10.0.0.0/24,10.0.1.0/24,10.0.0.0/24", "10.0.0.0/24 stands there twice"),
        ("cache.snapshot_window", "25:00-26:00", "Example: cache.snapshot_window=03:00-04:00"),
        ("database.engine", "mariadb", "'postgres' or 'mysql'"),
        ("database.instance_type", "t4g.micro", "Example: database.instance_type=db.r7g.large"),
        ("database.monitoring_interval_seconds", "7", "1, 5, 10, 15, 30 or 60"),
        ("web.allowed_cidrs", "203.0.113.7/24", "host bits"),
        ("web.allowed_cidrs", "everyone", "4 octets"),
        ("app.architecture", "arm", "'arm64' or 'x86_64'"),
        ("app.reserved_concurrency", "0", "greater than or equal to 1"),
        ("account", "12", "Example: account=111122223333"),
        ("region", "frankfurt", "Example: region=eu-west-1"),
        ("network.zones", "4", "less than or equal to 3"),
        ("log_retention_days", "8", "7, 30, 90"),
    ],
)
def test_refused_value_is_named_with_what_is_allowed(key: str, text: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_dev(**{key.replace(".", "__"): text})
    assert key in str(refused.value)
    assert text.split(",")[0] in str(refused.value)
    assert allowed in str(refused.value)


NEEDED_WITH = {  # what an example needs beside it, to be looked at by itself
    "domain_name": {"hosted_zone_id": "Z1"},
    "hosted_zone_id": {"domain_name": "shop.example.com"},
    "network.availability_zones": {"network.zones": "2"},
    "backup.vault_name": {"backup.retention_days": "35"},
    "backup.vault_lock": {"backup.retention_days": "35"},
    "backup.copy_to_vault_arn": {"backup.retention_days": "35"},
    "database.max_allocated_storage_gib": {"database.allocated_storage_gib": "20"},
}


@pytest.mark.parametrize("key", settings())
def test_example_of_a_setting_is_allowed(key: str) -> None:
    load("dev", SETTINGS["dev"] | NEEDED_WITH.get(key, {}) | {key: example(key)})


@pytest.mark.parametrize("key", settings())
def test_every_refusal_shows_an_example_and_no_regular_expression(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load("dev", SETTINGS["dev"] | {key: "*odd value*"})
    assert f"{key}=*odd value* is not allowed" in str(refused.value)
    assert f"Example: {key}={example(key)}" in str(refused.value)
    assert "pattern" not in str(refused.value)


@pytest.mark.parametrize(
    "cidrs",
    ["0.0.0.0/0", "0.0.0.0/1,128.0.0.0/1", "203.0.113.7/32,0.0.0.0/1,128.0.0.0/2,192.0.0.0/2", "10.0.0.0/15"],
)
def test_without_a_certificate_the_world_is_not_let_in(cidrs: str) -> None:
    with pytest.raises(ConfigError, match=r"without a certificate, passwords travel in plain text, so at most 65,536"):
        load_dev(web__allowed_cidrs=cidrs)


def test_overlapping_addresses_are_counted_once() -> None:
    load_dev(web__allowed_cidrs="10.0.0.0/16,10.0.1.0/24,10.0.2.7/32")
    with pytest.raises(ConfigError, match="admits 65,537 addresses"):
        load_dev(web__allowed_cidrs="10.0.0.0/16,10.1.0.0/32")


def test_with_a_certificate_the_world_may_come_in() -> None:
    load_dev(web__allowed_cidrs="0.0.0.0/1,128.0.0.0/1", certificate_arn=example("certificate_arn"))


@pytest.mark.parametrize(
    ("snapshots", "maintenance"),
    [
        ("23:30-00:30", "sun:12:00-sun:13:00"),
        ("03:00-04:00", "sun:23:30-mon:00:30"),
        ("03:00-04:00", "wed:04:00-wed:05:00"),
    ],
)
def test_windows_may_reach_over_midnight_and_touch(snapshots: str, maintenance: str) -> None:
    load_dev(cache__snapshot_window=snapshots, cache__maintenance_window=maintenance)


@pytest.mark.parametrize("maintenance", ["mon:00:00-mon:01:00", "sun:23:00-mon:00:15", "wed:20:00-thu:00:45"])
def test_windows_meet_over_midnight_and_over_the_end_of_the_week(maintenance: str) -> None:
    with pytest.raises(ConfigError, match="overlaps"):
        load_dev(cache__snapshot_window="23:30-00:30", cache__maintenance_window=maintenance)


def test_a_snapshot_window_that_is_not_used_may_overlap() -> None:
    load_dev(cache__snapshot_retention_days="0", cache__maintenance_window="sun:03:30-sun:04:30")


def test_mysql_has_no_insights_where_the_construct_refuses_them() -> None:
    without = DATABASE_ENGINES["mysql"].classes_without_insights
    sizes = {f"db.{family}.{size}" for family, sizes in classes()["db"].items() for size in sizes}
    assert {name for name in sizes if name.endswith(CLASSES_WITHOUT_INSIGHTS)} == sizes & without


WITHOUT_ROOTS = {
    "ap-east-2",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "il-central-1",
    "mx-central-1",
    "cn-north-1",
    "cn-northwest-1",
    "us-gov-east-1",
    "us-gov-west-1",
}


def test_every_region_of_rds_has_roots_in_the_bundle_or_is_refused_by_name() -> None:
    said = {region: refusal("dev", {"region": region}) for region in aws_rules.regions()}
    refused = {region for region, message in said.items() if message}
    assert [region for region in refused if f"has no root certificate of RDS in {region}" not in said[region]] == []
    isolated = {region for region in refused if region.startswith(("us-iso", "eu-isoe", "eusc"))}
    assert refused - isolated == WITHOUT_ROOTS


def test_a_region_whose_roots_are_not_in_the_bundle_any_more_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load_dev(region="eu-west-1")
    bundle = tmp_path / "rds-ca-bundle.pem"
    bundle.write_text(aws_rules.RDS_ROOTS.read_text().replace("eu-west-1", "eu-west-2"))
    monkeypatch.setattr(aws_rules, "RDS_ROOTS", bundle)
    with pytest.raises(ConfigError, match="has no root certificate of RDS in eu-west-1"):
        load_dev(region="eu-west-1")


def test_python_3_11_on_arm64_is_for_the_emulator_only() -> None:
    with pytest.raises(ConfigError, match=r"app\.python=3\.11 needs app\.architecture=x86_64"):
        load_dev(app__python="3.11")
    load_dev(app__python="3.11", app__architecture="x86_64")
    load_dev(app__python="3.11", account="000000000000")


def test_classes_are_those_that_the_installed_cfn_lint_knows() -> None:
    assert json.loads(CLASSES.read_text()) == classes()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"cache__multi_az": "true"}, r"cache\.multi_az=true needs cache\.nodes of at least 2, not 1"),
        ({"network__availability_zones": "eu-west-1a"}, r"network\.zones=2"),
        ({"network__availability_zones": "eu-west-1a,eu-west-1a"}, r"network\.zones=2"),
        ({"network__nat_gateways": "3"}, r"more than network\.zones=2"),
        ({"network__cidr": "10.0.0.0/24"}, r"give a /16 to a /20"),
        ({"network__availability_zones": "eu-west-1a,eu-west-2b"}, r"name zones of one region"),
        (
            {"network__availability_zones": "eu-west-1a,eu-west-1b", "region": "eu-west-2"},
            r"are not in region=eu-west-2",
        ),
        ({"network__zones": "3", "region": "us-west-1"}, r"an account has 2 zones in region=us-west-1"),
        (
            {"certificate_arn": CERTIFICATE, "region": "eu-west-1"},
            r"is in region us-east-1 .* takes one of its own: eu-",
        ),
        ({"certificate_arn": CERTIFICATE, "account": "999900001111"}, r"and account 111122223333; .* and 999900001111"),
        (
            {"cache__maintenance_window": "sun:03:30-sun:04:30"},
            r"overlaps cache\.maintenance_window=sun:03:30-sun:04:30",
        ),
        ({"database__backup_window": "06:00-06:30"}, r"overlaps database\.maintenance_window=sun:05:30-sun:06:30"),
        ({"database__engine": "mysql", "database__insights": "standard"}, r"micro and small classes have none"),
        ({"database__max_allocated_storage_gib": "22", "database__allocated_storage_gib": "21"}, r"at least 10 %"),
        ({"backup__vault_name": "central"}, r"do nothing without a plan: give backup\.retention_days"),
        ({"backup__vault_lock": "compliance"}, r"do nothing without a plan"),
        ({"backup__copy_to_vault_arn": VAULT}, r"do nothing without a plan"),
        (
            {"backup__retention_days": "35", "backup__vault_lock": "compliance", "backup__vault_name": "central"},
            r"backup\.vault_name=central exists: lock that one yourself",
        ),
        (
            {"backup__retention_days": "35", "backup__copy_to_vault_arn": VAULT, "region": "us-east-1"},
            r"is in region eu-west-1; this copy takes a vault in region=us-east-1",
        ),
        (
            {
                "backup__retention_days": "35",
                "backup__copy_to_vault_arn": VAULT.replace("copies", "cache-aside-dev"),
                "account": "444455556666",
            },
            r"is the vault that the backups are in",
        ),
        ({"domain_name": "shop.example.com"}, r"hosted_zone_id go together"),
        ({"domain_name": "shop.example.com", "hosted_zone_id": "Z1", "certificate_arn": CERTIFICATE}, r"exclude"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_dev(**overrides)


def test_fails_when_prod_has_no_certificate() -> None:
    with pytest.raises(ConfigError, match="give certificate_arn, or domain_name with hosted_zone_id"):
        load("prod")


def test_fails_when_dev_admits_nobody() -> None:
    with pytest.raises(ConfigError, match=r"give web\.allowed_cidrs"):
        load("dev")


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_dev().cache.nodes = 2


def test_every_setting_is_described() -> None:
    assert [key for key, field in settings().items() if not field.description] == []


def test_every_value_of_a_stage_is_a_setting() -> None:
    assert [key for values in STAGES.values() for key in values if key not in settings()] == []
