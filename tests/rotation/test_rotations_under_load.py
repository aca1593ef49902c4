"""Rotations of the AUTH token by the real function while the app serves: no request fails, none goes past the cache.

ROTATIONS and ROTATION_SECONDS say how many, in how much time. Of the time of one rotation a third is the drain and a
tenth is what the replication group takes for each of its two modifications; in AWS it is 15 minutes and some minutes.
"""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import httpx
import pytest

from local.engines import Valkey
from storefront.bootstrap import build_app
from storefront.cache_login import AuthToken
from storefront.settings import Settings
from tests.rotation.fake_aws import FakeAws
from tests.rotation.fake_secret import ARN
from tests.rotation.scene import FIRST_TOKEN, Scene
from tests.rotation.server_with_tokens import ServerWithTokens

pytestmark = [pytest.mark.engines, pytest.mark.only_on("postgres"), pytest.mark.usefixtures("environment")]

ROTATIONS = int(os.environ.get("ROTATIONS", "2"))
SECONDS = float(os.environ.get("ROTATION_SECONDS", "8")) / ROTATIONS
WORKERS = 3
ANSWERS = {f"{kind} on {each}" for kind in ("read", "write") for each in ("an old connection", "a new connection")}


@pytest.fixture
def scene(valkey: Valkey, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """The function and the app's cache; afterwards the server knows its own token again."""
    aws = FakeAws()
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    server = ServerWithTokens(valkey)
    yield Scene(aws, server, drain_seconds=max(1, int(SECONDS / 3)), modification_seconds=SECONDS / 10)
    aws.close()
    valkey.kill()
    valkey.start()


@dataclass
class Load:
    """Requests without a pause, each a read and every fifth a write as well.

    Some threads stay and keep their connections; others send one request on a connection of their own.
    """

    send: Callable[[bool], Iterator[str]]
    answers: Counter[str] = field(default_factory=Counter)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=target) for target in [*[self._stay] * WORKERS, self._come_and_go]]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _stay(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            self._count(number, "an old connection")

    def _come_and_go(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            visitor = threading.Thread(target=self._count, args=(number, "a new connection"))
            visitor.start()
            visitor.join()

    def _count(self, number: int, connection: str) -> None:
        try:
            for answer in self.send(number % 5 == 0):
                self.answers[f"{answer} on {connection}"] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the request failed
            self.answers[f"failed: {error!r}"] += 1


def failed(answer: httpx.Response) -> str:
    """What was wrong with it."""
    return f"failed: {answer.request.method} {answer.status_code} {answer.headers.get('X-Cache', '')} {answer.text}"


def test_no_request_fails_while_the_token_rotates(scene: Scene, settings: Settings, product: str, token: str) -> None:
    app = build_app(replace(settings, cache_login=AuthToken(ARN)))

    def send(writes: bool) -> Iterator[str]:
        headers = {"Authorization": f"Bearer {token}"}
        transport = httpx.WSGITransport(app=app)
        with httpx.Client(transport=transport, base_url="http://storefront", headers=headers) as client:
            read = client.get(product)
            through_the_cache = read.headers["X-Cache"] in {"HIT", "JOINED", "MISS"}
            yield "read" if read.status_code == 200 and through_the_cache else failed(read)
            if writes:
                written = client.put(product, json={"name": "Chair", "price": 1})
                yield (
                    "write"
                    if written.status_code == 200 and "X-Invalidation" not in written.headers
                    else failed(written)
                )

    tokens = [FIRST_TOKEN]
    with Load(send) as load:
        for _ in range(ROTATIONS):
            began = time.monotonic()
            scene.rotate()
            while scene.settle() != "settled":
                time.sleep(SECONDS / 50)
            tokens.append(scene.current())
            time.sleep(max(0.0, began + SECONDS - time.monotonic()))
        while load.answers.keys() <= ANSWERS and any(load.answers[answer] < 10 for answer in ANSWERS):
            time.sleep(0.01)

    sys.stdout.write(f"\n{ROTATIONS} rotations in {SECONDS * ROTATIONS:.0f} s: {dict(load.answers)}\n")
    assert [scene.server.takes(each) for each in tokens] == [False] * ROTATIONS + [True]
    assert scene.aws.broken == []
    assert load.answers.keys() == ANSWERS
    assert min(load.answers.values()) >= 10
