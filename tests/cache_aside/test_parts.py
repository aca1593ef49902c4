"""The parts that need no server: breaker, trust, credentials, keys, metrics."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from cache_aside import CacheAside, EmbeddedMetrics, Policy, PolicyError
from cache_aside.breaker import Breaker
from cache_aside.connection import Conversation, Identity, Server, Trust
from cache_aside.credentials import Credentials
from faults.fake_server import FakeServer
from tests.cache_aside.harness import FakeTransport

NAME = Policy(name="name", value_type=str, ttl_seconds=60)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_open_circuit_lets_one_caller_an_interval_probe() -> None:
    clock = Clock()
    breaker = Breaker(probe_interval_seconds=0.25, clock=clock)
    assert breaker.trip()
    assert not breaker.trip()
    assert not breaker.take_probe()
    clock.now += 0.25
    assert [breaker.take_probe() for _ in range(3)] == [True, False, False]
    breaker.close()
    assert not breaker.is_open


def test_replication_id_is_asked_about_until_it_is_replayed_and_then_remembered() -> None:
    clock, replayed, asked = Clock(), set[str](), list[str]()

    def is_replayed(replication_id: str) -> bool:
        asked.append(replication_id)
        return replication_id in replayed

    trust = Trust(is_replayed, clock)
    assert trust.remembered("a") is None
    assert not trust.ask("a")
    assert trust.remembered("a") is False
    replayed.add("a")
    clock.now += 0.5
    assert trust.remembered("a") is None
    assert trust.ask("a")
    clock.now += 1000
    assert trust.remembered("a") is True
    assert asked == ["a", "a"]


def test_server_is_not_trusted_while_the_application_cannot_tell() -> None:
    def broken(replication_id: str) -> bool:
        raise OSError("the database is down")

    assert not Trust(broken).ask("a")


def test_policy_that_fails_closed_needs_somebody_to_ask() -> None:
    with pytest.raises(PolicyError, match="is_replayed"):
        Trust(None).ask("a")


def test_token_is_read_once_and_once_more_when_it_is_refused() -> None:
    tokens = iter(["old", "new"])
    credentials = Credentials(lambda: next(tokens))
    assert credentials.get_credentials() == ("old",)
    assert credentials.get_credentials() == ("old",)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(credentials.reject, ["old"] * 8))
        assert set(threads.map(lambda _: credentials.get_credentials(), range(8))) == {("new",)}


def test_secret_that_cannot_be_read_makes_the_cache_unavailable() -> None:
    def broken() -> str:
        raise OSError("no route to the secret store")

    with pytest.raises(redis.ConnectionError, match="no route"):
        Credentials(broken).get_credentials()


def test_secret_that_cannot_be_read_is_not_asked_for_more_than_once_a_second() -> None:
    clock, reads = Clock(), []

    def refuse() -> str:
        reads.append(clock.now)
        raise OSError("refused")

    credentials = Credentials(refuse, clock)
    for _ in range(5):
        with pytest.raises(redis.ConnectionError):
            credentials.get_credentials()
        clock.now += 0.5
    assert reads == [100.0, 101.0, 102.0]


def test_user_gets_a_new_token_when_the_old_one_is_about_to_expire() -> None:
    clock, tokens = Clock(), iter(["old", "new"])
    credentials = Credentials(lambda: next(tokens), clock, username="app", token_seconds=600, connection_seconds=3600)
    assert credentials.get_credentials() == ("app", "old")
    clock.now += 599
    assert credentials.get_credentials() == ("app", "old")
    clock.now += 1
    assert credentials.get_credentials() == ("app", "new")
    assert not credentials.due(clock.now - 3599)
    assert credentials.due(clock.now - 3600)


def test_token_of_the_whole_cache_is_for_connections_that_never_authenticate_again() -> None:
    clock = Clock()
    credentials = Credentials(lambda: "token", clock)
    assert credentials.get_credentials() == ("token",)
    assert not credentials.due(clock.now - 1e9)


def test_identity_is_read_from_info() -> None:
    info = b"# Replication\r\nrole:slave\r\nconnected_slaves:2\r\nmaster_replid:abc\r\nmaster_replid2:000\r\n"
    assert Identity.parse(info) == Identity(is_primary=False, replication_id="abc", replicas=2)


def test_connection_that_was_idle_asks_who_its_server_is_in_the_round_trip_of_the_next_command() -> None:
    clock = Clock()
    conversation = Conversation(Server(host="localhost"), clock)
    info = b"role:master\r\nconnected_slaves:0\r\nmaster_replid:abc\r\n"
    asked = []
    for idle in (0.0, 0.5, 2.0, 0.5):
        clock.now += idle
        identifies = b"INFO" in conversation.ask((("GET", "a"),))
        asked.append(identifies)
        told = b"$%d\r\n%b\r\n" % (len(info), info) if identifies else b""
        assert conversation.hear(b"$1\r\nv\r\n" + told) == [b"v"]
    assert asked == [True, False, True, False]


def fake_cache(observer: EmbeddedMetrics | None = None) -> CacheAside:
    return CacheAside(FakeTransport(FakeServer(Clock())), observer=observer)


def test_decorated_function_is_read_through_the_cache() -> None:
    cache, calls = fake_cache(), list[str]()

    @cache.cached("name:{user}:{kind}", policy=NAME)
    def name_of(user: str, kind: str = "full") -> str | None:
        """Look the name up."""
        calls.append(user)
        return f"{user} {kind}"

    assert [name_of("ada"), name_of(user="ada"), name_of("ada", "full")] == ["ada full"] * 3
    assert calls == ["ada"]
    assert name_of.__doc__ == "Look the name up."
    assert name_of.invalidate("ada").confirmed
    assert name_of("ada") == "ada full"
    assert calls == ["ada", "ada"]


def test_arguments_cannot_imitate_each_others_keys() -> None:
    @fake_cache().cached("{a}:{b}", policy=NAME)
    def join(a: str, b: str) -> str | None:
        return a + b

    assert join.key("x:y", "z") != join.key("x", "y:z")


@pytest.mark.parametrize(
    "template",
    ["{a}-{b}", "{a}_{b}", "{a}.{b}", "{a}~{b}", "{a}{b}", "{a}%3A{b}", "{a}and{b}", "{a:.1}:{b}", "{a!r}:{b}"],
)
def test_template_that_does_not_keep_arguments_apart_is_refused(template: str) -> None:
    with pytest.raises(PolicyError, match=r"must (keep 'b' from what stands before it by|name 'a' plainly)"):

        @fake_cache().cached(template, policy=NAME)
        def join(a: str, b: str) -> str | None:
            return a + b


@given(st.sampled_from(["{a}:{b}", "{a}/{b}", "x-{b}-:{a}", "{a},-{b}!"]), st.tuples(*[st.text("x-_.~%:/!,A3 ")] * 4))
def test_keys_are_the_same_only_if_the_arguments_are(template: str, texts: tuple[str, str, str, str]) -> None:
    @fake_cache().cached(template, policy=NAME)
    def join(a: str, b: str) -> str | None:
        return a + b

    assert (join.key(*texts[:2]) == join.key(*texts[2:])) == (texts[:2] == texts[2:])


def test_argument_that_does_not_say_which_one_it_is_makes_no_key() -> None:
    @fake_cache().cached("name:{user}", policy=NAME)
    def name_of(user: object) -> str | None:
        return repr(user)

    with pytest.raises(TypeError, match="must say in its str"):
        name_of.key(object())


def test_none_and_its_name_are_two_keys() -> None:
    @fake_cache().cached("name:{user}", policy=NAME)
    def name_of(user: object) -> str | None:
        return repr(user)

    keys = {name_of.key(user) for user in (None, "None", "!None", True, "True", 1)}
    assert len(keys) == 6


def test_method_is_read_through_the_cache_whatever_object_it_is_called_on() -> None:
    cache, asked = fake_cache(), list[str]()

    class Names:
        @cache.cached("name:{user}", policy=NAME)
        def of(self, user: str) -> str | None:
            asked.append(user)
            return user.title()

    assert [Names().of("ada"), Names().of(user="ada"), Names().of("bob")] == ["Ada", "Ada", "Bob"]
    assert asked == ["ada", "bob"]
    assert Names().of.key("ada") == "name:ada"
    assert Names().of.invalidate("ada").confirmed
    assert Names().of("ada") == "Ada"
    assert asked == ["ada", "bob", "ada"]


@pytest.mark.parametrize("template", ["name", "name:{users}", "name:{user}:{extra}"])
def test_template_must_name_every_parameter_and_no_other(template: str) -> None:
    with pytest.raises(PolicyError, match="must name every parameter"):

        @fake_cache().cached(template, policy=NAME)
        def name_of(user: str) -> str | None:
            return user


def test_embedded_metrics_count_by_policy_and_event() -> None:
    stream = io.StringIO()
    metrics = EmbeddedMetrics("Shop", stream=stream, interval_seconds=1000)
    cache = fake_cache(metrics)
    for _ in range(3):
        cache.get_or_load("name:1", lambda: "ada", policy=NAME)
    metrics.flush()
    metrics.flush()
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (line["Policy"], line["HIT"], line["MISS"], line["LOAD"]) == ("name", 2, 1, 1)
    assert len(line["HIT_TIME"]) == 2
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Shop", [["Policy"]])
    assert {metric["Name"] for metric in directive["Metrics"]} <= set(line)


def test_embedded_metrics_write_by_themselves_when_the_interval_is_over() -> None:
    stream = io.StringIO()
    fake_cache(EmbeddedMetrics(stream=stream, interval_seconds=0)).get_or_load("name:1", lambda: "ada", policy=NAME)
    assert stream.getvalue().count("\n") >= 2
