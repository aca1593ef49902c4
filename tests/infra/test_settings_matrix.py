"""Every documented value of a setting is allowed, or refused with a sentence; what is allowed synthesizes."""

from itertools import combinations

import pytest

from audit.settings_matrix import CHOICES, allowed, beyond, points, refusal, validated
from stacks.settings import STAGES, settings
from tests.infra.synthesis import SETTINGS, build, nag_findings

# Values that a stage refuses by themselves, since they need others beside them.
NEED_OTHERS = {
    ("dev", "web.allowed_cidrs", "none"): "give web.allowed_cidrs",
    ("prod", "web.allowed_cidrs", "none"): "give web.allowed_cidrs",
    ("dev", "network.nat_gateways", "3"): "more than network.zones=2",
    ("prod", "network.availability_zones", "eu-west-1a,eu-west-1b"): "network.zones=3",
    ("dev", "cache.multi_az", "true"): "needs cache.nodes of at least 2",
    ("prod", "cache.nodes", "1"): "needs cache.nodes of at least 2",
    ("dev", "database.allocated_storage_gib", "59578"): "must exceed",
    ("prod", "database.allocated_storage_gib", "59578"): "must exceed",
    ("prod", "database.max_allocated_storage_gib", "22"): "must exceed",
    ("dev", "backup.vault_name", "central-vault"): "do nothing without a plan",
    ("dev", "backup.vault_lock", "compliance"): "do nothing without a plan",
    ("dev", "backup.copy_to_vault_arn", "arn:aws:backup:eu-west-1:444455556666:backup-vault:copies"): "without a plan",
    ("prod", "region", "eu-west-1"): "is in region us-east-1",
    ("dev", "app.python", "3.11"): "app.architecture=x86_64",
    ("prod", "app.python", "3.11"): "app.architecture=x86_64",
    ("prod", "certificate_arn", "none"): "give certificate_arn, or domain_name",
    **{
        (stage, key, value): "go together"
        for stage in STAGES
        for key, value in (("domain_name", "shop.example.com"), ("hosted_zone_id", "Z0123456789ABCDEFGHIJ"))
    },
}
WEAK = {
    "deletion_protection": "false",
    "web.firewall": "false",
    "database.multi_az": "false",
    "cache.multi_az": "false",
    "cache.nodes": "1",
    "cache.auth_token_rotation_days": "none",
    "cache.snapshot_retention_days": "0",
    "backup.retention_days": "none",
    "app.reserved_concurrency": "none",
    "web.allowed_cidrs": "203.0.113.0/24",
}
STRONG = {
    "deletion_protection": "true",
    "web.firewall": "true",
    "database.multi_az": "true",
    "cache.multi_az": "true",
    "cache.nodes": "2",
    "cache.auth_token_rotation_days": "7",
    "cache.snapshot_retention_days": "35",
    "backup.retention_days": "7",
    "app.reserved_concurrency": "5",
    "certificate_arn": SETTINGS["prod"]["certificate_arn"],
    "web.allowed_cidrs": "0.0.0.0/0",
}


def test_every_literal_boolean_and_bound_is_allowed_or_needs_another_setting_that_the_refusal_names() -> None:
    refused = {(stage, key, value): reason for stage, key, value, reason in validated() if reason}
    assert refused.keys() == NEED_OTHERS.keys()
    assert [reason for place, reason in refused.items() if NEED_OTHERS[place] not in reason] == []


@pytest.mark.parametrize("stage", STAGES)
def test_the_numbers_just_outside_the_bounds_are_refused_with_an_example(stage: str) -> None:
    outside = [(key, value) for key, field in settings().items() for value in beyond(field)]
    assert len(outside) > 20
    assert [place for place in outside if f"Example: {place[0]}=" not in refusal(stage, dict([place]))] == []


def test_the_points_hold_every_pair_of_choices() -> None:
    found = points()
    missing = [
        (one, other)
        for ones, others in combinations(CHOICES.values(), 2)
        for one in ones
        for other in others
        if not any(one.items() <= point.items() and other.items() <= point.items() for point in found)
    ]
    assert missing == []


def test_every_setting_with_a_few_values_is_among_the_choices() -> None:
    chosen = {key for choices in CHOICES.values() for choice in choices for key in choice}
    two_or_three = {key for key, field in settings().items() if set(allowed(field)) == {"true", "false"}}
    assert two_or_three <= chosen


@pytest.mark.parametrize(
    ("stage", "overrides"),
    [
        ("prod", WEAK),
        ("dev", STRONG),
        ("dev", {"backup.retention_days": "7"}),
        ("prod", {"cache.nodes": "2", "cache.multi_az": "false"}),
    ],
)
def test_no_pack_finds_anything_unexplained_in_weak_and_strong_settings(stage: str, overrides: dict[str, str]) -> None:
    assert nag_findings(build({"stage": stage, **SETTINGS[stage], **overrides})) == []
