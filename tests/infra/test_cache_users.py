"""Role-based access to the cache, in place of the AUTH token."""

import json
import re

import aws_cdk as cdk
import pytest

from constructs_lib import AuthToken, CacheUsers, PropError, access_string
from stacks.cache_rights import COMMANDS, KEY_PATTERNS
from tests.infra.iam_statements import statements
from tests.infra.replacement import replacements
from tests.infra.synthesis import SETTINGS, Stage, build, synthesize, warnings
from tests.infra.test_cache import make_cache

CACHE, USER, GROUP = (f"AWS::ElastiCache::{kind}" for kind in ("ReplicationGroup", "User", "UserGroup"))
WARNING = "this REPLACES the replication group by a new, empty one"


@pytest.fixture(scope="module", params=["redis", "valkey"])
def iam(request: pytest.FixtureRequest) -> Stage:
    """prod with users, for each engine."""
    other = {} if request.param == "redis" else {"cache__engine": request.param}
    return synthesize("prod", cache__auth="iam", **other)


def engine_of(stage: Stage) -> str:
    engine: str = stage.properties(CACHE)["Engine"]
    return engine


def test_cache_has_users_and_no_token(iam: Stage) -> None:
    cache = iam.properties(CACHE)
    (group_id,) = iam.resources(GROUP)
    assert cache["UserGroupIds"] == [{"Ref": group_id}]
    assert "AuthToken" not in cache
    assert cache["TransitEncryptionMode"] == "required"
    assert float(cache["EngineVersion"]) >= 7


def test_no_secret_of_a_token_is_left(iam: Stage) -> None:
    assert not any("AuthToken" in name for name in iam.resources("AWS::SecretsManager::Secret"))
    assert "AuthToken" not in json.dumps(iam.templates["Data"])
    assert "AUTH_SECRET" not in json.dumps(iam.templates["App"])


def test_app_is_a_user_by_iam_with_few_rights(iam: Stage) -> None:
    user = iam.properties(USER, "CacheUsersAppUser")
    assert user["UserId"] == user["UserName"] == "cache-aside-prod-app"
    assert user["AuthenticationMode"] == {"Type": "iam"}
    assert user["AccessString"] == access_string(COMMANDS, KEY_PATTERNS)
    assert user["Engine"] == iam.properties(GROUP)["Engine"] == engine_of(iam)


def test_access_string_names_every_right() -> None:
    assert access_string(["get", "set"], ["a:*", "b"]) == "on ~a:* ~b -@all +get +set"


def test_default_user_exists_for_redis_only_and_may_not_log_in(iam: Stage) -> None:
    users = iam.resources(USER)
    assert iam.properties(GROUP)["UserIds"] == [{"Ref": user} for user in users]
    defaults = [user["Properties"] for user in users.values() if user["Properties"]["UserName"] == "default"]
    rights = [(user["AccessString"], user["AuthenticationMode"]) for user in defaults]
    assert rights == {"redis": [("off -@all", {"Type": "no-password-required"})], "valkey": []}[engine_of(iam)]
    assert "default" not in {user["UserId"] for user in defaults}  # this id is AWS's own, with every right


@pytest.mark.parametrize("role", ["ServiceFunctionRole", "InvalidationRelayFunctionRole"])
def test_app_may_connect_as_its_user_to_this_cache_and_read_no_secret(iam: Stage, role: str) -> None:
    mine = [statement for statement in statements(iam) if statement["in"].startswith(f"App/{role}")]
    (connect,) = [statement["Resource"] for statement in mine if statement.get("Action") == ["elasticache:Connect"]]
    group, user = sorted(connect, key=lambda arn: "CacheUsers" in arn)
    assert group.startswith("arn:<AWS::Partition>:elasticache:<AWS::Region>:<AWS::AccountId>:replicationgroup:<")
    assert "ExportsOutputRefCache" in group
    assert "ExportsOutputFnGetAttCacheUsersAppUser" in user
    assert "Arn" in user
    assert "*" not in group + user
    assert not any("secretsmanager:GetSecretValue" in statement.get("Action", []) for statement in mine)


def test_nobody_else_may_connect(iam: Stage) -> None:
    connecting = [s["in"] for s in statements(iam) if "elasticache:Connect" in s.get("Action", [])]
    assert len(connecting) == 3


