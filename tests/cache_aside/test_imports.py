"""The package is for anybody's code, so it brings little along."""

import subprocess
import sys
from pathlib import Path

LAMBDA_SRC = Path(__file__).parents[2] / "lambda_src"
FOREIGN = ("boto3", "botocore", "falcon", "functions", "httpx", "psycopg", "requests", "sqlalchemy", "storefront")


def test_import_loads_no_aws_http_or_sql_package() -> None:
    code = "import sys, cache_aside; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=LAMBDA_SRC, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "redis" in loaded
    assert not set(FOREIGN) & set(loaded)
