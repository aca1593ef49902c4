"""The templates of both stages, as reviewed. `make snapshot` accepts a change; its diff is reviewed as code."""

import json
import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation
from syrupy.types import SnapshotIndex

from tests.infra.replacement import replacements
from tests.infra.synthesis import STACKS, Stage, Template

GOLDEN = Path(__file__).with_name("golden")
ASSET_HASH = re.compile(r"\b[0-9a-f]{64}\b")
VERSION_HASH = re.compile(r"(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}")  # over the function with its asset

DIGEST = re.compile(r'("CONFIGURATION_DIGEST": ")[0-9a-f]{16}')  # over CDK's release, too


class GoldenTemplate(JSONSnapshotExtension):
    """One readable file a template: golden/{stage}/{stack}.json."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        return str(GOLDEN)

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        return str(GOLDEN / f"{index}.json")


def masked(template: Template) -> Template:
    """The template without the hashes of assets and migrations, so that an edit of a handler changes no golden file."""
    text = VERSION_HASH.sub(r"\1HASH", ASSET_HASH.sub("HASH", json.dumps(template)))
    text = DIGEST.sub(r"\1HASH", text)
    without_hashes: Template = json.loads(text)
    return without_hashes


@pytest.mark.filterwarnings("ignore:.*Can not relate snapshot location")  # it lies where a reader looks for it
@pytest.mark.parametrize("stack", STACKS)
def test_template_is_the_golden_one(stage: Stage, stack: str, snapshot: SnapshotAssertion) -> None:
    assert masked(stage.templates[stack]) == snapshot(name=f"{stage.name}/{stack}", extension_class=GoldenTemplate)


@pytest.mark.parametrize("stack", STACKS)
def test_no_stateful_resource_of_the_golden_template_is_replaced(stage: Stage, stack: str) -> None:
    golden = json.loads((GOLDEN / stage.name / f"{stack}.json").read_text())
    assert replacements(golden, masked(stage.templates[stack])) == []


def test_a_changed_create_only_property_is_reported(prod: Stage) -> None:
    golden = json.loads((GOLDEN / "prod" / "Data.json").read_text())
    changed = masked(prod.templates["Data"])
    (cache_id,) = [i for i, r in changed["Resources"].items() if r["Type"] == "AWS::ElastiCache::ReplicationGroup"]
    changed["Resources"][cache_id]["Properties"]["Port"] = 6380
    assert replacements(golden, changed) == [f"{cache_id} (AWS::ElastiCache::ReplicationGroup): Port changes"]


def test_a_renamed_stateful_resource_is_reported(prod: Stage) -> None:
    golden = json.loads((GOLDEN / "prod" / "Data.json").read_text())
    changed = masked(prod.templates["Data"])
    (database_id,) = [i for i, r in changed["Resources"].items() if r["Type"] == "AWS::RDS::DBInstance"]
    changed["Resources"]["Renamed"] = changed["Resources"].pop(database_id)
    assert replacements(golden, changed) == [f"{database_id} (AWS::RDS::DBInstance): is gone"]
