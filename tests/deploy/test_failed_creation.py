"""A creation of what holds data may fail at any of its resources and be repeated, be protected, and be given up."""

import json
import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from local.cloud import LocalCloud
from local.emulator.refusals import FAILURES
from tests.infra.synthesis import synthesize

pytestmark = [pytest.mark.emulator, pytest.mark.engines]
STATEFUL = {
    "AWS::Backup::BackupVault",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    "AWS::RDS::OptionGroup",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
}
Template = dict[str, Any]


class Formation:
    """CloudFormation in the emulator, called as the CDK CLI calls it."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._client = cloud.emulator.session().client("cloudformation", endpoint_url=cloud.emulator.url)
        self._change_sets = 0

    def deploy(self, stack: str, template: Template, *, rollback: bool = True) -> str:
        """The status in which one deployment ends."""
        self._change_sets += 1
        exists = stack in self.statuses()
        name = f"change-{self._change_sets}"
        self._client.create_change_set(
            StackName=stack,
            ChangeSetName=name,
            ChangeSetType="UPDATE" if exists else "CREATE",
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_IAM"],
        )
        self._client.execute_change_set(StackName=stack, ChangeSetName=name, DisableRollback=not rollback)
        return self._settled(stack)

    def delete(self, stack: str) -> str:
        """The status in which the deletion ends; empty when the stack is gone."""
        self._client.delete_stack(StackName=stack)
        return self._settled(stack)

    def why(self, stack: str) -> str:
        """The reasons of all failures."""
        events = self._client.describe_stack_events(StackName=stack)["StackEvents"]
        return "\n".join(e.get("ResourceStatusReason", "") for e in events if e["ResourceStatus"].endswith("_FAILED"))

    def statuses(self) -> dict[str, str]:
        """The status of every stack that exists."""
        return {stack["StackName"]: stack["StackStatus"] for stack in self._client.describe_stacks()["Stacks"]}

    def _settled(self, stack: str) -> str:
        deadline = time.monotonic() + 120
        while (status := self.statuses().get(stack, "")).endswith("_IN_PROGRESS"):
            assert time.monotonic() < deadline, status
            time.sleep(0.05)
        return status


@pytest.fixture(scope="module")
def cloud(home: Any) -> Iterator[LocalCloud]:
    cloud = LocalCloud(home, say=print)
    cloud.start()
    ended = Event()

    def start_engines() -> None:  # the emulator answers nobody while it waits for one
        while not ended.wait(0.1):
            cloud.reconcile()

    tending = Thread(target=start_engines)
    tending.start()
    yield cloud
    ended.set()
    tending.join()
    cloud.stop()


@pytest.fixture(scope="module")
def formation(cloud: LocalCloud) -> Formation:
    formation = Formation(cloud)
    assert formation.deploy("imports", _exporting(_data())) == "CREATE_COMPLETE"
    return formation


def _data() -> Template:
    """What holds data in prod, in the deployment that creates it: the data stack and what others have of its kind."""
    stage = synthesize("prod", cache__auth_token_rotation_days="none", creating="network,data,app")
    data = json.loads(json.dumps(stage.templates["Data"]))
    del data["Parameters"], data["Rules"]  # they read what the CDK CLI's bootstrap leaves in the account
    mysql = synthesize("prod", database__engine="mysql")
    for found, resource_type in ((stage, "AWS::S3::Bucket"), (mysql, "AWS::RDS::OptionGroup")):
        ((name, resource),) = found.resources(resource_type).items()
        data["Resources"][name] = {key: part for key, part in resource.items() if key != "DependsOn"}
    assert {r["Type"] for r in data["Resources"].values() if r.get("DeletionPolicy", "Delete") != "Delete"} == STATEFUL
    return dict(data)


def _exporting(template: Template) -> Template:
    """A template that exports all that the given one imports: subnets that exist, and anything for the rest."""
    resources: Template = {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}
    outputs = {}
    for number, name in enumerate(sorted(set(_imports(template)))):
        value: object = f"value-{number}"
        if "Subnet" in name:
            properties = {"VpcId": {"Ref": "Vpc"}, "CidrBlock": f"10.0.{number}.0/24"}
            resources[f"Subnet{number}"] = {"Type": "AWS::EC2::Subnet", "Properties": properties}
            value = {"Ref": f"Subnet{number}"}
        outputs[f"Output{number}"] = {"Value": value, "Export": {"Name": name}}
    return {"Resources": resources, "Outputs": outputs}


def _imports(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "Fn::ImportValue" in part:
            yield part["Fn::ImportValue"]
        for inner in part.values():
            yield from _imports(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _imports(inner)


def _called(template: Template, name: str) -> Template:
    """The same with other names."""
    text = (
        json.dumps(template).replace("cache-aside-prod", name).replace(f"{name}-network:", "cache-aside-prod-network:")
    )
    return dict(json.loads(text))


def _fail(cloud: LocalCloud, *types: str) -> None:
    (cloud.emulator.directory / FAILURES).write_text("\n".join(types))


def _protected(template: Template, *, protected: bool) -> Template:
    changed = json.loads(json.dumps(template))
    for resource in changed["Resources"].values():
        if resource["Type"] == "AWS::RDS::DBInstance":
            resource["Properties"]["DeletionProtection"] = protected
    return dict(changed)


def test_a_creation_that_fails_once_at_every_type_goes_on_until_it_succeeds(
    cloud: LocalCloud, formation: Formation
) -> None:
    _fail(cloud, *STATEFUL)
    statuses: list[str] = []
    while not statuses or not statuses[-1].endswith("_COMPLETE"):
        statuses.append(formation.deploy("data", _data(), rollback=False))
        assert len(statuses) <= len(STATEFUL) + 1
    assert (cloud.emulator.directory / FAILURES).read_text() == ""  # each has failed
    assert statuses == ["CREATE_FAILED", *["UPDATE_FAILED"] * (len(STATEFUL) - 1), "UPDATE_COMPLETE"]


def test_a_protected_database_stops_the_deletion_of_its_stack(formation: Formation) -> None:
    assert formation.deploy("data", _protected(_data(), protected=True)) == "UPDATE_COMPLETE"
    assert formation.delete("data") == "DELETE_FAILED"
    assert "is protected from deletion" in formation.why("data")


def test_an_unprotected_stack_goes_and_its_names_stay_taken_until_what_it_left_is_deleted(
    cloud: LocalCloud, formation: Formation
) -> None:
    template = _called(_data(), "cache-aside-prod-old")
    assert formation.deploy("old", template) == "CREATE_COMPLETE"
    assert formation.delete("old") == ""
    logs = cloud.emulator.session().client("logs", endpoint_url=cloud.emulator.url)
    left = logs.describe_log_groups(logGroupNamePrefix="/aws/rds/instance/cache-aside-prod-old/")["logGroups"]
    assert [group["logGroupName"].rpartition("/")[2] for group in left] == ["postgresql", "upgrade"]
    assert formation.deploy("old", template) == "ROLLBACK_COMPLETE"
    assert "already exists" in formation.why("old")
    assert formation.deploy("new", _called(_data(), "cache-aside-prod-new")) == "CREATE_COMPLETE"


@pytest.mark.parametrize("policy", ["RetainExceptOnCreate", "Retain"])
def test_a_creation_that_was_rolled_back_can_be_repeated_unless_something_is_plainly_retained(
    cloud: LocalCloud, formation: Formation, policy: str
) -> None:
    name = f"cache-aside-prod-{policy.lower()}"
    template = _called(_data(), name)
    text = json.dumps(template).replace('"DeletionPolicy": "RetainExceptOnCreate"', f'"DeletionPolicy": "{policy}"')
    _fail(cloud, "AWS::RDS::DBInstance")
    assert formation.deploy(name, json.loads(text)) == "ROLLBACK_COMPLETE"
    formation.delete(name)
    again = formation.deploy(name, json.loads(text))
    assert again == ("CREATE_COMPLETE" if policy == "RetainExceptOnCreate" else "ROLLBACK_COMPLETE")
