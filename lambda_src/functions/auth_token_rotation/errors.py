"""What a failed step says: which operation failed and with which code, and never a token."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError


class RotationError(Exception):
    """A step did not succeed. Secrets Manager repeats the rotation, which goes on where it stopped."""


class GroupBusyError(RotationError):
    """The replication group cannot take a token now; a later attempt can."""


@contextmanager
def without_values(operation: str) -> Iterator[None]:
    """Errors of AWS as a RotationError with their code alone: a message may quote what was sent."""
    try:
        yield
    except ClientError as error:
        raise RotationError(f"{operation}: {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise RotationError(f"{operation}: {type(error).__name__}") from None
