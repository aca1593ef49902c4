"""Each example reads, writes and relays, on a real PostgreSQL and a real Valkey with TLS."""

import asyncio
import importlib
import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from cache_aside import Relay, SqlOutbox
from examples import against_make_up
from local.engines import Postgres, Valkey
from local.tls import ensure_certificates

pytestmark = pytest.mark.engines
EXAMPLES = Path(__file__).parents[2] / "examples"
TOKEN, PASSWORD = "the-token-of-these-tests", "the-password-of-these-tests"


class Answer(NamedTuple):
    status: int
    name: str
    served: str


Ask = Callable[..., Answer]
"""With a product's id alone: GET; with a name: PUT."""


class Shop(NamedTuple):
    ask: Ask
    outbox: SqlOutbox
    relay: Relay

    def until(self, served: str, product_id: int) -> Answer:
        """Asks until the answer is served like this, at most for 30 s: a probe closes the circuit some time later."""
        deadline = time.monotonic() + 30
        while (answer := self.ask(product_id)).served != served:
            assert time.monotonic() < deadline, answer
            time.sleep(0.02)
        return answer


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """One that the database's unprivileged user can enter."""
    path = Path(tempfile.mkdtemp(prefix="examples-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def valkey(directory: Path) -> Iterator[Valkey]:
    """The cache."""
    engine = Valkey(directory / "valkey", auth_token=TOKEN, certificates=ensure_certificates(directory / "tls"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def database(directory: Path) -> Iterator[str]:
    """Where it is, as a URL."""
    certificates = ensure_certificates(directory / "tls")
    engine = Postgres(directory / "postgres", master_password=PASSWORD, database="shop", certificates=certificates)
    engine.start()
    url = f"postgresql://postgres:{PASSWORD}@localhost:{engine.port}/shop?sslmode=verify-full"
    url += f"&sslrootcert={certificates.ca_file}"
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE product (id bigint PRIMARY KEY, name text NOT NULL)")
        connection.execute("INSERT INTO product SELECT id, 'Chair' FROM generate_series(1, 100) AS id")
    yield url
    engine.stop()


def flask(module: Any) -> Ask:
    def ask(product_id: int, name: str = "") -> Answer:
        client, path = module.app.test_client(), f"/products/{product_id}"
        answer = client.put(path, json={"name": name}) if name else client.get(path)
        return _read(answer.status_code, answer.data, answer.headers)

    return ask


def lambda_(module: Any) -> Ask:
    def ask(product_id: int, name: str = "") -> Answer:
        event = {"path": f"/products/{product_id}", "httpMethod": "PUT" if name else "GET"}
        answer = module.handler(event | {"body": json.dumps({"name": name})}, None)
        return _read(answer["statusCode"], answer.get("body", ""), answer.get("headers", {}))

    return ask


def fastapi(module: Any) -> Ask:
    def ask(product_id: int, name: str = "") -> Answer:
        return runner.run(_send(f"/products/{product_id}", name))

    async def _send(path: str, name: str) -> Answer:
        transport = httpx.ASGITransport(module.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://example") as client:
            answer = await (client.put(path, json={"name": name}) if name else client.get(path))
        return _read(answer.status_code, answer.content, answer.headers)

    runner = asyncio.Runner()
    return ask


def django(module: Any) -> Ask:
    from django.test import Client

    def ask(product_id: int, name: str = "") -> Answer:
        client, path = Client(), f"/products/{product_id}"
        answer = client.put(path, {"name": name}, "application/json") if name else client.get(path)
        return _read(answer.status_code, answer.content, answer.headers)

    return ask


def _read(status: int, body: bytes | str, headers: Any) -> Answer:
    return Answer(status, json.loads(body)["name"] if status == 200 else "", str(headers.get("X-Cache", "")))


KINDS = {"flask_app": flask, "lambda_handler": lambda_, "fastapi_sqlalchemy": fastapi, "django_orm": django}


@pytest.fixture(scope="module", params=sorted(KINDS))
def shop(request: pytest.FixtureRequest, valkey: Valkey, database: str) -> Iterator[Shop]:
    """An example that has been deployed: its environment is set, its tables are made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database)
        patch.setenv("CACHE_HOST", "localhost")
        patch.setenv("CACHE_PORT", str(valkey.port))
        patch.setenv("CACHE_TOKEN", TOKEN)
        patch.setenv("SSL_CERT_FILE", str(valkey.certificates.ca_file))
        module = importlib.import_module(f"examples.{request.param}")
        with psycopg.connect(database) as connection:
            for statement in module.outbox.schema():
                connection.execute(statement.encode())
        yield Shop(KINDS[request.param](module), module.outbox, module.relay)


def test_every_example_is_tested_and_short() -> None:
    lengths = {file.stem: len(file.read_text().splitlines()) for file in EXAMPLES.glob("*.py")}
    assert set(lengths) == {*KINDS, "against_make_up"}
    assert max(lengths.values()) < 60, lengths


def test_what_the_examples_need_of_make_up_is_told_and_made(
    valkey: Valkey, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = conninfo_to_dict(database)
    postgres = {"port": at["port"], "username": at["user"], "password": at["password"], "database": at["dbname"]}
    engines: dict[str, dict[str, Any]] = {"valkey": {"port": valkey.port, "password": TOKEN}, "postgres": postgres}
    (tmp_path / "engines").mkdir()
    for kind, engine in engines.items():
        (tmp_path / f"engines/{kind}.json").write_text(json.dumps({"kind": kind, **engine}))
    (tmp_path / "tls").symlink_to(valkey.certificates.ca_file.parent)
    monkeypatch.setattr(against_make_up, "LOCAL", tmp_path)
    for _ in range(2):
        against_make_up.main()
    told = dict(line.removeprefix("export ").split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert (told["CACHE_PORT"], told["CACHE_TOKEN"]) == (str(valkey.port), TOKEN)
    with psycopg.connect(shlex.split(told["DATABASE_URL"])[0]) as connection:
        assert connection.execute("SELECT name FROM product WHERE id = 42").fetchall() == [("Chair",)]
        assert connection.execute("SELECT count(*) FROM cache_invalidations").fetchall() == [(0,)]


def test_example_serves_from_the_cache_until_a_write(shop: Shop) -> None:
    shop.until("HIT", 1)
    assert shop.ask(2) == (200, "Chair", "MISS")
    assert shop.ask(2) == (200, "Chair", "HIT")
    assert shop.ask(2, "Stool").status == 204
    assert shop.ask(2) == (200, "Stool", "MISS")
    assert shop.ask(2) == (200, "Stool", "HIT")
    assert shop.outbox.undelivered(10) == []
    assert shop.ask(2, "Chair").status == 204
    assert shop.ask(404).status == 404


def test_example_answers_while_the_cache_is_down_and_its_relay_makes_up_for_it(shop: Shop, valkey: Valkey) -> None:
    shop.until("HIT", 3)
    valkey.kill()
    assert shop.ask(3) == (200, "Chair", "BYPASS")
    assert shop.ask(3, "Stool").status == 204
    assert shop.ask(3) == (200, "Stool", "BYPASS")
    assert [row.key for row in shop.outbox.undelivered(10)] == ["product:3"]
    assert not shop.relay.run_once().reachable
    valkey.start()
    assert shop.relay.run_once().delivered == 1
    assert shop.until("HIT", 3).name == "Stool"
    assert shop.ask(3, "Chair").status == 204
