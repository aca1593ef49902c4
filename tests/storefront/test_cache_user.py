"""The whole app on a cache with role-based access."""

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
import redis

from constructs_lib import access_string
from stacks.cache_rights import COMMANDS, KEY_PATTERNS
from storefront.bootstrap import build_app, build_relay
from storefront.cache_login import CacheUser
from storefront.settings import Settings
from tests.storefront.deployment import OPERATOR

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

USER = "cache-aside-prod-app"


def test_app_needs_no_right_that_its_user_lacks(settings: Settings, cache: redis.Redis) -> None:
    send: Callable[..., object] = cache.execute_command
    # The server cannot check signatures, so it takes every token; the rights are those of the deployment.
    send("ACL", "SETUSER", USER, "reset", *access_string(COMMANDS, KEY_PATTERNS).split(), "nopass")
    cache.acl_log_reset()
    cache.flushall()
    by_user = replace(settings, cache_login=CacheUser(USER, "the-group"))
    transport = httpx.WSGITransport(app=build_app(by_user))
    with httpx.Client(transport=transport, base_url="http://storefront") as client:
        assert [client.get("/products/1").headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]
        token = client.post("/sessions", json=OPERATOR).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        created = client.post("/products", json={"name": "Chair", "price": 1})
        changed = client.put(created.headers["Location"], json={"name": "Bench", "price": 2})
        deleted = client.delete(created.headers["Location"])
        assert [answer.status_code for answer in (created, changed, deleted)] == [201, 200, 204]
        ended = client.delete("/sessions/current")
        assert ended.status_code == 204
        assert not any("X-Invalidation" in answer.headers for answer in (created, changed, deleted, ended))
        assert client.get("/health/ready").status_code == 200
    assert build_relay(by_user).run_once().reachable
    assert cache.acl_log() == []
    assert USER in {connected["user"] for connected in cache.client_list()}
