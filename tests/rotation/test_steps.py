"""The steps one by one: what each leaves behind, what each refuses, and what none of them ever says."""

import logging
import string
import traceback

import pytest

from functions.auth_token_rotation.errors import GroupBusyError, RotationError
from functions.auth_token_rotation.secret import DRAINING_SINCE, TWO_TOKENS
from functions.auth_token_rotation.settings import Settings
from tests.rotation.conftest import MakeScene
from tests.rotation.fake_secret import ARN, FIRST_VERSION
from tests.rotation.scene import FIRST_TOKEN, STEPS, Scene, Time

pytestmark = pytest.mark.engines


def done_until(scene: Scene, last: str) -> str:
    """A rotation after which the step called `last` was the last one."""
    version = scene.begin()
    for step in STEPS[: STEPS.index(last) + 1]:
        scene.step(step, version)
    return version


def all_steps(scene: Scene, version: str) -> None:
    """Each of the four, once."""
    for step in STEPS:
        scene.step(step, version)


def pending(scene: Scene) -> str:
    token = scene.aws.secret.value("AWSPENDING")
    assert token
    return token


def test_a_token_has_64_letters_and_digits_and_is_made_once(scene: Scene) -> None:
    version = done_until(scene, "createSecret")
    token = pending(scene)
    assert len(token) == 64
    assert set(token) <= set(string.ascii_letters + string.digits)
    scene.step("createSecret", version)
    assert pending(scene) == token
    assert scene.calls.count("PutSecretValue") == 1


def test_both_tokens_work_once_the_new_one_is_set(scene: Scene) -> None:
    done_until(scene, "testSecret")
    assert scene.server.takes(FIRST_TOKEN)
    assert scene.server.takes(pending(scene))
    assert scene.current() == FIRST_TOKEN


def test_setting_a_token_that_works_already_changes_nothing(scene: Scene) -> None:
    version = done_until(scene, "testSecret")
    scene.step("setSecret", version)
    assert scene.calls.count("ModifyReplicationGroup") == 1


def test_both_tokens_work_until_the_drain_is_over(make_scene: MakeScene) -> None:
    scene = make_scene(drain_seconds=3600)
    scene.rotate()
    assert [scene.settle(), scene.settle()] == ["draining", "draining"]
    assert scene.server.takes(FIRST_TOKEN)
    assert scene.server.takes(scene.current())
    assert [label for label in scene.aws.secret.labels() if label.startswith("CACHE")] == [
        next(label for label in scene.aws.secret.labels() if label.startswith(DRAINING_SINCE)),
        TWO_TOKENS,
    ]


def test_the_old_token_is_refused_after_the_drain(scene: Scene) -> None:
    scene.rotate()
    assert scene.settle() == "settled"
    assert not scene.server.takes(FIRST_TOKEN)
    assert scene.server.takes(scene.current())


def test_nothing_is_asked_of_the_cache_while_nothing_rotates(scene: Scene) -> None:
    assert scene.settle() == "settled"
    assert scene.calls == ["DescribeSecret"]


def test_settling_leaves_a_rotation_alone_that_is_under_way(scene: Scene) -> None:
    version = done_until(scene, "testSecret")
    assert scene.settle() == "rotating"
    scene.step("finishSecret", version)
    assert scene.aws.broken == []


def test_the_next_rotation_ends_a_drain_that_has_not_ended(make_scene: MakeScene) -> None:
    scene = make_scene(drain_seconds=3600)
    scene.rotate()
    second = scene.current()
    scene.rotate()
    assert not scene.server.takes(FIRST_TOKEN)
    assert scene.server.takes(second)
    assert scene.server.takes(scene.current())
    assert scene.aws.broken == []


def test_an_abandoned_rotation_is_settled_in_favour_of_the_token_that_clients_have(scene: Scene) -> None:
    done_until(scene, "testSecret")
    abandoned = pending(scene)
    scene.aws.secret.abandon()
    assert [scene.settle(), scene.settle()] == ["draining", "settled"]
    assert not scene.server.takes(abandoned)
    assert scene.server.takes(FIRST_TOKEN)
    assert scene.current() == FIRST_TOKEN
    assert scene.aws.broken == []


def test_a_finished_rotation_that_is_repeated_begins_no_second_drain(scene: Scene) -> None:
    version = done_until(scene, "finishSecret")
    scene.settle_at_last()
    labels = scene.aws.secret.labels()
    all_steps(scene, version)
    assert scene.aws.secret.labels() == labels


@pytest.mark.parametrize("status", ["snapshotting", "creating", "deleting"])
def test_a_group_that_will_be_busy_for_long_fails_the_step_at_once(scene: Scene, status: str) -> None:
    version = done_until(scene, "createSecret")
    scene.aws.group.status = status
    scene.calls.clear()
    with pytest.raises(GroupBusyError, match=f"is {status}: to be tried again later"):
        scene.step("setSecret", version)
    assert scene.calls.count("DescribeReplicationGroups") == 1
    assert "ModifyReplicationGroup" not in scene.calls


def test_a_step_gives_up_before_its_function_would_be_ended(scene: Scene) -> None:
    version = done_until(scene, "setSecret")
    scene.aws.group.seconds = 3600
    scene.aws.group.status = "modifying"
    with pytest.raises(GroupBusyError, match="is modifying"):
        scene.step("testSecret", version, seconds=21)


