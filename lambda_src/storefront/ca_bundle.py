"""The roots that the certificates of RDS chain to."""

from pathlib import Path

# Where to get a newer one: tools/refresh_rds_ca_bundle.py.
RDS_CA_BUNDLE = Path(__file__).parent / "rds-ca-bundle.pem"
