"""Credentials that change while the app serves: no request fails, and none has to go past the cache."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
import redis

from local.engines import Valkey
from storefront import database
from storefront.bootstrap import build_app, connect_database
from storefront.database import Database, DatabaseUnavailableError
from storefront.settings import Settings
from tests.storefront.deployment import AUTH_SECRET, AUTH_TOKEN, ROLE_PASSWORD
from tests.storefront.fake_secrets_manager import FakeSecretsManager

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

NEW_TOKEN = "the-token-after-the-rotation"


@pytest.fixture
def rotated(valkey: Valkey, client: httpx.Client) -> Iterator[None]:
    """Afterwards the server knows its own token again."""
    yield
    valkey.kill()
    valkey.start()


@pytest.mark.usefixtures("rotated")
def test_auth_token_rotates_under_load_and_no_request_fails_or_bypasses(
    settings: Settings,
    secrets_manager: FakeSecretsManager,
    monkeypatch: pytest.MonkeyPatch,
    product: str,
    token: str,
    cache: redis.Redis,
) -> None:
    app = build_app(settings)
    headers = {"Authorization": f"Bearer {token}"}

    def use(number: int) -> tuple[int, str, int, bool]:
        """One read and one write, as a thread that was never connected before."""
        transport = httpx.WSGITransport(app=app)
        with httpx.Client(transport=transport, base_url="http://storefront", headers=headers) as client:
            read = client.get("/products/1")
            written = client.put(product, json={"name": f"Chair {number}", "price": 1})
            pending = "X-Invalidation" in written.headers
            return read.status_code, read.headers["X-Cache"], written.status_code, pending

    def use_often() -> None:
        with ThreadPoolExecutor(8) as pool:
            for read, served, written, pending in pool.map(use, range(80)):
                assert (read, written, pending) == (200, 200, False)
                assert served in {"HIT", "JOINED", "MISS"}

    use_often()
    cache.acl_setuser("default", enabled=True, passwords=[f"+{NEW_TOKEN}"])
    use_often()
    monkeypatch.setitem(secrets_manager.secrets, AUTH_SECRET, NEW_TOKEN)
    cache.acl_setuser("default", enabled=True, passwords=[f"-{AUTH_TOKEN}"])
    before = secrets_manager.reads.count(AUTH_SECRET)
    use_often()
    assert secrets_manager.reads.count(AUTH_SECRET) == before + 1


def test_database_password_that_changed_is_read_once_more(settings: Settings) -> None:
    passwords = iter(["the-one-before", ROLE_PASSWORD])

    def log_in() -> database.Connection:
        return connect_database(replace(settings, database_password=next(passwords)))

    assert Database(log_in).read("SELECT 1") == [(1,)]


def test_database_password_that_stays_wrong_is_not_tried_for_ever(settings: Settings) -> None:
    tried = []

    def log_in() -> database.Connection:
        tried.append("wrong")
        return connect_database(replace(settings, database_password="wrong"))

    with pytest.raises(DatabaseUnavailableError, match=r"authentication failed|Access denied"):
        Database(log_in).read("SELECT 1")
    assert len(tried) == 2
