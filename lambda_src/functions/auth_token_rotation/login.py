"""Whether the cache takes a token."""

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from functions.auth_token_rotation.errors import RotationError
from storefront.endpoints import Endpoint

_TIMEOUT_SECONDS = 5


def is_accepted(endpoint: Endpoint, token: str) -> bool:
    """AUTH and PING on a new connection, over TLS that verifies certificate and host name.

    RotationError where the cache could not be asked.
    """
    connection = redis.Redis(
        host=endpoint.host,
        port=endpoint.port,
        password=token,
        ssl=True,
        ssl_cert_reqs="required",
        ssl_check_hostname=True,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    with connection:
        try:
            return bool(connection.ping())
        except redis.AuthenticationError:
            return False
        except redis.RedisError as error:
            raise RotationError(f"the cache cannot be asked: {type(error).__name__}") from None
