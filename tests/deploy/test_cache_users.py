"""The emulator cannot check IAM tokens, so it refuses a cache that asks for them."""

from pathlib import Path

import pytest

from local.cdk_cli import CdkError
from local.cloud import LocalCloud
from local.emulator.process import ACCOUNT, REGION

pytestmark = [pytest.mark.emulator, pytest.mark.cdk_cli, pytest.mark.engines]


def test_emulator_refuses_a_cache_without_a_token_and_says_why(home: Path) -> None:
    cloud = LocalCloud(home, say=print)
    cloud.start()
    try:
        cdk = cloud.cdk({"stage": "dev", "web.allowed_cidrs": "127.0.0.1/32", "cache.auth": "iam"})
        cdk.run("bootstrap", f"aws://{ACCOUNT}/{REGION}")
        with pytest.raises(CdkError, match="the local engine serves TLS with an AUTH token only"):
            cdk.run("deploy", "Data", "--require-approval", "never")
    finally:
        cloud.stop()
