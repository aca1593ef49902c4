"""Physical names: several stages can share one account and region."""

import pytest

from stacks.settings import STAGES
from tests.infra.synthesis import Stage, synthesize

LONGEST_NAMES = {
    "AWS::Backup::BackupVault.BackupVaultName": 50,
    "AWS::ElastiCache::User.UserId": 40,
    "AWS::ElastiCache::UserGroup.UserGroupId": 40,
    "AWS::ElasticLoadBalancingV2::TargetGroup.Name": 32,
    "AWS::Logs::LogGroup.LogGroupName": 512,
    "AWS::RDS::DBInstance.DBInstanceIdentifier": 63,
}
IAM = {"cache__auth": "iam", "web__firewall": "true", "backup__retention_days": "35"}
WITHIN_ANOTHER = {  # unique in their database, their cache or their plan only
    "AWS::ElastiCache::User.UserName",
    "AWS::RDS::DBInstance.CACertificateIdentifier",
    "AWS::RDS::DBInstance.DBName",
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
def test_names_of_every_stage_fit(name: str) -> None:
    long = {kind: value for kind, value in names(synthesize(name, **IAM)) if len(value) > LONGEST_NAMES.get(kind, 999)}
    assert long == {}


@pytest.mark.parametrize("settings", [{"backup__retention_days": "35", "web__firewall": "true"}, IAM])
def test_stages_share_no_name(settings: dict[str, str]) -> None:
    shared = names(synthesize("dev", **settings)) & names(synthesize("prod", **settings))
    assert {kind for kind, _ in shared} <= WITHIN_ANOTHER
