"""Each Lambda bundle holds what its handler imports, and the roots that it verifies servers with."""

import datetime
import hashlib
import re
import subprocess
import sys
from pathlib import Path

from cryptography import x509

from storefront.postgres import RDS_CA_BUNDLE

LAMBDA_SRC = Path(__file__).parents[2] / "lambda_src"
OWN = {"cache_aside", "functions", "storefront"}
IN_THE_RUNTIME = {"boto3", "botocore", "jmespath", "s3transfer", "urllib3", "dateutil", "six"}
# Distributions whose packages have another name.
PACKAGES = {
    "psycopg-binary": {"psycopg_binary"},
    "typing-extensions": {"typing_extensions"},
    "sqlalchemy": {"sqlalchemy"},
}


def third_party_modules(statement: str) -> set[str]:
    """Top-level packages that are neither the standard library's nor ours, loaded by a fresh interpreter for `statement`."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*{{m.partition('.')[0] for m in set(sys.modules) - before}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=LAMBDA_SRC, capture_output=True, text=True, check=True)
    return {
        name for name in done.stdout.split() if name not in sys.stdlib_module_names | OWN and not name.startswith("_")
    }


def bundled(requirements: Path) -> set[str]:
    """The packages of a locked requirements file."""
    distributions = re.findall(r"^([A-Za-z0-9_.-]+)==", requirements.read_text(), re.MULTILINE)
    return set().union(*(PACKAGES.get(name, {name.replace("-", "_")}) for name in distributions))


def test_migration_imports_only_what_its_bundle_holds() -> None:
    loaded = third_party_modules("import functions.schema_migration.handler")
    assert {"alembic", "psycopg", "sqlalchemy"} <= loaded
    assert loaded <= bundled(LAMBDA_SRC / "functions/schema_migration/requirements.txt")


def test_migration_reads_secrets_with_what_the_runtime_holds() -> None:
    loaded = third_party_modules("import functions.schema_migration.handler, boto3")
    assert loaded <= bundled(LAMBDA_SRC / "functions/schema_migration/requirements.txt") | IN_THE_RUNTIME


def test_rds_roots_are_those_that_were_vendored() -> None:
    recorded = RDS_CA_BUNDLE.with_suffix(".pem.sha256").read_text().split()[0]
    assert hashlib.sha256(RDS_CA_BUNDLE.read_bytes()).hexdigest() == recorded


def test_rds_roots_are_valid_for_another_year_and_cover_the_regions() -> None:
    """When this fails: python tools/refresh_rds_ca_bundle.py."""
    certificates = x509.load_pem_x509_certificates(RDS_CA_BUNDLE.read_bytes())
    in_a_year = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
    assert all(certificate.not_valid_after_utc > in_a_year for certificate in certificates)
    names = " ".join(certificate.subject.rfc4514_string() for certificate in certificates)
    for region in ("us-east-1", "eu-west-1", "eu-central-1", "ap-northeast-1"):
        for algorithm in ("RSA2048", "RSA4096", "ECC384"):
            assert f"Amazon RDS {region} Root CA {algorithm} G1" in names