@pytest.mark.parametrize("prefix", ["ServiceFunction", "InvalidationRelayFunction"])
def test_app_is_told_who_it_is(iam: Stage, prefix: str) -> None:
    variables = iam.properties("AWS::Lambda::Function", prefix)["Environment"]["Variables"]
    assert variables["ELASTICACHE_USER"] == "cache-aside-prod-app"
    assert "ExportsOutputRefCache" in str(variables["ELASTICACHE_REPLICATION_GROUP_ID"])
    assert "PrimaryEndPointAddress" in str(variables["ELASTICACHE_ENDPOINT"])


def test_packs_find_nothing_that_is_not_registered(iam: Stage) -> None:
    assert iam.findings() == []


def test_switching_says_that_it_replaces_the_cache() -> None:
    (warning,) = warnings(build({"stage": "prod", **SETTINGS["prod"], "cache.auth": "iam"}).node.find_child("Data"))
    assert WARNING in warning
    assert warnings(build({"stage": "prod", **SETTINGS["prod"]}).node.find_child("Data")) == []


def test_switching_does_replace_the_cache_and_leaves_the_rest(prod: Stage, iam: Stage) -> None:
    (cache_id,) = prod.resources(CACHE)
    (token_id,) = [name for name in prod.resources("AWS::SecretsManager::Secret") if name.startswith("AuthToken")]
    found = sorted(replacements(prod.templates["Data"], iam.templates["Data"]))
    # Without a token nothing rotates it.
    assert [line for line in found if "Rotation" not in line] == [
        f"{token_id} (AWS::SecretsManager::Secret): is gone",
        f"{cache_id} ({CACHE}): AuthToken changes",
    ]


def make_users(stack: cdk.Stack) -> CacheUsers:
    return CacheUsers(stack, "Users", name="shop", engine="redis", commands=["get"], key_patterns=["a:*"])


def test_cache_that_everybody_could_enter_is_refused() -> None:
    with pytest.raises(PropError, match="give auth_token or users: without them everybody"):
        make_cache(auth_token=None)


def test_cache_with_token_and_users_is_refused() -> None:
    stack = cdk.Stack()
    key = cdk.aws_kms.Key(stack, "Key")
    token = AuthToken(stack, "Token", encryption_key=key, removal_policy=cdk.RemovalPolicy.DESTROY)
    with pytest.raises(PropError, match="give auth_token or users, not both"):
        make_cache(auth_token=token, users=make_users(stack))


@pytest.fixture(scope="module", params=["redis", "valkey"])
def both(request: pytest.FixtureRequest) -> tuple[Stage, Stage]:
    """prod with a token, and moved to users."""
    return tuple(
        synthesize("prod", cache__engine=request.param, cache__auth=auth) for auth in ("token", "moved-to-iam")
    )  # type: ignore[return-value]


def exports(stage: Stage, stack: str) -> set[str]:
    outputs = stage.templates[stack]["Outputs"].values()
    return {output["Export"]["Name"] for output in outputs if "Export" in output}


def imports(stage: Stage, stack: str) -> set[str]:
    return set(re.findall(r'"Fn::ImportValue": "([^"]+)"', json.dumps(stage.templates[stack])))


def test_moving_to_users_touches_no_property_of_the_cache(both: tuple[Stage, Stage]) -> None:
    token, moved = both
    assert moved.properties(CACHE) == token.properties(CACHE)
    found = replacements(token.templates["Data"], moved.templates["Data"])
    assert [line for line in found if "Rotation" not in line] == []
    assert warnings(moved.app.node.find_child("Data")) == []


def test_data_stack_can_be_deployed_alone_before_the_clients_move(both: tuple[Stage, Stage]) -> None:
    """In between an operator moves the group. Until then the other stacks find what they import."""
    token, moved = both
    assert imports(token, "App") - exports(token, "Network") <= exports(moved, "Data")
    assert imports(moved, "Data") <= exports(token, "Network")
    assert len(moved.resources(USER)) >= 1


def test_clients_of_a_moved_cache_are_users_and_read_no_token(both: tuple[Stage, Stage]) -> None:
    _, moved = both
    variables = moved.properties("AWS::Lambda::Function", "ServiceFunction")["Environment"]["Variables"]
    assert variables["ELASTICACHE_USER"] == "cache-aside-prod-app"
    assert "ELASTICACHE_AUTH_SECRET_ARN" not in variables
    assert "AuthToken" not in json.dumps(moved.templates["App"])
    assert moved.findings() == []


def test_moved_cache_needs_users() -> None:
    stack = cdk.Stack()
    key = cdk.aws_kms.Key(stack, "Key")
    token = AuthToken(stack, "Token", encryption_key=key, removal_policy=cdk.RemovalPolicy.DESTROY)
    with pytest.raises(PropError, match="former_token needs users"):
        make_cache(auth_token=token, former_token=token)
