"""The dev stage on this machine: deployed when it has to be, and shown to work."""

import json
import time
from collections.abc import Callable

from local.cloud import LocalCloud
from local.deployment import Deployment
from local.emulator.process import ACCOUNT, REGION
from local.errors import LocalError
from local.sources import fingerprint

STAGE = "dev"
_CONTEXT = {"stage": STAGE, "web.allowed_cidrs": "127.0.0.1/32"}
_ENGINES_TIMEOUT_SECONDS = 30.0
_FUNCTION_TIMEOUT_SECONDS = 10.0


def deploy(cloud: LocalCloud, deployment: Deployment, *, database: str, say: Callable[[str], None]) -> None:
    """Deploys unless the last run's deployment is still right; a half-finished one is thrown away first, and so is one
    with another engine than `database`, postgres or mysql.

    CdkError when the CLI fails, LocalError when an engine of the last run does not start.
    """
    context = {**_CONTEXT, "database.engine": database}
    wanted, saved = fingerprint(json.dumps(context)), cloud.saved()
    if saved is not None:
        if not deployment.settled() or cloud.engines.endpoints() != deployment.engine_endpoints():
            say("an earlier run left a half-finished deployment: starting over")
            cloud.start_over()
        elif deployment.function_environment().get("RDS_ENGINE", "postgres") != database:
            say(f"the last run had another database than {database}: starting over")
            cloud.start_over()
        elif saved == wanted:
            say("sources unchanged: the deployment of the last run is used again")
            _wait_for_engines(cloud)
            return
    cdk = cloud.cdk(context)
    say("cdk bootstrap")
    cdk.run("bootstrap", f"aws://{ACCOUNT}/{REGION}")
    say(f"cdk deploy --all -c stage={STAGE} (synthesizes and bundles first)")
    cdk.run("deploy", "--all", "--require-approval", "never")
    cloud.save(wanted)


def show_function(deployment: Deployment, *, say: Callable[[str], None]) -> None:
    """Invokes the deployed function through the deployed load balancer. LocalError when it fails."""
    deadline = time.monotonic() + _FUNCTION_TIMEOUT_SECONDS
    answer = deployment.request("/health/ready")
    # A cold start on a busy machine may take longer than the app waits for its cache.
    while "unavailable" in answer.text and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = deployment.request("/health/ready")
    if not answer.is_success:
        raise LocalError(f"the deployed function fails: GET /health/ready {answer.status_code} {answer.text}")
    say(f"the deployed function, through the deployed load balancer: {answer.status_code} {answer.text}")


def _wait_for_engines(cloud: LocalCloud) -> None:
    deadline = time.monotonic() + _ENGINES_TIMEOUT_SECONDS
    while not cloud.engines.all_answer():
        if time.monotonic() > deadline:
            raise LocalError("the deployed cache or database does not start; `make clean` forgets both with their data")
        time.sleep(0.1)
        cloud.reconcile()
