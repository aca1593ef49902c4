"""The app's login to MySQL by IAM, byte by byte: the token goes over verified TLS as it is, or nowhere."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from local.tls import Certificates, ensure_certificates
from storefront.bootstrap import connect_database
from storefront.database import DatabaseUnavailableError, LoginRefusedError
from storefront.settings import Settings
from tests.storefront.deployment import variables
from tests.storefront.mysql_with_tokens import MysqlWithTokens

Start = Callable[..., MysqlWithTokens]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return ensure_certificates(tmp_path / "tls")


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, and stops them at the end."""
    started: list[MysqlWithTokens] = []

    def make(*arguments: object, **options: object) -> MysqlWithTokens:
        started.append(MysqlWithTokens(*arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    yield make
    for server in started:
        server.close()


@pytest.fixture
def settings_for(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Callable[[MysqlWithTokens], Settings]:
    """What a deployment tells the app whose database has this endpoint: no password among it."""

    def make(server: MysqlWithTokens) -> Settings:
        ca_file = str(certificates.ca_file)
        given = variables(cache="cache", database=server.endpoint, engine="mysql", ca_file=ca_file, aws_url="")
        del given["RDS_PASSWORD"], given["AWS_ENDPOINT_URL"]
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return Settings.from_environment(given)

    return make


SettingsFor = Callable[[MysqlWithTokens], Settings]


def test_token_arrives_over_tls_as_it_was_signed(
    start: Start, settings_for: SettingsFor, certificates: Certificates
) -> None:
    server = start(certificates)
    connect_database(settings_for(server)).close()
    (token,) = server.tokens
    asked = urlsplit(f"https://{token}")
    query = {name: value for name, (value,) in parse_qs(asked.query, strict_parsing=True).items()}
    assert asked.netloc == server.endpoint
    assert (query["Action"], query["DBUser"], query["X-Amz-Expires"]) == ("connect", "storefront_app", "900")
    assert query["X-Amz-Credential"].endswith("/eu-west-1/rds-db/aws4_request")
    assert len(query["X-Amz-Signature"]) == 64


def test_nothing_but_the_wish_for_tls_crosses_the_network_in_clear(
    start: Start, settings_for: SettingsFor, certificates: Certificates
) -> None:
    server = start(certificates)
    connect_database(settings_for(server)).close()
    assert len(server.in_clear) == 32  # SSLRequest: capabilities, packet size, character set and 23 zeros
    assert server.in_clear[9:] == bytes(23)


def test_server_without_tls_is_sent_nothing(start: Start, settings_for: SettingsFor) -> None:
    server = start(None)
    with pytest.raises(DatabaseUnavailableError, match="SSL is required"):
        connect_database(settings_for(server))
    assert (server.tokens, server.in_clear) == ([], b"")


def test_server_of_another_authority_gets_no_token(start: Start, settings_for: SettingsFor, tmp_path: Path) -> None:
    server = start(ensure_certificates(tmp_path / "another"))
    with pytest.raises(DatabaseUnavailableError, match="certificate verify failed"):
        connect_database(settings_for(server))
    assert server.tokens == []


def test_refused_token_is_a_refused_login(start: Start, settings_for: SettingsFor, certificates: Certificates) -> None:
    server = start(certificates, accepts=lambda _: False)
    with pytest.raises(LoginRefusedError, match="Access denied"):
        connect_database(settings_for(server))
    assert len(server.tokens) == 1
