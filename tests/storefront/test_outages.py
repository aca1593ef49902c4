"""What is answered while the cache, the database or a secret is out of reach."""

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from wsgiref.types import WSGIApplication

import httpx
import pytest

from cache_aside import Options
from local.engines import Valkey
from storefront.bootstrap import build_app
from storefront.cache_login import AuthToken
from storefront.policies import PRODUCT
from storefront.settings import Settings
from tests.storefront.deployment import AUTH_SECRET, AUTH_TOKEN, OPERATOR, frozen
from tests.storefront.fake_secrets_manager import FakeSecretsManager
from tests.storefront.sql import Connection, SqlEngine

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

CHAIR = {"name": "Chair", "price": 19.90}


def served_after_recovery(client: httpx.Client, path: str) -> list[str]:
    """X-Cache of the first two answers that are no BYPASS."""
    deadline = time.monotonic() + 30
    while (first := client.get(path).headers["X-Cache"]) == "BYPASS":
        assert time.monotonic() < deadline
    return [first, client.get(path).headers["X-Cache"]]


def test_killed_cache_is_bypassed_and_used_again_once_it_is_back(
    client: httpx.Client, product: str, valkey: Valkey
) -> None:
    client.get(product)
    valkey.kill()
    answers = [client.get(product) for _ in range(3)]
    assert [(answer.status_code, answer.headers["X-Cache"]) for answer in answers] == [(200, "BYPASS")] * 3
    assert client.get("/products/987654321").headers["X-Cache"] == "BYPASS"
    valkey.start()
    assert served_after_recovery(client, product) == ["MISS", "HIT"]


def test_writes_commit_while_the_cache_is_down_and_say_that_invalidation_is_pending(
    operator: httpx.Client, product: str, valkey: Valkey
) -> None:
    valkey.kill()
    created = operator.post("/products", json=CHAIR)
    replaced = operator.put(product, json={"name": "Stool", "price": 5})
    refused = operator.put(product, json=CHAIR, headers={"If-Match": '"1"'})
    read = operator.get(product)
    deleted = operator.delete(product)
    assert (created.status_code, created.headers["X-Invalidation"]) == (201, "pending")
    assert (replaced.status_code, replaced.headers["X-Invalidation"]) == (200, "pending")
    assert (refused.status_code, "X-Invalidation" in refused.headers) == (412, False)
    assert read.json()["name"] == "Stool"
    assert (deleted.status_code, deleted.headers["X-Invalidation"]) == (204, "pending")
    assert operator.get(product).status_code == 404


def test_without_the_database_only_cached_products_are_served(
    operator: httpx.Client, product: str, engine: SqlEngine
) -> None:
    operator.get(product)
    engine.kill()
    assert operator.get(product).headers["X-Cache"] == "HIT"
    for answer in (
        operator.get("/products/98765"),
        operator.put(product, json=CHAIR),
        operator.get("/sessions/current"),
        operator.post("/sessions", json=OPERATOR),
    ):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_database_restarted_between_requests_is_not_noticed(
    operator: httpx.Client, product: str, engine: SqlEngine
) -> None:
    for restart in (engine.stop, engine.kill):
        restart()
        engine.start()
        assert operator.put(product, json=CHAIR).status_code == 200
        restart()
        engine.start()
        assert operator.get(product).headers["X-Cache"] == "MISS"


def test_readiness_names_both_and_fails_only_without_the_database(
    client: httpx.Client, valkey: Valkey, engine: SqlEngine
) -> None:
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"cache": "available", "database": "available"})
    valkey.kill()
    without_cache = client.get("/health/ready")
    assert (without_cache.status_code, without_cache.json()) == (200, {"cache": "unavailable", "database": "available"})
    engine.kill()
    without_both = client.get("/health/ready")
    assert without_both.status_code == 503
    assert without_both.json()["cache"] == without_both.json()["database"] == "unavailable"
    assert client.get("/health/live").status_code == 200


