"""What `make` does for somebody whose machine is not as it should be, and what it says to everybody."""

import http.server
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.tls import Certificates

PROJECT = Path(__file__).parents[2]
COPIED = ("Makefile", "requirements.txt", "requirements-dev.txt", "package.json", "package-lock.json", ".npmrc")


@pytest.fixture(params=["checkout", "a checkout with spaces"])
def checkout(request: pytest.FixtureRequest, home: Path) -> Path:
    """A copy of what the set-up needs, without what it makes."""
    copy = home / str(request.param)
    copy.mkdir()
    for name in COPIED:
        shutil.copy(PROJECT / name, copy)
    return copy


def make(
    directory: Path, *arguments: str, user: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "NODE_"))}
    return subprocess.run(
        ["make", *arguments],
        cwd=directory,
        env={**inherited, **variables},
        user=user,
        capture_output=True,
        text=True,
        check=False,
    )


def only_line(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line of a failed run that is not make's own."""
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if not line.startswith("make: ***")]
    return line


def set_up(checkout: Path, written_for: str) -> None:
    """Leaves what a set-up of the checkout at that path leaves."""
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "ready").write_text(f"{written_for}\n")


def test_python_that_does_not_exist_is_one_line(checkout: Path) -> None:
    line = only_line(make(checkout, "PYTHON=python9", ".venv/ready"))
    assert line.startswith("error: PYTHON=python9 does not exist. Name Python 3.11 or newer: make PYTHON=")


def test_program_that_is_no_python_is_one_line(checkout: Path) -> None:
    assert "PYTHON=false is not Python 3.11 or newer" in only_line(make(checkout, "PYTHON=false", ".venv/ready"))


@pytest.mark.parametrize("target", [".venv/ready", "node_modules/.package-lock.json"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to try it")
def test_checkout_that_is_not_writable_is_one_line(checkout: Path, target: str) -> None:
    if target.startswith("node"):
        set_up(checkout, str(checkout))
    line = only_line(make(checkout, target, user="nobody"))
    assert line == f"error: {checkout} is not writable, and .venv and node_modules go there: use a copy that is yours"


def test_checkout_that_was_moved_gets_another_environment(checkout: Path) -> None:
    set_up(checkout, "/where/it/was")
    assert "setting up .venv again: the checkout was moved or copied" in make(checkout, "-n", ".venv/ready").stdout


def test_checkout_that_stays_keeps_its_environment(checkout: Path) -> None:
    set_up(checkout, str(checkout.resolve()))
    assert "setting up" not in make(checkout, "-n", ".venv/ready").stdout


def test_npm_that_fails_says_why_and_names_the_way_out(checkout: Path) -> None:
    set_up(checkout, str(checkout.resolve()))
    nobody_is_there = {"npm_config_registry": "http://127.0.0.1:1", "npm_config_fetch_retries": "0"}
    ended = make(checkout, "node_modules/.package-lock.json", npm_config_cache=str(checkout / "npm"), **nobody_is_there)
    assert ended.returncode == 2
    assert "ECONNREFUSED" in ended.stderr
    assert "error: npm could not install the CDK CLI; the reason is above." in ended.stderr
    assert not (checkout / "node_modules" / ".package-lock.json").exists()


@pytest.fixture
def inspected_url(certificates: Certificates) -> Iterator[str]:
    """A page behind a certificate that only this machine's own roots know."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_node_trusts_the_roots_of_the_machine(inspected_url: str, certificates: Certificates) -> None:
    fetch = "fetch(process.env.PAGE).then(page => console.log(page.status), error => console.log(error.cause.code))"
    rule = f"probe: ; @node -e '{fetch}'"
    ended = make(
        PROJECT,
        "-s",
        f"--eval={rule}",
        "probe",
        PAGE=inspected_url,
        SSL_CERT_FILE=str(certificates.ca_file),
        NO_PROXY="localhost",
    )
    assert ended.stdout == "204\n", ended.stderr


def test_help_lists_every_command_in_a_group() -> None:
    shown = make(PROJECT, "help").stdout
    (declared,) = re.findall(r"^\.PHONY: (help .*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  ([a-z-]+) ", shown, re.MULTILINE)
    assert set(declared.split()) - set(listed) == {"lint", "types", "contracts", "unit"}  # parts of `make check`
    assert {"synth", "diff"} <= set(listed)
    groups = ["Run it on this machine", "Develop", "Prove", "Measure", "Deploy to AWS", "Maintain"]
    assert re.findall(r"^([A-Z].*)$", shown, re.MULTILINE) == groups
