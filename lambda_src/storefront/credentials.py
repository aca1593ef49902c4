"""How the app proves who it is: to the cache by AUTH token, to the database by IAM token or, locally, by password."""

import threading
import time
from collections.abc import Callable
from urllib.parse import quote

import redis

from storefront.database import DatabaseUnavailableError
from storefront.endpoints import Endpoint
from storefront.secrets_manager import SecretUnavailableError, read_secret


class AuthToken(redis.CredentialProvider):
    """The AUTH token of the replication group, read from Secrets Manager for the first connection and kept.

    While it cannot be read, one caller a second waits for Secrets Manager and the others fail at once.
    """

    def __init__(self, secret_arn: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret_arn = secret_arn
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._next_try = clock()

    def get_credentials(self) -> tuple[str]:
        """What redis-py sends on connecting; redis.AuthenticationError when the secret cannot be read."""
        with self._lock:
            if self._token is None:
                self._token = self._read()
            return (self._token,)

    def _read(self) -> str:
        if self._clock() < self._next_try:
            raise redis.AuthenticationError("the AUTH token could not be read a moment ago")
        try:
            return read_secret(self._secret_arn)
        except SecretUnavailableError as error:
            self._next_try = self._clock() + 1
            raise redis.AuthenticationError(str(error)) from error


def iam_token(endpoint: Endpoint, *, user: str, region: str) -> str:
    """A database password that is valid for 15 minutes, signed with the caller's credentials without a network call.

    What boto3's `generate_db_auth_token` does, without loading its description of all of RDS.
    DatabaseUnavailableError when there are no credentials.
    """
    from botocore.exceptions import BotoCoreError
    from botocore.model import ServiceId
    from botocore.session import Session
    from botocore.signers import RequestSigner

    session = Session()
    url = f"https://{endpoint.host}:{endpoint.port}/?Action=connect&DBUser={quote(user, safe='')}"
    request = {"method": "GET", "url": url, "body": {}, "headers": {}, "context": {}}
    try:
        credentials = session.get_credentials()
        if credentials is None:
            raise DatabaseUnavailableError("there are no AWS credentials to sign a database token with")
        events = session.get_component("event_emitter")
        signer = RequestSigner(ServiceId("RDS"), region, "rds-db", "v4", credentials, events)
        signed = signer.generate_presigned_url(request, operation_name="connect", expires_in=900, region_name=region)
    except BotoCoreError as error:
        raise DatabaseUnavailableError(f"cannot sign a database token: {error}") from error
    return str(signed).removeprefix("https://")
