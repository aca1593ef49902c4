"""The clients move from the AUTH token to a user while the app serves, as docs/token-to-iam.md describes it.

The control plane is played: when the replication group gets its user group, its `default` user has the token as its
password, and AWS may end connections. No request fails. A connection that was ended costs a read past the cache, or a
deletion that the relay repeats.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from constructs_lib import access_string
from local.engines import Valkey
from stacks.cache_rights import COMMANDS, KEY_PATTERNS
from storefront.bootstrap import build_app
from storefront.cache_login import CacheUser
from storefront.settings import Settings
from tests.rotation.server_with_tokens import ServerWithTokens
from tests.rotation.test_rotations_under_load import Load
from tests.storefront.deployment import AUTH_TOKEN

pytestmark = [pytest.mark.engines, pytest.mark.only_on("postgres"), pytest.mark.usefixtures("environment")]

USER = "cache-aside-prod-app"
ENOUGH = 3


@pytest.fixture
def control_plane(valkey: Valkey, client: httpx.Client) -> Iterator[ServerWithTokens]:
    """What changes the server's users; afterwards it knows its own token again."""
    server = ServerWithTokens(valkey)
    yield server
    server.close()
    valkey.kill()
    valkey.start()


def test_no_request_fails_while_the_clients_move_from_the_token_to_a_user(
    control_plane: ServerWithTokens, settings: Settings, product: str, token: str
) -> None:
    with_token = build_app(settings)
    as_user = build_app(replace(settings, cache_login=CacheUser(USER, "the-group")))
    serving = [with_token]
    turns = itertools.count()

    def send(writes: bool) -> Iterator[str]:
        app = serving[next(turns) % len(serving)]
        headers = {"Authorization": f"Bearer {token}"}
        transport = httpx.WSGITransport(app=app)
        with httpx.Client(transport=transport, base_url="http://storefront", headers=headers) as client:
            read = client.get(product).raise_for_status()
            yield "read past the cache" if read.headers["X-Cache"] == "BYPASS" else "read"
            if writes:
                written = client.put(product, json={"name": "Chair", "price": 1}).raise_for_status()
                yield "write, pending" if "X-Invalidation" in written.headers else "write"

    with Load(send) as load:
        served(load)
        control_plane.give_user(USER, access_string(COMMANDS, KEY_PATTERNS))
        control_plane.take_only([AUTH_TOKEN])  # modify-replication-group: now it is the password of the user `default`
        control_plane.hang_up_on("default")
        served(load)
        serving.append(as_user)  # the deployment of the app, execution environment by environment
        served(load)
        wait_for(lambda: control_plane.users() == {"default", USER})
        serving.remove(with_token)
        control_plane.disable_default()
        control_plane.hang_up_on("default")
        served(load)
        wait_for(lambda: control_plane.users() == {USER})
        assert not control_plane.takes(AUTH_TOKEN)

    sys.stdout.write(f"\n{dict(load.answers)}\n")
    kinds = {answer.partition(" on ")[0] for answer in load.answers}
    assert kinds <= {"read", "read past the cache", "write", "write, pending"}


def served(load: Load) -> None:
    """Blocks until ENOUGH more reads and writes each went through the cache, on old and new connections."""
    answers = [f"{kind} on {each}" for kind in ("read", "write") for each in ("an old connection", "a new connection")]
    goals = {answer: load.answers[answer] + ENOUGH for answer in answers}
    wait_for(
        lambda: (
            any("failed" in answer for answer in load.answers) or all(load.answers[a] >= g for a, g in goals.items())
        )
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