def test_a_busy_group_makes_settling_wait_for_the_next_event(scene: Scene) -> None:
    scene.rotate()
    scene.aws.group.status = "snapshotting"
    assert scene.settle() == "waiting"
    scene.aws.group.status = "available"
    assert scene.settle() == "settled"


def test_the_trial_of_a_new_schedule_succeeds_if_the_cache_takes_the_current_token(scene: Scene) -> None:
    version = scene.begin()
    assert scene.step("testSecret", version) == {"state": "done"}
    assert scene.calls == ["DescribeSecret", "DescribeReplicationGroups", "GetSecretValue"]
    scene.server.take_only(["a-token-that-nobody-knows-of"])
    with pytest.raises(RotationError, match="refuses the token of AWSCURRENT"):
        scene.step("testSecret", version)


def test_a_token_that_was_never_set_does_not_become_current(scene: Scene) -> None:
    version = done_until(scene, "createSecret")
    scene.step("testSecret", version)
    with pytest.raises(RotationError, match="refuses the token of AWSPENDING"):
        scene.step("finishSecret", version)
    assert scene.current() == FIRST_TOKEN
    scene.rotate(version)
    assert scene.current() == scene.aws.secret.value("AWSPENDING")


def test_a_token_that_was_lost_while_it_was_set_fails_its_test_and_the_repetition_sets_it(scene: Scene) -> None:
    version = done_until(scene, "setSecret")
    scene.aws.group.forget_modification()
    with pytest.raises(RotationError, match="refuses the token of AWSPENDING"):
        scene.step("testSecret", version)
    scene.rotate(version)
    assert scene.server.takes(scene.current())


@pytest.mark.parametrize("step", ["setSecret", "finishSecret"])
def test_a_version_without_a_token_is_named_as_such(scene: Scene, step: str) -> None:
    with pytest.raises(RotationError, match="has no token: createSecret has to come first"):
        scene.step(step, scene.begin())


def test_a_version_that_is_not_pending_is_refused(scene: Scene) -> None:
    version = scene.begin()
    scene.aws.secret.abandon()
    with pytest.raises(RotationError, match="neither AWSPENDING nor AWSCURRENT"):
        scene.step("setSecret", version)


def test_another_secret_and_an_unknown_step_are_refused(scene: Scene) -> None:
    event = {"Step": "setSecret", "SecretId": ARN + "2", "ClientRequestToken": FIRST_VERSION}
    with pytest.raises(RotationError, match="another secret"):
        scene.function(event, Time())
    with pytest.raises(RotationError, match="unknown step 'dropSecret'"):
        scene.step("dropSecret", scene.begin())


def test_set_is_never_sent_for_a_token_that_the_cache_refuses(scene: Scene) -> None:
    scene.rotate()
    scene.aws.group.tokens = [FIRST_TOKEN]
    scene.server.take_only([FIRST_TOKEN])
    with pytest.raises(RotationError, match="refuses the token of AWSCURRENT"):
        scene.settle()
    assert scene.calls.count("ModifyReplicationGroup") == 1


def test_labels_that_somebody_moved_are_reported(scene: Scene) -> None:
    scene.rotate()
    scene.aws.secret.versions[FIRST_VERSION].labels.clear()
    with pytest.raises(RotationError, match=r"changed by hand: see docs/rotation\.md"):
        scene.settle()


def test_the_server_must_prove_who_it_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    version = done_until(scene, "setSecret")
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(RotationError, match="the cache cannot be asked: ConnectionError"):
        scene.step("testSecret", version)


@pytest.mark.parametrize(
    "operation",
    [
        "DescribeSecret",
        "GetSecretValue",
        "GetRandomPassword",
        "PutSecretValue",
        "UpdateSecretVersionStage",
        "DescribeReplicationGroups",
        "ModifyReplicationGroup",
    ],
)
def test_no_token_is_in_a_log_or_an_error_even_if_aws_quotes_it(
    scene: Scene, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "functions")
    version = scene.begin()
    scene.aws.refused = {operation}
    with pytest.raises(RotationError, match=f"^{operation}.*: AccessDeniedException$") as refused:
        all_steps(scene, version)
    scene.aws.refused = set()
    scene.rotate(version)
    scene.settle_at_last()
    text = caplog.text + "".join(traceback.format_exception(refused.value))
    assert "finishSecret" in text
    tokens = [version.value for version in scene.aws.secret.versions.values() if version.value]
    assert [token in text for token in tokens] == [False, False]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ELASTICACHE_REPLICATION_GROUP_ID": None}, "ELASTICACHE_REPLICATION_GROUP_ID is not set"),
        ({"DRAIN_SECONDS": "soon"}, "ELASTICACHE_ENDPOINT or DRAIN_SECONDS"),
        ({"ELASTICACHE_ENDPOINT": "a b"}, "ELASTICACHE_ENDPOINT or DRAIN_SECONDS"),
    ],
)
def test_a_wrong_environment_is_named(variables: dict[str, str | None], message: str) -> None:
    given: dict[str, str | None] = {
        "ELASTICACHE_ENDPOINT": "cache:6379",
        "ELASTICACHE_AUTH_SECRET_ARN": ARN,
        "ELASTICACHE_REPLICATION_GROUP_ID": "cache",
        "DRAIN_SECONDS": "900",
    }
    environment = {name: value for name, value in (given | variables).items() if value is not None}
    with pytest.raises(RotationError, match=message):
        Settings.from_environment(environment)
