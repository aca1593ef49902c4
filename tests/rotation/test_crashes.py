"""A crash after every single API call of every step, and then what Secrets Manager and EventBridge do next."""

from collections.abc import Callable

import pytest

from tests.rotation.conftest import MakeScene
from tests.rotation.scene import FIRST_TOKEN, STEPS, Crash, Scene

pytestmark = [pytest.mark.engines, pytest.mark.long]


def after_nothing(scene: Scene) -> None:
    """The group takes the one token it was created with."""


def after_a_lost_set(scene: Scene) -> None:
    """A rotation finished and nobody settled it: the group takes two tokens."""
    scene.rotate()


def after_an_abandoned_rotation(scene: Scene) -> None:
    """The group takes AWSCURRENT's token and, as the newer one, another whose version was given up."""
    version = scene.begin()
    for step in STEPS[:-1]:
        scene.step(step, version)
    scene.aws.secret.abandon()


def repeated(scene: Scene) -> None:
    """Secrets Manager repeats the rotation until it succeeds."""
    scene.rotate()


def given_up(scene: Scene) -> None:
    """Secrets Manager is told to forget a rotation that crashed; another one comes later."""
    version = scene.begin()
    try:
        for step in STEPS:
            scene.step(step, version)
    except Crash as crash:
        scene.errors.append(crash)
        scene.aws.secret.abandon()
    scene.rotate()


def begin(make_scene: MakeScene, before: Callable[[Scene], None]) -> Scene:
    scene = make_scene()
    before(scene)
    scene.calls.clear()
    return scene


def rotate_and_settle(scene: Scene, rotate: Callable[[Scene], None]) -> None:
    known = {version.value for version in scene.aws.secret.versions.values() if version.value}
    rotate(scene)
    assert scene.server.takes(scene.current())
    scene.settle_at_last()
    assert scene.server.takes(scene.current())
    assert scene.current() not in known
    others = {v.value for v in scene.aws.secret.versions.values() if v.value} - {scene.current()}
    assert FIRST_TOKEN in others
    assert [token for token in others if scene.server.takes(token)] == []
    assert scene.aws.secret.labels() == ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"]
    assert scene.aws.broken == []


@pytest.mark.parametrize(
    ("before", "rotate", "calls"),
    [
        (after_nothing, repeated, 26),
        (after_nothing, given_up, 50),
        (after_a_lost_set, repeated, 33),
        (after_a_lost_set, given_up, 57),
        (after_an_abandoned_rotation, repeated, 32),
        (after_an_abandoned_rotation, given_up, 56),
    ],
)
def test_a_crash_after_any_call_leaves_one_valid_token_in_the_end(
    make_scene: MakeScene, before: Callable[[Scene], None], rotate: Callable[[Scene], None], calls: int
) -> None:
    clean = begin(make_scene, before)
    rotate_and_settle(clean, rotate)
    assert len(clean.calls) == calls
    for number, call in enumerate(clean.calls):
        scene = begin(make_scene, before)
        scene.crash_at = number
        rotate_and_settle(scene, rotate)
        assert scene.calls[number] == call
        assert isinstance(scene.errors[0], Crash)
