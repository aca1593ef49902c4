"""Whoever guesses learns nothing and costs little: not by what is answered, not by what is done, not in memory."""

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from tests.storefront.clients import wait_until
from tests.storefront.deployment import OPERATOR

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a password was hashed with which parameters."""
    done: Counter[str] = Counter()
    scrypt = hashlib.scrypt

    def count(password: bytes, **parameters: Any) -> bytes:
        done[str({name: value for name, value in parameters.items() if name != "salt"})] += 1
        return scrypt(password, **parameters)

    monkeypatch.setattr(hashlib, "scrypt", count)
    return done


@pytest.mark.attack("learn which users exist from a login", "the same answer, and a hash of the same cost")
def test_login_does_the_same_work_whether_the_user_exists_or_not(client: httpx.Client, hashing: Counter[str]) -> None:
    known = client.post("/sessions", json={**OPERATOR, "password": "a guess"})
    unknown = client.post("/sessions", json={"username": "nobody", "password": "a guess"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert list(hashing.values()) == [2]


@pytest.mark.attack("guess tokens", "refused; a guess leaves a few bytes in the cache for a second")
def test_guessed_tokens_are_refused_and_leave_nothing_in_the_cache_after_a_second(
    client: httpx.Client, cache: redis.Redis
) -> None:
    before = cache.dbsize()
    for _ in range(300):
        guess = {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}
        assert client.get("/sessions/current", headers=guess).status_code == 401
    assert all(cache.pttl(key) <= 1000 for key in cache.scan_iter("session:*") if cache.strlen(key) <= 13)
    wait_until(lambda: cache.dbsize() <= before)


def test_token_that_differs_in_one_character_is_another_token(client: httpx.Client, token: str) -> None:
    for other in (
        token[:-1],
        token + "A",
        token.swapcase(),
        f"{token} ",
        f"{token[:-1]}{'B' if token[-1] == 'A' else 'A'}",
    ):
        answer = client.get("/sessions/current", headers={"Authorization": f"Bearer {other}"})
        assert answer.status_code == 401


@pytest.mark.attack(
    "fix a session before its victim logs in", "the server makes the token and takes none from the client"
)
def test_login_never_adopts_a_token_that_the_client_brought(client: httpx.Client) -> None:
    chosen = secrets.token_urlsafe(32)
    headers = {"Authorization": f"Bearer {chosen}", "Cookie": f"session={chosen}"}
    tokens = {client.post("/sessions", json=OPERATOR, headers=headers).json()["token"] for _ in range(2)}
    assert len(tokens | {chosen}) == 3
    assert client.get("/sessions/current", headers={"Authorization": f"Bearer {chosen}"}).status_code == 401


@pytest.fixture
def small_cache(cache: redis.Redis) -> Iterator[int]:
    """An eighth of a mebibyte more than it has now is all that it may use; it evicts as deployed."""
    limit = int(cache.info("memory")["used_memory"]) + 128 * 1024
    cache.config_set("maxmemory-policy", "allkeys-lru")
    cache.config_set("maxmemory", limit)
    yield limit
    cache.config_set("maxmemory", 0)
    cache.config_set("maxmemory-policy", "noeviction")


@pytest.mark.attack(
    "flood the cache with ids that do not exist",
    "each costs one small entry for at most 30 s; past `maxmemory` the cache evicts and keeps serving",
)
def test_flood_of_unknown_ids_is_bounded_in_memory_and_in_time(
    client: httpx.Client, cache: redis.Redis, small_cache: int
) -> None:
    first = 10**12
    for product_id in range(first, first + 2500):
        assert client.get(f"/products/{product_id}").status_code == 404
    assert cache.info("stats")["evicted_keys"] > 0
    assert cache.info("memory")["used_memory"] < small_cache + 256 * 1024
    kept = list(cache.scan_iter(f"product:{first // 10**6}*", count=1000))
    assert kept
    lifetimes = {cache.pttl(key) for key in kept}
    assert max(lifetimes) <= 30_000
    assert -1 not in lifetimes  # none is for ever
    assert client.get("/products/1").status_code == 200
