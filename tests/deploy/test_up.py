"""`make up` as a reader meets it: killed half-way, healed, used, broken on purpose, ended and started again."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from local.processes import free_port
from tests.deploy.running_up import PROJECT, RunningUp, alive

pytestmark = [pytest.mark.emulator, pytest.mark.cdk_cli, pytest.mark.engines]
PRODUCT = {"name": "Renamed by a test", "price": 12.5}


@pytest.fixture(scope="module")
def survivors(home: Path) -> list[psutil.Process]:
    """What is left of two first runs that ended in the middle of their deployment: by Ctrl-C, and killed.

    `make interruptions` tries every moment.
    """
    left = []
    for moment, how in (
        ("Network (cache-aside-dev-network): deploying", signal.SIGINT),
        ("postgres answers", signal.SIGKILL),
    ):
        interrupted = RunningUp(home, free_port())
        interrupted.wait_for(moment)
        family = interrupted.family()
        interrupted.end(how)
        left += alive(family)
    return left


@pytest.fixture(scope="module")
def up(home: Path, survivors: list[psutil.Process]) -> Iterator[RunningUp]:
    """The run after that one, ready."""
    with pytest.MonkeyPatch.context() as shell:
        shell.setenv("CANARY", "of-the-shell")
        running = RunningUp(home, free_port())
    running.wait_for("ready http://localhost:")
    warm_up(running)
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGTERM)


def get_product(up: RunningUp, product_id: int) -> tuple[int, str, dict[str, object]]:
    """Status, X-Cache and body."""
    answer = httpx.get(f"{up.url}/products/{product_id}", timeout=30)
    return answer.status_code, answer.headers["X-Cache"], answer.json()


def warm_up(up: RunningUp) -> None:
    """Asks until both workers must have connected to the cache, which takes a while on a busy machine."""
    in_a_row = 0
    while in_a_row < 20:
        in_a_row = in_a_row + 1 if get_product(up, 1)[1] == "HIT" else 0


def update_product(up: RunningUp, product_id: int) -> None:
    login = json.loads((up.directory / "credentials.json").read_text())
    token = httpx.post(f"{up.url}/sessions", json=login, timeout=30).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    httpx.put(f"{up.url}/products/{product_id}", json=PRODUCT, headers=headers, timeout=30).raise_for_status()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refusal(directory: Path, port: int, *, database: str = "postgres") -> str:
    """What a run that refuses to start prints."""
    environment = {"LOCAL_DIRECTORY": str(directory), "PORT": str(port), "DATABASE": database, "PATH": ""}
    command = [sys.executable, "-m", "local.up"]
    ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_killed_run_leaves_no_process(survivors: list[psutil.Process]) -> None:
    assert survivors == []


def test_half_finished_run_heals(up: RunningUp) -> None:
    assert "an earlier run left a half-finished deployment: starting over" in up.said


def test_exactly_one_line_says_ready(up: RunningUp) -> None:
    assert [line for line in up.said if "ready http" in line] == [f"ready {up.url}"]


def test_deployed_function_was_invoked_through_the_deployed_load_balancer(up: RunningUp) -> None:
    assert any("through the deployed load balancer: 200" in line for line in up.said)


def test_product_is_read_through_the_cache_and_updated(up: RunningUp) -> None:
    first, second = get_product(up, 42), get_product(up, 42)
    assert (first[:2], second[:2]) == ((200, "MISS"), (200, "HIT"))
    assert first[2] == second[2]
    update_product(up, 42)
    assert get_product(up, 42) == (200, "MISS", {"id": 42, **PRODUCT})
    assert get_product(up, 42) == (200, "HIT", {"id": 42, **PRODUCT})


def test_flags_that_the_release_declares_are_served(up: RunningUp) -> None:
    declared = json.loads((PROJECT / "lambda_src" / "functions" / "schema_migration" / "flags.json").read_bytes())
    answers = {name: httpx.get(f"{up.url}/flags/{name}", timeout=30).json() for name in declared}
    assert answers == {name: {"name": name, **flag} for name, flag in declared.items()}


def test_every_process_is_named(up: RunningUp) -> None:
    engines = {"valkey", "valkey-tls", "postgres", "postgres-tls"}
    names = {path.stem for path in (up.directory / "run").glob("*.pid")}
    assert names == engines | {"up", "emulator", "gunicorn", "worker-1", "worker-2"}
    family = {process.pid for process in up.family()}
    assert {up.pid(name) for name in names} <= family


def test_everything_listens_on_loopback_only(up: RunningUp) -> None:
    sockets = [connection for process in up.family() for connection in process.net_connections()]
    addresses = {connection.laddr.ip for connection in sockets if connection.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}


def test_no_other_user_can_read_a_secret(up: RunningUp) -> None:
    secrets = [json.loads((up.directory / "credentials.json").read_text())["password"]]
    secrets += [json.loads(path.read_text())["password"] for path in (up.directory / "engines").glob("*.json")]
    secrets += [(up.directory / "rds-password").read_text(), credential_of_the_run(up)]
    for path in [path for path in up.directory.rglob("*") if path.is_file() and not closed(path)]:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path


def test_no_process_but_its_own_sees_the_shells_variables(up: RunningUp) -> None:
    own, *others = [process.environ() for process in up.family()]
    assert own["CANARY"] == "of-the-shell"
    assert len(others) >= 8
    assert not [environment for environment in others if "of-the-shell" in environment.values()]


def test_no_other_user_can_read_a_log_or_the_emulators_state(up: RunningUp) -> None:
    assert [path for path in up.directory.rglob("*") if path.is_file() and not closed(path)] == []


def credential_of_the_run(up: RunningUp) -> str:
    return psutil.Process(up.pid("emulator")).environ()["AWS_SESSION_TOKEN"]


@pytest.mark.parametrize(
    "sent", [{"Origin": "https://example.org"}, {"Host": "example.org"}, {}], ids=["page", "rebound name", "unsigned"]
)
def test_emulator_answers_nobody_but_this_run(up: RunningUp, sent: dict[str, str]) -> None:
    url = psutil.Process(up.pid("emulator")).environ()["AWS_ENDPOINT_URL"]
    credential = {"X-Amz-Security-Token": credential_of_the_run(up)} if sent else {}
    answer = httpx.post(url, data={"Action": "ListStacks"}, headers={**credential, **sent}, trust_env=False)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def closed(path: Path) -> bool:
    """Whether others are kept out by the file's mode or by that of a directory above it."""
    return not path.stat().st_mode & 0o004 or any(not parent.stat().st_mode & 0o001 for parent in path.parents)


