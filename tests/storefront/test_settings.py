"""Reading the environment, and proving who the app is."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from functions.schema_migration.settings import MigrationError
from functions.schema_migration.settings import Settings as MigrationSettings
from storefront.cache_login import AuthToken, CacheUser, cache_credentials
from storefront.credentials import SigningError, cache_token, iam_token
from storefront.endpoints import Endpoint, parse_endpoint
from storefront.engines import Engine
from storefront.settings import Settings, SettingsError
from tests.storefront.deployment import AUTH_SECRET, variables

LAMBDA_SRC = Path(__file__).parents[2] / "lambda_src"
ENVIRONMENT = variables(
    cache="cache.example.com:6380", database="db.example.com", ca_file="ca.pem", aws_url="http://127.0.0.1:1"
)
REQUIRED = ("ELASTICACHE_ENDPOINT", "RDS_ENDPOINT", "RDS_DB_NAME", "RDS_USER")
EITHER = "set either ELASTICACHE_AUTH_SECRET_ARN, or ELASTICACHE_USER and ELASTICACHE_REPLICATION_GROUP_ID"
BY_USER = {
    **{name: value for name, value in ENVIRONMENT.items() if name != "ELASTICACHE_AUTH_SECRET_ARN"},
    "ELASTICACHE_USER": "the-app",
    "ELASTICACHE_REPLICATION_GROUP_ID": "the-group",
}


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("cache.example.com", Endpoint("cache.example.com", 6379)),
        ("cache.example.com:6380", Endpoint("cache.example.com", 6380)),
        ("127.0.0.1:1", Endpoint("127.0.0.1", 1)),
        ("[::1]:7000", Endpoint("::1", 7000)),
        ("[::1]", Endpoint("::1", 6379)),
    ],
)
def test_endpoints_are_host_or_host_and_port(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text, default_port=6379) == endpoint


@pytest.mark.parametrize(
    "text", ["", ":1", "host:", "host:0", "host:65536", "host:port", "a b", "redis://host", "h:1:2"]
)
def test_malformed_endpoint_is_told_as_given(text: str) -> None:
    with pytest.raises(ValueError, match="expected host or host:port"):
        parse_endpoint(text, default_port=6379)


def test_settings_are_what_the_deployment_gave() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    assert settings.cache == ("cache.example.com", 6380)
    assert settings.database == ("db.example.com", 5432)
    assert settings.database_password == ENVIRONMENT["RDS_PASSWORD"]
    assert settings.cache_login == AuthToken(AUTH_SECRET)
    assert Settings.from_environment(BY_USER).cache_login == CacheUser("the-app", "the-group")


@pytest.mark.parametrize(("kind", "port"), [(None, 5432), ("postgres", 5432), ("mysql", 3306)])
def test_engine_decides_the_port_that_is_not_given(kind: Engine | None, port: int) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "RDS_ENGINE"}
    environment |= {"RDS_ENGINE": kind} if kind else {}
    settings, migration = Settings.from_environment(environment), MigrationSettings.from_environment(environment)
    assert settings.engine == migration.engine == (kind or "postgres")
    assert settings.database == migration.endpoint == ("db.example.com", port)


def test_unknown_engine_is_told_with_those_that_are_known() -> None:
    environment = {**ENVIRONMENT, "RDS_ENGINE": "oracle"}
    told = "RDS_ENGINE: expected postgres or mysql, got 'oracle'"
    with pytest.raises(SettingsError, match=told):
        Settings.from_environment(environment)
    with pytest.raises(MigrationError, match=told):
        MigrationSettings.from_environment(environment)


@pytest.mark.parametrize(("kind", "unused"), [("postgres", "pymysql"), ("mysql", "psycopg")])
def test_only_the_driver_of_the_engine_is_imported(kind: Engine, unused: str) -> None:
    script = (
        "import os, sys; from storefront import bootstrap, database, settings\n"
        "try: bootstrap.connect_database(settings.Settings.from_environment(os.environ))\n"
        "except database.DatabaseUnavailableError: print(*sys.modules)"
    )
    environment = {**os.environ, **ENVIRONMENT, "RDS_ENGINE": kind, "RDS_ENDPOINT": "localhost:1"}
    environment["RDS_CA_FILE"] = ""
    imported = subprocess.run(
        [sys.executable, "-c", script], cwd=LAMBDA_SRC, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"psycopg", "pymysql"} & set(imported) == {"psycopg", "pymysql"} - {unused}


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_variable_is_named(name: str) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}
    with pytest.raises(SettingsError, match=f"the environment variable {name} is not set"):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {**BY_USER, "ELASTICACHE_AUTH_SECRET_ARN": AUTH_SECRET},
            f"{EITHER}; set: ELASTICACHE_AUTH_SECRET_ARN, ELASTICACHE_USER, ELASTICACHE_REPLICATION_GROUP_ID",
        ),
        (
            {**BY_USER, "ELASTICACHE_USER": "", "ELASTICACHE_REPLICATION_GROUP_ID": ""},
            f"{EITHER}; set: none of them",
        ),
        ({**BY_USER, "ELASTICACHE_USER": ""}, f"{EITHER}; set: ELASTICACHE_REPLICATION_GROUP_ID"),
        (
            {**BY_USER, "ELASTICACHE_REPLICATION_GROUP_ID": ""},
            f"{EITHER}; set: ELASTICACHE_USER",
        ),
        ({**BY_USER, "AWS_REGION": ""}, "the environment variable AWS_REGION is not set"),
    ],
)
def test_cache_is_entered_in_exactly_one_way(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(environment)
    assert str(refused.value) == message


def test_region_is_needed_to_sign_tokens_and_only_then() -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "AWS_REGION"}
    assert Settings.from_environment(environment).database_password
    del environment["RDS_PASSWORD"]
    with pytest.raises(SettingsError, match="AWS_REGION"):
        Settings.from_environment(environment)


def test_server_started_without_settings_says_which_is_missing() -> None:
    environment = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", "import storefront.wsgi"]
    done = subprocess.run(command, cwd=LAMBDA_SRC, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "the environment variable ELASTICACHE_ENDPOINT is not set" in done.stderr


def test_secrets_do_not_show_in_settings() -> None:
    assert ENVIRONMENT["RDS_PASSWORD"] not in repr(Settings.from_environment(ENVIRONMENT))


def test_iam_token_is_the_one_that_boto3_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    client = boto3.client("rds", region_name="eu-west-1")
    endpoint = Endpoint("db.example.com", 5432)

    def pair() -> tuple[str, str]:
        theirs = client.generate_db_auth_token("db.example.com", 5432, "app", Region="eu-west-1")
        return iam_token(endpoint, user="app", region="eu-west-1"), theirs

    # Equal when signed within the same second.
    assert any(ours == theirs for ours, theirs in (pair() for _ in range(5)))


def test_cache_token_is_a_signed_request_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, ENVIRONMENT[name])

    def theirs() -> str:
        request = AWSRequest("GET", "https://the-group/", params={"Action": "connect", "User": "the-app"})
        key = Credentials(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"])
        SigV4QueryAuth(key, "elasticache", "eu-west-1", expires=900).add_auth(request)
        return str(request.url).removeprefix("https://")

    # Equal when signed within the same second.
    assert any(cache_token("The-Group", user="the-app", region="eu-west-1") == theirs() for _ in range(5))


def test_cache_token_needs_aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SigningError, match="no AWS credentials"):
        cache_token("the-group", user="the-app", region="eu-west-1")


def test_cache_user_logs_in_with_a_token_of_at_most_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    now = 0.0
    credentials = cache_credentials(CacheUser("the-app", "the-group"), "eu-west-1", lambda: now)

    def key_of_the_signer() -> str:
        user, *token = credentials.get_credentials()
        assert user == "the-app"
        return parse_qs(urlsplit(f"//{token[0]}").query)["X-Amz-Credential"][0].partition("/")[0]

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "first")
    assert key_of_the_signer() == "first"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "second")
    now = 599.0
    assert key_of_the_signer() == "first"
    now = 600.0
    assert key_of_the_signer() == "second"
    assert not credentials.due(600 - 11 * 3600 + 1)
    assert credentials.due(600 - 11 * 3600)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "soon"])
def test_malformed_period_of_the_relay_is_told_as_given(text: str) -> None:
    with pytest.raises(SettingsError, match=f"RELAY_PERIOD_SECONDS: expected whole seconds, at least 1, got '{text}'"):
        Settings.from_environment({**ENVIRONMENT, "RELAY_PERIOD_SECONDS": text})
