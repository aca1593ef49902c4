"""Certificates for loopback endpoints, so that clients verify locally exactly as they do in AWS."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509

from local.private_files import write_private

_LIFETIME = datetime.timedelta(days=90)
_RENEW_BEFORE_EXPIRY = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Certificates:
    """PEM files of one certificate authority and the server certificate that it signed."""

    ca_file: Path
    cert_file: Path
    key_file: Path


def ensure_certificates(directory: Path) -> Certificates:
    """The certificates in `directory`: made when missing, made anew within 30 days of their expiry.

    The server certificate is valid for 90 days and for `localhost`, 127.0.0.1 and ::1. The authority's own key is
    never written, so nobody can sign anything else with it.
    """
    found = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    if not _usable(found):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(found)
    return found


def _usable(found: Certificates) -> bool:
    if not (found.ca_file.exists() and found.cert_file.exists() and found.key_file.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(found.cert_file.read_bytes())
    return certificate.not_valid_after_utc - _RENEW_BEFORE_EXPIRY > datetime.datetime.now(datetime.UTC)


def _make(target: Certificates) -> None:
    authority = trustme.CA(organization_name="cache-aside local authority")
    server = authority.issue_cert(
        "localhost", "127.0.0.1", "::1", not_after=datetime.datetime.now(datetime.UTC) + _LIFETIME
    )
    target.cert_file.unlink(missing_ok=True)  # whoever is killed in between leaves no two that do not match
    write_private(target.ca_file, authority.cert_pem.bytes())
    write_private(target.key_file, server.private_key_pem.bytes())
    write_private(target.cert_file, server.cert_chain_pems[0].bytes())