def test_seed_adds_products_and_purchases_once(up: RunningUp) -> None:
    variables = {"LOCAL_DIRECTORY": str(up.directory), "PRODUCTS": "50", "PURCHASES": "3000"}
    command = [sys.executable, "-m", "local.seed"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "lambda_src"), **variables}
    said = [subprocess.check_output(command, cwd=PROJECT, env=environment, text=True) for _ in range(2)]
    assert said[0].startswith("50 products and 3,000 purchases in ")
    assert said[1] == "nothing to do: the database has at least 3,000 purchases\n"
    assert get_product(up, 150)[2]["name"] == "Linen Mirror 2"


def test_read_survives_a_killed_cache_and_uses_it_again(up: RunningUp) -> None:
    get_product(up, 7)
    psutil.Process(up.pid("valkey")).kill()
    assert get_product(up, 7)[:2] == (200, "BYPASS")
    up.wait_for("valkey ended; starting it again in 2 seconds")
    up.wait_for("valkey is back")
    wait_until(lambda: get_product(up, 7)[1] == "HIT")


def test_no_client_sees_less_than_was_acknowledged_while_the_cache_is_killed_again_and_again(up: RunningUp) -> None:
    command = [sys.executable, "-m", "faults.storefront_history", up.url, "--local", str(up.directory)]
    seen = subprocess.run(
        [*command, "--seconds", "15", "--kill-every", "4"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert seen.returncode == 0, seen.stdout + seen.stderr


def test_killed_worker_is_replaced(up: RunningUp) -> None:
    before = up.pid("worker-1")
    psutil.Process(before).kill()
    up.wait_for("worker-1 ended; started again")
    assert up.pid("worker-1") != before
    assert get_product(up, 8)[0] == 200


def test_killed_emulator_still_knows_the_deployment(up: RunningUp) -> None:
    psutil.Process(up.pid("emulator")).kill()
    up.wait_for("the emulator ended; starting it again")
    assert get_product(up, 9)[0] == 200


def test_second_run_of_the_same_checkout_is_refused(up: RunningUp) -> None:
    assert "another `make up` of this checkout is running" in refusal(up.directory, free_port())


def test_taken_port_is_refused_before_any_work(up: RunningUp, tmp_path: Path) -> None:
    port = int(up.url.rpartition(":")[2])
    assert f"port {port}: Address already in use; choose another" in refusal(home_of_nobody(tmp_path), port)


def test_unknown_database_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    assert "DATABASE=oracle is not one of postgres, mysql" in refusal(tmp_path, free_port(), database="oracle")


def test_directory_that_cannot_be_written_is_named() -> None:
    said = refusal(Path("/dev/null/local"), free_port())
    assert said.startswith("error: /dev/null/local is not writable (Not a directory): name a directory that is,")


def home_of_nobody(tmp_path: Path) -> Path:
    ours = len(tmp_path.relative_to(tempfile.gettempdir()).parts)
    for directory in (tmp_path, *tmp_path.parents)[:ours]:
        directory.chmod(0o755)
    return tmp_path / "local"


def test_next_run_finds_deployment_and_data_and_an_empty_cache(up: RunningUp, home: Path) -> None:
    update_product(up, 43)
    get_product(up, 43)
    family = up.family()
    assert up.end(signal.SIGINT) == 0
    assert alive(family) == []
    again = RunningUp(home, free_port())
    again.wait_for("ready http://localhost:")
    warm_up(again)
    assert "sources unchanged: the deployment of the last run is used again" in again.said
    assert get_product(again, 43) == (200, "MISS", {"id": 43, **PRODUCT})
    family = again.family()
    assert again.end(signal.SIGTERM) == 0
    assert alive(family) == []
    assert list((home / "run").iterdir()) == []


@pytest.mark.only_on("mysql")
def test_run_with_another_database_starts_over_and_serves_from_it(up: RunningUp, home: Path) -> None:
    assert up.process.poll() is not None
    with_mysql = RunningUp(home, free_port(), database="mysql")
    with_mysql.wait_for("ready http://localhost:")
    warm_up(with_mysql)
    assert "the last run had another database than mysql: starting over" in with_mysql.said
    assert {"mariadb.pid", "valkey.pid"} <= {path.name for path in (home / "run").iterdir()}
    assert any("through the deployed load balancer: 200" in line for line in with_mysql.said)
    update_product(with_mysql, 43)
    assert get_product(with_mysql, 43) == (200, "MISS", {"id": 43, **PRODUCT})
    test_everything_listens_on_loopback_only(with_mysql)
    test_no_other_user_can_read_a_secret(with_mysql)
    family = with_mysql.family()
    assert with_mysql.end(signal.SIGINT) == 0
    assert alive(family) == []
