"""The emulator as a web page, another user and a stray program meet it, and as this run's own programs do."""

import asyncio
import contextlib
import io
import json
import os
import pwd
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from botocore.config import Config

from local.emulator.guard import CREDENTIAL, Guard
from local.emulator.process import ACCOUNT, REGION, Emulator
from local.tls import Certificates

pytestmark = pytest.mark.emulator
SECRET = "what-no-page-may-read"
SHELL_SECRET = "what-the-shell-of-a-developer-holds"
HANDLER = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
UNSIGNED = f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/secretsmanager/aws4_request"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Emulator]:
    """An emulator that holds a secret, started from a shell that holds another one."""
    home = tmp_path_factory.mktemp("emulator")
    emulator = Emulator(home, engines=home / "engines", certificates=certificates, rds_password="any")
    with pytest.MonkeyPatch.context() as shell:
        shell.setenv("GITHUB_TOKEN", SHELL_SECRET)
        emulator.start()
    client(emulator, "secretsmanager").create_secret(Name="operator", SecretString=SECRET)
    yield emulator
    emulator.stop()


def client(emulator: Emulator, service: Any) -> Any:
    direct = Config(proxies={}, retries={"total_max_attempts": 1})
    return emulator.session().client(service, endpoint_url=emulator.url, config=direct)


def ask_for_the_secret(emulator: Emulator, headers: dict[str, str], *, method: str = "POST") -> httpx.Response:
    """What GetSecretValue answers to a request with these headers."""
    call = {"X-Amz-Target": "secretsmanager.GetSecretValue", "Authorization": UNSIGNED}
    body = json.dumps({"SecretId": "operator"})
    return httpx.request(method, emulator.url, headers={**call, **headers}, content=body, timeout=10, trust_env=False)


def refused(answer: httpx.Response) -> bool:
    """Whether it is one line that says why and shares nothing with any page."""
    assert SECRET not in answer.text
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.text.count("\n") == 1
    return answer.status_code == 403


def test_own_programs_are_served(emulator: Emulator) -> None:
    answer = ask_for_the_secret(emulator, emulator.credential_headers)
    assert answer.json()["SecretString"] == SECRET
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert client(emulator, "sts").get_caller_identity()["Account"] == ACCOUNT


@pytest.mark.attack("call the emulator of `make up` from a web page", "403, and no CORS header")
@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8080"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "example.org"},
        {"Host": "localhost.example.org"},
        {"Host": "operator.s3.amazonaws.com"},
        {"Host": "nobody.elb.amazonaws.com"},
    ],
    ids=str,
)
def test_page_is_refused_even_if_it_knew_the_credential(emulator: Emulator, sent: dict[str, str]) -> None:
    assert refused(ask_for_the_secret(emulator, {**emulator.credential_headers, **sent}))


@pytest.mark.attack("rebind a DNS name to it", "403")
def test_rebound_name_is_refused_on_the_right_port(emulator: Emulator) -> None:
    assert refused(ask_for_the_secret(emulator, {"Host": f"example.org:{emulator.port}"}))


@pytest.mark.attack("invoke a function there by a POST without preflight", "403, and nothing runs")
def test_simple_post_which_needs_no_preflight_runs_nothing(emulator: Emulator) -> None:
    page = {"Origin": "https://example.org", "Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"}
    body = json.dumps({"FunctionName": "evil", "Runtime": "python3.11", "Handler": "h.handler", "Role": "r"})
    functions = f"{emulator.url}/2015-03-31/functions"
    assert refused(httpx.post(functions, content=body, headers=page, trust_env=False))
    assert refused(httpx.post(f"{functions}?Action=CreateFunction", content=body, trust_env=False))
    assert client(emulator, "lambda").list_functions()["Functions"] == []


def test_preflight_is_refused(emulator: Emulator) -> None:
    asks = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert refused(ask_for_the_secret(emulator, asks, method="OPTIONS"))


@pytest.mark.attack("call it from another program without the run's credential", "403")
@pytest.mark.parametrize("credential", [None, "", "wrong", "é"], ids=str)
def test_request_without_the_credential_is_refused(emulator: Emulator, credential: str | None) -> None:
    headers = [] if credential is None else [(CREDENTIAL.encode(), credential.encode())]
    answer = httpx.get(f"{emulator.url}/_ministack/health", headers=headers, trust_env=False)
    assert refused(answer)
    assert answer.text == f"{CREDENTIAL} is not the session token of this run of `make up`\n"


def test_credential_of_another_run_is_refused(emulator: Emulator, tmp_path: Path, certificates: Certificates) -> None:
    other = Emulator(tmp_path, engines=tmp_path, certificates=certificates, rds_password="any")
    assert refused(ask_for_the_secret(emulator, other.credential_headers))


