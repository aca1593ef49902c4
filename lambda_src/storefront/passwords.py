"""Password hashing with scrypt, the memory-hard function of the standard library, a few at a time."""

import base64
import hashlib
import hmac
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from storefront.errors import PasswordsBusyError

LOG2_COST = 15
# With LOG2_COST one of the equally strong settings of OWASP's Password Storage Cheat Sheet: 32 MiB and 0.1 to 0.2 s.
_BLOCK_SIZE, _PARALLELISM = 8, 3
_SALT_BYTES, _HASH_BYTES = 16, 32
_STORED = re.compile(r"\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")
_RETRY_AFTER_SECONDS = 2


def hash_password(password: str, log2_cost: int = LOG2_COST) -> str:
    """A salted hash that carries its own parameters: `$scrypt$ln=15,r=8,p=3$salt$hash`, the last two in base64."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return _encode(salt, _scrypt(password, salt, log2_cost, _BLOCK_SIZE, _PARALLELISM), log2_cost)


def verify_password(password: str, stored: str) -> bool:
    """Whether `password` is the one that was hashed. ValueError when `stored` is not of `hash_password`'s form."""
    match = _STORED.fullmatch(stored)
    if match is None:
        raise ValueError("not a password hash")
    cost, block_size, parallelism = (int(number) for number in match.groups()[:3])
    salt, expected = (base64.b64decode(text) for text in match.groups()[3:])
    return hmac.compare_digest(_scrypt(password, salt, cost, block_size, parallelism), expected)


class Passwords:
    """Hashes and verifies passwords, so many at once that reads beside them stay fast.

    scrypt releases the GIL, but not the cores: without a bound, the logins of a few clients keep all cores and all
    threads of a process busy, and every read waits for them.

    Args:
        at_once: how many hashes run at a time in this process. Default: half of the cores, at least one.
        waiting: how many more may wait for their turn; each keeps a thread of the server. Default 2.
        wait_seconds: how long they wait. Default 1.
        log2_cost: of new hashes, and of the work for a user that does not exist. Default 15.
    """

    def __init__(
        self,
        *,
        at_once: int | None = None,
        waiting: int = 2,
        wait_seconds: float = 1,
        log2_cost: int = LOG2_COST,
    ) -> None:
        at_once = at_once or max(1, len(os.sched_getaffinity(0)) // 2)
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._cores = threading.BoundedSemaphore(at_once)
        self._wait_seconds = wait_seconds
        self._log2_cost = log2_cost
        # Verified against when a user does not exist, so that the time of an answer does not tell which users do.
        self._unknown_user = _encode(bytes(_SALT_BYTES), bytes(_HASH_BYTES), log2_cost)

    def hash(self, password: str) -> str:
        """See `hash_password`. PasswordsBusyError."""
        with self._turn():
            return hash_password(password, self._log2_cost)

    def verify(self, password: str, stored: str | None) -> bool:
        """Whether it is the password that was hashed; of None, a user that does not exist, never, but as slowly.

        PasswordsBusyError.
        """
        with self._turn():
            return verify_password(password, stored or self._unknown_user) and stored is not None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise PasswordsBusyError(_RETRY_AFTER_SECONDS)
        try:
            if not self._cores.acquire(timeout=self._wait_seconds):
                raise PasswordsBusyError(_RETRY_AFTER_SECONDS)
            try:
                yield
            finally:
                self._cores.release()
        finally:
            self._places.release()


def _scrypt(password: str, salt: bytes, log2_cost: int, block_size: int, parallelism: int) -> bytes:
    cost = 1 << log2_cost
    # OpenSSL's own limit is 32 MiB, just below what these parameters need.
    memory = 128 * block_size * (cost + parallelism + 2)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block_size, p=parallelism, maxmem=memory, dklen=_HASH_BYTES
    )


def _encode(salt: bytes, digest: bytes, log2_cost: int) -> str:
    parameters = f"ln={log2_cost},r={_BLOCK_SIZE},p={_PARALLELISM}"
    return f"$scrypt${parameters}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
