"""The certificate authorities that travel with the code."""

import datetime
import hashlib

from cryptography import x509

from storefront.database import RDS_CA_BUNDLE


def test_rds_roots_are_those_that_were_vendored() -> None:
    recorded = RDS_CA_BUNDLE.with_suffix(".pem.sha256").read_text().split()[0]
    assert hashlib.sha256(RDS_CA_BUNDLE.read_bytes()).hexdigest() == recorded


def test_rds_roots_are_valid_for_another_year_and_cover_the_regions() -> None:
    """When this fails: python -m tools.refresh_rds_ca_bundle."""
    certificates = x509.load_pem_x509_certificates(RDS_CA_BUNDLE.read_bytes())
    in_a_year = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
    assert all(certificate.not_valid_after_utc > in_a_year for certificate in certificates)
    names = " ".join(certificate.subject.rfc4514_string() for certificate in certificates)
    for region in ("us-east-1", "eu-west-1", "eu-central-1", "ap-northeast-1"):
        for algorithm in ("RSA2048", "RSA4096", "ECC384"):
            assert f"Amazon RDS {region} Root CA {algorithm} G1" in names
