"""The roots that the certificates of RDS chain to."""

import os
from pathlib import Path

# Where to get a newer one: tools/refresh_rds_ca_bundle.py.
RDS_CA_BUNDLE = Path(__file__).parent / "rds-ca-bundle.pem"


def database_roots() -> str:
    """The file of roots to trust: RDS's own, which travel with this code, or the one that RDS_CA_FILE names."""
    return os.environ.get("RDS_CA_FILE") or str(RDS_CA_BUNDLE)
