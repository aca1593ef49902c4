"""Certificates for loopback endpoints, so that clients verify locally exactly as they do in AWS."""

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("cache-aside local authority")
    ca = _sign(ca_name, ca_name, ca_key.public_key(), ca_key, authority=True)
    server = _sign(_name("localhost"), ca_name, server_key.public_key(), ca_key, authority=False)
    _write(target.ca_file, ca.public_bytes(serialization.Encoding.PEM))
    _write(target.cert_file, server.public_bytes(serialization.Encoding.PEM))
    _write(
        target.key_file,
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    ca_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(_key_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if not authority:
        addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses]), critical=False
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    # Python 3.13 and later refuse an authority without this extension.
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
