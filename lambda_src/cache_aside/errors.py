"""What this package raises. A failing cache is not among it: reads go past it, invalidations say they are pending."""


class PolicyError(ValueError):
    """A policy or a key template that cannot work; raised where it is defined, not where it is used."""


class LoadUnavailableError(Exception):
    """For loaders to raise or subclass when the source cannot answer now; in `Policy.stale_errors` by default."""


class LoadTimeoutError(LoadUnavailableError):
    """An asynchronous load ran longer than `Policy.load_timeout_seconds` and was cancelled."""


class TooManyLoadsError(LoadUnavailableError):
    """The source has as many loads as it may have: answer 503 with `Retry-After: retry_after_seconds`."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many loads past the cache at once; retry after {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class CacheUnavailableError(Exception):
    """The cache did not answer. Reads handle it themselves; `replication_id()` lets it out."""


class CacheBusyError(CacheUnavailableError):
    """No connection became free in time, or too late to wait for its reply. The cache is not to blame."""
