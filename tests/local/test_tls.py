"""The certificates that local endpoints show."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from local import tls


def test_certificates_are_kept_while_they_last(tmp_path: Path) -> None:
    first = tls.ensure_certificates(tmp_path).cert_file.read_bytes()
    assert tls.ensure_certificates(tmp_path).cert_file.read_bytes() == first


def test_certificates_are_renewed_before_they_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_LIFETIME", datetime.timedelta(days=29))
    first = tls.ensure_certificates(tmp_path).cert_file.read_bytes()
    monkeypatch.undo()
    renewed = x509.load_pem_x509_certificate(tls.ensure_certificates(tmp_path).cert_file.read_bytes())
    assert renewed.public_bytes(Encoding.PEM) != first
    assert renewed.not_valid_after_utc > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=80)


def test_nobody_else_can_read_the_key(tmp_path: Path) -> None:
    assert tls.ensure_certificates(tmp_path / "tls").key_file.stat().st_mode & 0o077 == 0
