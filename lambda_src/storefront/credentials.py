"""How the app proves to the database who it is: by IAM token. (Locally by password; to the cache by AUTH token.)"""

from urllib.parse import quote

from storefront.database import DatabaseUnavailableError
from storefront.endpoints import Endpoint


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
