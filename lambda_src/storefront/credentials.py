"""How the app proves who it is: by tokens that IAM signs, and by secrets of AWS Secrets Manager."""

from urllib.parse import quote

from storefront.database import DatabaseUnavailableError
from storefront.endpoints import Endpoint

_VALID_SECONDS = 900


class SigningError(Exception):
    """There are no AWS credentials to sign with, or they cannot be read."""


class SecretUnavailableError(Exception):
    """A secret could not be read; the message names the secret and the cause, never a value."""


def iam_token(endpoint: Endpoint, *, user: str, region: str) -> str:
    """A database password that is valid for 15 minutes, signed with the caller's credentials without a network call.

    What boto3's `generate_db_auth_token` does, without loading its description of all of RDS.
    DatabaseUnavailableError when there are no credentials.
    """
    url = f"https://{endpoint.host}:{endpoint.port}/?Action=connect&DBUser={quote(user, safe='')}"
    try:
        return _signed(url, service="rds-db", region=region)
    except SigningError as error:
        raise DatabaseUnavailableError(f"cannot sign a database token: {error}") from error


def cache_token(replication_group_id: str, *, user: str, region: str) -> str:
    """A cache password that is valid for 15 minutes, signed as the database's is. SigningError.

    Its host is the id of the replication group, which AWS keeps in lower case, and not the endpoint (ElastiCache User
    Guide, "Authenticating with IAM").
    """
    url = f"https://{replication_group_id.lower()}/?Action=connect&User={quote(user, safe='')}"
    return _signed(url, service="elasticache", region=region)


def read_secret(arn: str) -> str:
    """The current value of the secret. Waits at most 6 s; then, or when refused, SecretUnavailableError."""
    # Here, because importing boto3 takes as long as everything else together, and a warm process never gets here again.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
    try:
        client = boto3.client("secretsmanager", config=config)
        return client.get_secret_value(SecretId=arn)["SecretString"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise SecretUnavailableError(f"cannot read the secret {arn}: {code}") from error
    except BotoCoreError as error:
        raise SecretUnavailableError(f"cannot read the secret {arn}: {type(error).__name__}") from error


def _signed(url: str, *, service: str, region: str) -> str:
    """The URL with a signature for the service in its query, without its scheme: the form that both services take."""
    from botocore.exceptions import BotoCoreError
    from botocore.model import ServiceId
    from botocore.session import Session
    from botocore.signers import RequestSigner

    session = Session()
    request = {"method": "GET", "url": url, "body": {}, "headers": {}, "context": {}}
    try:
        credentials = session.get_credentials()
        if credentials is None:
            raise SigningError("there are no AWS credentials")
        events = session.get_component("event_emitter")
        signer = RequestSigner(ServiceId(service), region, service, "v4", credentials, events)
        signed = signer.generate_presigned_url(
            request, operation_name="connect", expires_in=_VALID_SECONDS, region_name=region
        )
    except BotoCoreError as error:
        raise SigningError(str(error)) from error
    return str(signed).removeprefix("https://")