def test_two_credentials_are_none(emulator: Emulator) -> None:
    given = emulator.credential_headers[CREDENTIAL]
    headers = [(CREDENTIAL, "wrong"), (CREDENTIAL, given)]
    assert refused(httpx.get(f"{emulator.url}/_ministack/health", headers=headers, trust_env=False))


def test_websocket_is_refused(emulator: Emulator) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    answer = httpx.get(emulator.url, headers={**emulator.credential_headers, **upgrade}, trust_env=False)
    assert answer.status_code == 403


def test_presigned_url_of_this_run_is_served_and_an_unsigned_one_is_not(emulator: Emulator) -> None:
    storage = client(emulator, "s3")
    storage.create_bucket(Bucket="assets")
    storage.put_object(Bucket="assets", Key="template", Body=b"content")
    url = storage.generate_presigned_url("get_object", Params={"Bucket": "assets", "Key": "template"})
    assert httpx.get(url, trust_env=False).content == b"content"
    assert refused(httpx.get(url.partition("?")[0], trust_env=False))


def test_assumed_role_is_served(emulator: Emulator) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/any"
    given = client(emulator, "sts").assume_role(RoleArn=role, RoleSessionName="any")["Credentials"]
    answer = ask_for_the_secret(emulator, {CREDENTIAL: given["SessionToken"]})
    assert answer.json()["SecretString"] == SECRET


@pytest.mark.attack(
    "read the environment of the shell that started it from a function", "functions get an allow-list of variables"
)
def test_function_sees_nothing_of_the_shell_that_started_the_emulator(emulator: Emulator) -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", HANDLER)
    functions = client(emulator, "lambda")
    functions.create_function(
        FunctionName="environment",
        Runtime="python3.11",
        Handler="index.handler",
        Role=f"arn:aws:iam::{ACCOUNT}:role/any",
        Code={"ZipFile": package.getvalue()},
    )
    seen = json.loads(functions.invoke(FunctionName="environment")["Payload"].read())
    functions.delete_function(FunctionName="environment")
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "environment"
    assert SHELL_SECRET not in json.dumps(seen)
    assert not {"HOME", "USER", "PYTHONPATH", "GITHUB_TOKEN"} & set(seen)


@pytest.mark.attack("as another user of the machine, look for its credential and secrets", "nothing is readable")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to try it")
def test_another_user_learns_no_credential_and_no_secret(emulator: Emulator) -> None:
    family = [psutil.Process(emulator.pid), *psutil.Process(emulator.pid).children(recursive=True)]
    here, there = os.pipe()
    if child := os.fork():
        os.close(there)
        os.waitpid(child, 0)
        with os.fdopen(here) as said:
            seen = json.load(said)
    else:  # a Python that is already loaded: nobody may not be able to enter the directory of this one
        try:
            os.setgroups([])
            os.setuid(pwd.getpwnam("nobody").pw_uid)
            os.write(there, json.dumps(as_another_user(emulator.url, [process.pid for process in family])).encode())
        finally:
            os._exit(0)
    assert emulator.credential_headers[CREDENTIAL] not in json.dumps(seen["command lines"])
    assert seen["environments"] == []
    assert seen["status"] == 403


def as_another_user(url: str, pids: list[int]) -> dict[str, object]:
    """What whoever runs this can read of the processes, and what it is answered."""
    environments = []
    for pid in pids:
        with contextlib.suppress(PermissionError):
            environments.append(Path(f"/proc/{pid}/environ").read_text())
    return {
        "environments": environments,
        "command lines": [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids],
        "status": httpx.post(url, content="{}", trust_env=False).status_code,
    }


def test_port_stays_taken_while_the_emulator_is_down(tmp_path: Path, certificates: Certificates) -> None:
    emulator = Emulator(tmp_path, engines=tmp_path, certificates=certificates, rds_password="any")
    emulator.start()
    emulator.stop()
    try:
        listening = [c for c in psutil.Process().net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert emulator.port in {connection.laddr.port for connection in listening}
    finally:
        emulator.start()
        assert ask_for_the_secret(emulator, emulator.credential_headers).status_code == 400  # there is no secret
        emulator.stop()


def test_service_behind_it_never_sees_the_credential() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def service(scope: Any, _receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"served"})

    async def ask() -> httpx.Response:
        guard: Any = Guard(service, credential="right", port=80, is_load_balancer=lambda host: host == "shop.example")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard)) as browser:
            return await browser.get("http://shop.example/products/1", headers={CREDENTIAL: "right"})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.text) == (200, "served")
    assert "access-control-allow-origin" not in answer.headers
    assert dict(seen)[b"host"] == b"shop.example"
    assert CREDENTIAL.lower().encode() not in dict(seen)
