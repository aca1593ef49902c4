"""Physical names: several stages can share one account and region."""

import json
from itertools import combinations

import pytest

from stacks.settings import STAGES, ConfigError, load
from tests.infra.synthesis import SETTINGS, Stage, synthesize
from tests.infra.test_golden_templates import masked

LONGEST_NAMES = {
    "AWS::Backup::BackupVault.BackupVaultName": 50,
    "AWS::ElastiCache::User.UserId": 40,
    "AWS::ElastiCache::UserGroup.UserGroupId": 40,
    "AWS::ElasticLoadBalancingV2::TargetGroup.Name": 32,
    "AWS::Logs::LogGroup.LogGroupName": 512,
    "AWS::RDS::DBInstance.DBInstanceIdentifier": 63,
}
TOKEN = {"backup__retention_days": "35", "web__firewall": "true"}
USERS = {**TOKEN, "cache__auth": "iam", "database__engine": "mysql", "database__instance_type": "db.r7g.large"}
COPY = {"instance": "tenletters"}  # as long as it may be
WITHIN_ANOTHER = {  # unique in their function, their database, their cache or their plan only
    "AWS::ElastiCache::User.UserName",
    "AWS::CodeDeploy::DeploymentGroup.DeploymentConfigName",
    "AWS::Lambda::Alias.Name",
    "AWS::RDS::DBInstance.CACertificateIdentifier",
    "AWS::RDS::DBInstance.DBName",
    "AWS::RDS::OptionGroup.EngineName",
    "AWS::WAFv2::LoggingConfiguration.Name",
}


def names(stage: Stage) -> set[tuple[str, str]]:
    """Every name that the templates of a stage give, with the type and property that it is of."""
    return {
        (f"{resource['Type']}.{name}", value)
        for template in stage.templates.values()
        for resource in template["Resources"].values()
        for name, value in resource.get("Properties", {}).items()
        if name.endswith(("Name", "Identifier", "UserId", "GroupId")) and isinstance(value, str)
        if name != "MetricName"
    }


@pytest.mark.parametrize("name", STAGES)
def test_names_of_every_stage_and_of_its_copies_fit(name: str) -> None:
    stage = synthesize(name, **USERS, **COPY)
    long = {kind: value for kind, value in names(stage) if len(value) > LONGEST_NAMES.get(kind, 999)}
    assert long == {}


@pytest.mark.parametrize(("settings", "copies"), [(TOKEN, [{}]), (USERS, [{}, COPY])])
def test_stages_and_copies_of_a_stage_share_no_name(settings: dict[str, str], copies: list[dict[str, str]]) -> None:
    found = [
        names(synthesize(stage, **settings, **copy)) | stack_names(stage, **copy) for stage in STAGES for copy in copies
    ]
    shared = [one & other for one, other in combinations(found, 2)]
    assert {kind for names in shared for kind, _ in names} <= WITHIN_ANOTHER


def stack_names(stage: str, **settings: str) -> set[tuple[str, str]]:
    config = load(stage, SETTINGS[stage] | settings)
    return {("AWS::CloudFormation::Stack", config.stack_name(stack)) for stack in ("network", "data", "app")}


def test_a_copy_differs_in_names_and_in_nothing_else(dev: Stage) -> None:
    copy = json.dumps(masked(synthesize("dev", instance="blue").templates), sort_keys=True)
    copy = copy.replace("cache-aside-dev-blue", "cache-aside-dev")
    copy = copy.replace('{"Key": "instance", "Value": "blue"}, ', "")
    assert json.loads(copy) == masked(dev.templates)


@pytest.mark.parametrize("stack", ["network", "data", "app"])
def test_no_copy_is_called_like_a_stack(stack: str) -> None:
    with pytest.raises(ConfigError, match=f"instance={stack} is the name of a stack"):
        load("dev", SETTINGS["dev"] | {"instance": stack})
