"""Password hashing with scrypt, the memory-hard function of the standard library."""

import base64
import hashlib
import hmac
import re
import secrets

# OWASP's Password Storage Cheat Sheet gives this among its equally strong settings: 32 MiB and about 0.2 s a hash, so
# that eight threads that log somebody in at once fit a small Lambda function, which the 128 MiB setting would not.
_LOG2_COST, _BLOCK_SIZE, _PARALLELISM = 15, 8, 3
_SALT_BYTES, _HASH_BYTES = 16, 32
_STORED = re.compile(r"\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")


def hash_password(password: str) -> str:
    """A salted hash that carries its own parameters: `$scrypt$ln=15,r=8,p=3$salt$hash`, the last two in base64."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _scrypt(password, salt, _LOG2_COST, _BLOCK_SIZE, _PARALLELISM)
    return _encode(salt, digest)


def verify_password(password: str, stored: str) -> bool:
    """Whether `password` is the one that was hashed. ValueError when `stored` is not of `hash_password`'s form."""
    match = _STORED.fullmatch(stored)
    if match is None:
        raise ValueError("not a password hash")
    cost, block_size, parallelism = (int(number) for number in match.groups()[:3])
    salt, expected = (base64.b64decode(text) for text in match.groups()[3:])
    return hmac.compare_digest(_scrypt(password, salt, cost, block_size, parallelism), expected)


def _scrypt(password: str, salt: bytes, log2_cost: int, block_size: int, parallelism: int) -> bytes:
    cost = 1 << log2_cost
    # OpenSSL's own limit is 32 MiB, just below what these parameters need.
    memory = 128 * block_size * (cost + parallelism + 2)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block_size, p=parallelism, maxmem=memory, dklen=_HASH_BYTES
    )


def _encode(salt: bytes, digest: bytes) -> str:
    parameters = f"ln={_LOG2_COST},r={_BLOCK_SIZE},p={_PARALLELISM}"
    return f"$scrypt${parameters}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


# Verified against when a user does not exist, so that the time of an answer does not tell which users do.
UNKNOWN_USER_HASH = _encode(bytes(_SALT_BYTES), bytes(_HASH_BYTES))
