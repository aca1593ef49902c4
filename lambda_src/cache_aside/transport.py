"""What a client needs of its connections; `Link` and `AsyncLink` have it, and so have the fakes of the tests."""

from collections.abc import Sequence
from typing import Any, Protocol

from cache_aside.commands import Op
from cache_aside.server import Identity


class Transport(Protocol):
    """What carries round trips to the cache: for threads."""

    def execute(self, ops: Sequence[Op], fail_closed: bool = False) -> list[Any]:
        """One round trip; CacheUnavailableError when it fails."""
        ...

    def deliver(self, ops: Sequence[Op], timeout_seconds: float, *, fresh: bool) -> tuple[list[Any], Identity]:
        """One attempt to reach the primary past the breaker."""
        ...

    def after_fork(self) -> None:
        """Drop what belongs to the parent process."""

    def close(self) -> None:
        """Close what the calling thread holds."""


class AsyncTransport(Protocol):
    """What carries round trips to the cache: for tasks."""

    async def execute(self, ops: Sequence[Op], fail_closed: bool = False) -> list[Any]:
        """One round trip; CacheUnavailableError when it fails."""
        ...

    async def deliver(self, ops: Sequence[Op], timeout_seconds: float, *, fresh: bool) -> tuple[list[Any], Identity]:
        """One attempt to reach the primary past the breaker."""
        ...

    async def close(self) -> None:
        """Close every connection."""
