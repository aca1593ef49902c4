"""Both stages in one local account, from the first deployment to the last, in the order of this file."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis
from botocore.exceptions import ClientError, WaiterError
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.cdk_cli import CdkError
from local.cloud import LocalCloud
from local.deployment import Deployment
from local.emulator.process import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef

pytestmark = [pytest.mark.emulator, pytest.mark.cdk_cli, pytest.mark.engines]
LAMBDA_SRC = Path(__file__).parents[2] / "lambda_src"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/00000000-0000-0000-0000-000000000000"
CONTEXT = {
    "dev": {"stage": "dev", "web.allowed_cidrs": "127.0.0.1/32"},
    "prod": {"stage": "prod", "certificate_arn": CERTIFICATE},
}
OUTPUTS = {
    "AlarmTopicArn",
    "ElastiCacheEndpoint",
    "ElastiCacheReaderEndpoint",
    "RdsEndpoint",
    "AuthTokenSecretArn",
    "LoadBalancerUrl",
    "FunctionName",
    "MigrationFunctionName",
    "FirstOperatorSecretArn",
    "OperationsPolicyArn",
}


@dataclass
class Stage:
    """A deployed stage."""

    name: str
    cloud: LocalCloud
    deployment: Deployment

    def deploy(self) -> None:
        """Deploys it for the first time, and keeps what was synthesized: it takes longer to make than to deploy."""
        self.cdk("deploy", "--all", "--require-approval", "never")
        (self.cloud.directory / "cdk.out").rename(self.assembly)

    @property
    def assembly(self) -> Path:
        """What was deployed first, which the CDK CLI takes in the place of the app."""
        return self.cloud.directory / f"{self.name}.out"

    def cdk(self, *arguments: str, settings: dict[str, str] | None = None, app: str | None = None) -> str:
        return self.cloud.cdk({**CONTEXT[self.name], **(settings or {})}, app=app).run(*arguments)

    def secret(self, arn: str) -> str:
        client = self.deployment.session.client("secretsmanager", endpoint_url=self.cloud.emulator.url)
        return client.get_secret_value(SecretId=arn)["SecretString"]


@pytest.fixture(scope="module")
def cloud(home: Path) -> Iterator[LocalCloud]:
    cloud = LocalCloud(home, say=print)
    cloud.start()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="module")
def stages(cloud: LocalCloud) -> dict[str, Stage]:
    """dev and prod side by side."""
    stages = {name: Stage(name, cloud, Deployment(cloud.emulator, name)) for name in CONTEXT}
    stages["dev"].cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
    for stage in stages.values():
        stage.deploy()
    return stages


@pytest.fixture(params=list(CONTEXT))
def stage(stages: dict[str, Stage], request: pytest.FixtureRequest) -> Stage:
    return stages[request.param]


@pytest.fixture
def dev(stages: dict[str, Stage]) -> Stage:
    return stages["dev"]


def test_outputs_are_complete(stage: Stage) -> None:
    outputs = stage.deployment.outputs()
    assert set(outputs) == OUTPUTS
    assert outputs["LoadBalancerUrl"].startswith("https://" if stage.name == "prod" else "http://")


def test_cache_answers_to_the_deployed_token_only(stage: Stage) -> None:
    outputs = stage.deployment.outputs()
    port = int(outputs["ElastiCacheEndpoint"].rpartition(":")[2])
    ca_file = stage.cloud.emulator.app_environment()["SSL_CERT_FILE"]
    token = stage.secret(outputs["AuthTokenSecretArn"])
    at_once = Retry(NoBackoff(), 0)
    assert redis.Redis(port=port, password=token, ssl=True, ssl_ca_certs=ca_file, retry=at_once).ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port, ssl=True, ssl_ca_certs=ca_file, retry=at_once).ping()


def test_function_is_wired_to_cache_and_database(stage: Stage) -> None:
    outputs, environment = stage.deployment.outputs(), stage.deployment.function_environment()
    assert environment["ELASTICACHE_ENDPOINT"] == outputs["ElastiCacheEndpoint"]
    assert environment["ELASTICACHE_AUTH_SECRET_ARN"] == outputs["AuthTokenSecretArn"]
    assert environment["RDS_ENDPOINT"] == outputs["RdsEndpoint"]
    assert "RDS_PASSWORD" not in environment


def test_only_the_function_is_admitted_and_only_the_listener_is_open(stage: Stage) -> None:
    url, session = stage.cloud.emulator.url, stage.deployment.session
    name = stage.deployment.outputs()["FunctionName"]
    network = session.client("lambda", endpoint_url=url).get_function_configuration(FunctionName=name)["VpcConfig"]
    (app_group,) = network["SecurityGroupIds"]
    in_vpc: FilterTypeDef = {"Name": "vpc-id", "Values": [network["VpcId"]]}
    groups = session.client("ec2", endpoint_url=url).describe_security_groups(Filters=[in_vpc])["SecurityGroups"]
    permissions = [permission for group in groups for permission in group["IpPermissions"]]
    by_group = {(p["FromPort"], pair["GroupId"]) for p in permissions for pair in p["UserIdGroupPairs"]}
    by_address = {(p["FromPort"], address["CidrIp"]) for p in permissions for address in p["IpRanges"]}
    assert by_group == {(6379, app_group), (5432, app_group), (443, app_group)}
    assert by_address == {(443, "0.0.0.0/0") if stage.name == "prod" else (80, "127.0.0.1/32")}


def test_load_balancer_leads_to_the_function(stage: Stage) -> None:
    balancing = stage.deployment.session.client("elbv2", endpoint_url=stage.cloud.emulator.url)
    name = stage.deployment.outputs()["LoadBalancerUrl"].partition("://")[2]
    (balancer,) = [found for found in balancing.describe_load_balancers()["LoadBalancers"] if found["DNSName"] == name]
    (listener,) = balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert (listener["Protocol"], listener["Port"]) == (("HTTPS", 443) if stage.name == "prod" else ("HTTP", 80))
    (group,) = balancing.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])["TargetGroups"]
    (target,) = balancing.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    assert target["Target"]["Id"].endswith(f":function:{stage.deployment.outputs()['FunctionName']}:live")


def test_deployed_function_serves_through_the_deployed_load_balancer(stage: Stage) -> None:
    request = stage.deployment.request
    while "unavailable" in request("/health/ready").text:
        pass  # a cold start on a busy machine may take longer than the app waits for its cache
    token = request("/sessions", method="POST", body=stage.deployment.first_operator()).json()["token"]
    operator = {"Authorization": f"Bearer {token}"}
    created = request("/products", method="POST", body={"name": "Deployed", "price": 1.25}, headers=operator)
    assert created.status_code == 201
    path = created.headers["Location"]
    answers = [request(path), request(path)]
    assert [answer.headers["X-Cache"] for answer in answers] == ["MISS", "HIT"]
    assert answers[0].content == answers[1].content
    assert request(path, method="PUT", body={"name": "Updated", "price": 2}, headers=operator).status_code == 200
    updated = request(path)
    assert (updated.headers["X-Cache"], updated.json()["name"]) == ("MISS", "Updated")


def test_deployed_rotation_finds_its_secret_and_nothing_to_settle(stages: dict[str, Stage]) -> None:
    functions = stages["prod"].deployment.session.client("lambda", endpoint_url=stages["prod"].cloud.emulator.url)
    variables = {f["FunctionName"]: f["Environment"]["Variables"] for f in functions.list_functions()["Functions"]}
    (rotation,) = [name for name, found in variables.items() if "DRAIN_SECONDS" in found]
    answer = functions.invoke(FunctionName=rotation, Payload=b'{"settle": true}')
    assert json.loads(answer["Payload"].read()) == {"state": "settled"}


def test_only_dev_has_sample_data(stage: Stage) -> None:
    assert stage.deployment.request("/products/100").status_code == (200 if stage.name == "dev" else 404)


def test_diff_finds_no_difference(stage: Stage) -> None:
    assert "Number of stacks with differences: 0" in stage.cdk("diff", "--all", "--fail", app=str(stage.assembly))


def test_unknown_resource_type_fails_by_name(cloud: LocalCloud, dev: Stage) -> None:
    formation = dev.deployment.session.client("cloudformation", endpoint_url=cloud.emulator.url)
    template = json.dumps({"Resources": {"Unknown": {"Type": "AWS::Nobody::Knows"}}})
    with pytest.raises(ClientError, match="AWS::Nobody::Knows"):
        formation.create_stack(StackName="unknown", TemplateBody=template)


def test_cache_without_a_token_is_refused_because_the_emulator_cannot_check_iam(cloud: LocalCloud, dev: Stage) -> None:
    formation = dev.deployment.session.client("cloudformation", endpoint_url=cloud.emulator.url)
    group = {"ReplicationGroupDescription": "users", "CacheNodeType": "cache.t4g.micro", "Engine": "valkey"}
    cache = {"Type": "AWS::ElastiCache::ReplicationGroup", "Properties": {**group, "TransitEncryptionEnabled": True}}
    formation.create_stack(StackName="users", TemplateBody=json.dumps({"Resources": {"Cache": cache}}))
    with pytest.raises(WaiterError):
        formation.get_waiter("stack_create_complete").wait(StackName="users", WaiterConfig={"Delay": 1})
    events = formation.describe_stack_events(StackName="users")["StackEvents"]
    reasons = [event["ResourceStatusReason"] for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    assert "the local engine serves TLS with an AUTH token only" in reasons[0]


def test_changed_settings_are_deployed(dev: Stage) -> None:
    settings = {"network.nat_gateways": "1", "app.memory_mib": "512"}
    dev.cdk("deploy", "--all", "--require-approval", "never", settings=settings)
    functions = dev.deployment.session.client("lambda", endpoint_url=dev.cloud.emulator.url)
    function = functions.get_function_configuration(FunctionName=dev.deployment.outputs()["FunctionName"])
    assert function["MemorySize"] == 512
    network = dev.deployment.session.client("ec2", endpoint_url=dev.cloud.emulator.url)
    gateways = network.describe_nat_gateways()["NatGateways"]
    assert [gateway["State"] for gateway in gateways] == ["available"]
    assert dev.deployment.request("/products/1").status_code == 200


def deploy_release(stage: Stage, directory: Path, statement: str) -> None:
    """Deploys a release whose migration 9999 executes the statement, and which fails afterwards at the latest."""
    lambda_src = directory / "lambda_src"
    shutil.copytree(LAMBDA_SRC, lambda_src, ignore=shutil.ignore_patterns("__pycache__"))
    versions = lambda_src / "functions" / "schema_migration" / "versions"
    latest = max(path.name.partition("_")[0] for path in versions.glob("[0-9]*.py"))
    (versions / "9999_of_the_release.py").write_text(
        f"from alembic import op\n\nrevision, down_revision = '9999', '{latest}'\n\n\n"
        f"def upgrade() -> None:\n    op.execute({statement!r})\n"
    )
    app = f"{sys.executable} -m tests.deploy.failing_release {lambda_src}"
    stage.cdk("deploy", "App", "--exclusively", "--require-approval", "never", app=app)


def test_failed_migration_fails_the_update_with_its_reason(dev: Stage, tmp_path: Path) -> None:
    with pytest.raises(CdkError, match='column "nowhere" does not exist'):
        deploy_release(dev, tmp_path, "SELECT nowhere FROM products")
    assert dev.deployment.statuses()["cache-aside-dev-app"] == "UPDATE_ROLLBACK_COMPLETE"
    assert revision_of(dev) != "9999"
    assert dev.deployment.request("/products/1").status_code == 200


def test_update_that_fails_after_its_migration_rolls_back(dev: Stage, tmp_path: Path) -> None:
    with pytest.raises(CdkError, match="FailsLate"):
        deploy_release(dev, tmp_path, "ALTER TABLE products ADD COLUMN colour text")
    assert dev.deployment.statuses()["cache-aside-dev-app"] == "UPDATE_ROLLBACK_COMPLETE"
    assert revision_of(dev) == "9999"
    assert dev.deployment.request("/products/1").status_code == 200


def revision_of(stage: Stage) -> str:
    """The revision of the stage's database, asked as its master user."""
    functions = stage.deployment.session.client("lambda", endpoint_url=stage.cloud.emulator.url)
    environments = [f["Environment"]["Variables"] for f in functions.list_functions()["Functions"]]
    endpoint = stage.deployment.outputs()["RdsEndpoint"]
    (migration,) = [e for e in environments if e.get("RDS_ENDPOINT") == endpoint and "RDS_MASTER_SECRET_ARN" in e]
    master = json.loads(stage.secret(migration["RDS_MASTER_SECRET_ARN"]))
    host, _, port = endpoint.partition(":")
    ca_file = stage.cloud.emulator.app_environment()["RDS_CA_FILE"]
    with psycopg.connect(
        host=host,
        port=int(port),
        dbname=migration["RDS_DB_NAME"],
        user=master["username"],
        password=master["password"],
        sslmode="verify-full",
        sslrootcert=ca_file,
    ) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row
    return str(row[0])


def test_prod_is_protected_from_being_destroyed(stages: dict[str, Stage]) -> None:
    with pytest.raises(CdkError, match=r"(?i)termination ?protection"):
        stages["prod"].cdk("destroy", "--all", "--force", app=str(stages["prod"].assembly))
    assert stages["prod"].deployment.settled()


def test_destroyed_stage_leaves_no_engine(dev: Stage) -> None:
    engines = dev.deployment.engine_endpoints()
    dev.cdk("destroy", "--all", "--force", app=str(dev.assembly))
    assert dev.deployment.statuses() == {}
    assert not engines & dev.cloud.engines.endpoints()
