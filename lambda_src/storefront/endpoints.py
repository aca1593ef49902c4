"""Network addresses as the deployment hands them over."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_ENDPOINT = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


class Endpoint(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


def parse_endpoint(text: str, *, default_port: int) -> Endpoint:
    """Reads `host` or `host:port`; an IPv6 address stands in brackets. ValueError says what was given."""
    match = _ENDPOINT.fullmatch(text)
    port = int(match["port"] or default_port) if match else 0
    if match is None or not 0 < port < 65536:
        raise ValueError(f"expected host or host:port, got {text!r}")
    return Endpoint(match["host"].strip("[]"), port)


def endpoint_of(environment: Mapping[str, str], name: str, *, default_port: int) -> Endpoint:
    """What the variable says. KeyError when there is none; ValueError names it and says what was given."""
    try:
        return parse_endpoint(environment[name], default_port=default_port)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