def test_unreadable_auth_token_is_a_bypass_and_read_again_until_it_is_there(
    settings: Settings, secrets_manager: FakeSecretsManager
) -> None:
    secrets_manager.secrets.pop("arn:late", None)
    app = build_app(replace(settings, cache_login=AuthToken("arn:late")))
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as client:
        answer = client.get("/products/1")
        assert (answer.status_code, answer.headers["X-Cache"]) == (200, "BYPASS")
        secrets_manager.secrets["arn:late"] = AUTH_TOKEN
        assert served_after_recovery(client, "/products/1")[1] == "HIT"


def test_auth_token_is_read_once(settings: Settings, secrets_manager: FakeSecretsManager, valkey: Valkey) -> None:
    app = build_app(settings)
    before = secrets_manager.reads.count(AUTH_SECRET)
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as client:
        client.get("/products/1")
        valkey.kill()
        valkey.start()
        client.get("/products/1")
    assert secrets_manager.reads.count(AUTH_SECRET) == before + 1


def test_building_the_app_needs_no_network(valkey: Valkey, engine: SqlEngine) -> None:
    valkey.kill()
    engine.kill()
    try:
        assert callable(build_app(Settings.from_environment(os.environ)))
    finally:
        engine.start()
        valkey.start()


@pytest.fixture
def short_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products are fresh for an instant, and kept for when the database is out of reach."""
    monkeypatch.setattr("storefront.services.products.PRODUCT", replace(PRODUCT, ttl_seconds=0.001))


def after_stale(client: httpx.Client, path: str) -> str:
    """How it is served once it is not STALE any more: for a second after a load has failed nobody tries again."""
    while (served := client.get(path).headers["X-Cache"]) == "STALE":
        time.sleep(0.05)
    return served


@pytest.mark.usefixtures("short_lived")
def test_product_is_served_stale_while_the_database_is_down(
    operator: httpx.Client, product: str, engine: SqlEngine
) -> None:
    fresh = operator.get(product)
    engine.kill()
    stale = operator.get(product)
    assert (stale.status_code, stale.headers["X-Cache"], stale.content) == (200, "STALE", fresh.content)
    engine.start()
    assert after_stale(operator, product) == "MISS"


@pytest.mark.usefixtures("short_lived")
def test_product_is_served_stale_while_the_database_is_frozen(
    operator: httpx.Client, product: str, engine: SqlEngine
) -> None:
    fresh = operator.get(product)
    with frozen(engine):
        stale = operator.get(product)
        unknown = operator.get("/products/987654321")
    assert (stale.status_code, stale.headers["X-Cache"], stale.content) == (200, "STALE", fresh.content)
    assert (unknown.status_code, unknown.headers["Retry-After"]) == (503, "2")
    assert after_stale(operator, product) == "MISS"


@pytest.mark.usefixtures("short_lived")
def test_changed_product_is_never_served_stale(operator: httpx.Client, product: str, engine: SqlEngine) -> None:
    operator.get(product)
    operator.put(product, json={"name": "Stool", "price": 5})
    engine.kill()
    assert operator.get(product).status_code == 503


def test_database_is_spared_when_the_cache_is_down(
    app: WSGIApplication, client: httpx.Client, master: Connection, valkey: Valkey
) -> None:
    valkey.kill()

    def get(number: int) -> httpx.Response:
        with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as reader:
            return reader.get(f"/products/{number}")

    with ThreadPoolExecutor(48) as pool, master.locked("products"):
        waiting = [pool.submit(get, number) for number in range(1, 49)]
        refused = [answer for answer in map(Future.result, waiting) if "Retry-After" in answer.headers]
    overloaded = [answer for answer in refused if answer.headers["Retry-After"] == "1"]
    assert {answer.status_code for answer in refused} == {503}
    assert len(overloaded) == 48 - Options().bypass_concurrency
