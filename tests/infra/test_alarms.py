"""Alarms that ring: each on a metric that exists, of something that is deployed, telling somebody who can decrypt."""

import io
import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns

from cache_aside import EmbeddedMetrics
from cache_aside.observe import Event
from constructs_lib import Alarms, InstanceSize, PropError, instance_size
from stacks import service_alarms
from stacks.settings import STAGES
from storefront.entities import Role
from storefront.security_log import Kind
from tests.infra.iam_statements import statements
from tests.infra.synthesis import SETTINGS, Stage, build, synthesize, warnings

GIB = 2**30


def alarms(stage: Stage, namespace: str = "") -> list[dict[str, Any]]:
    """Each with what it looks at, an expression as well: of an expression, its first metric."""
    found = [resource["Properties"] for resource in stage.resources("AWS::CloudWatch::Alarm").values()]
    looked_at = [
        next((part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part), {}) | alarm
        for alarm in found
    ]
    return [alarm for alarm in looked_at if alarm["Namespace"].startswith(namespace)]


def alarm(stage: Stage, metric: str) -> dict[str, Any]:
    (found,) = [alarm for alarm in alarms(stage) if alarm["MetricName"] == metric]
    return found


def metrics(stage: Stage, namespace: str) -> set[str]:
    return {alarm["MetricName"] for alarm in alarms(stage, namespace)}


def test_every_alarm_tells_the_topic_when_it_begins_and_when_it_is_over(stage: Stage) -> None:
    (topic,) = stage.resources("AWS::SNS::Topic")
    told = [told for alarm in alarms(stage) for told in (alarm["AlarmActions"], alarm["OKActions"])]
    assert all(f"OutputRef{topic}" in action["Fn::ImportValue"] for (action,) in told)
    assert len(told) > 40


def test_every_node_of_the_cache_is_watched_by_its_own_name(prod: Stage) -> None:
    (cache,) = prod.resources("AWS::ElastiCache::ReplicationGroup")
    watched: dict[str, set[str]] = {}
    for found in alarms(prod, "AWS/ElastiCache"):
        (dimension,) = found["Dimensions"]
        assert dimension["Name"] == "CacheClusterId"
        reference, suffix = dimension["Value"]["Fn::Join"][1]
        assert reference == {"Ref": cache}
        watched.setdefault(suffix, set()).add(found["MetricName"])
    assert set(watched) == {"-001", "-002", "-003"}
    assert watched["-001"] == watched["-003"] >= {"EngineCPUUtilization", "Evictions", "CacheHits", "ReplicationLag"}


def test_hit_rate_of_a_node_that_few_read_rings_no_alarm(dev: Stage) -> None:
    (expression,) = [part for part in alarm(dev, "CacheHits")["Metrics"] if "Expression" in part]
    assert expression["Expression"].startswith("IF(hits + misses < 1000, 100, ")


def test_a_single_node_has_no_replica_to_lag(dev: Stage) -> None:
    assert "Evictions" in metrics(dev, "AWS/ElastiCache")
    assert "ReplicationLag" not in metrics(dev, "AWS/ElastiCache")


def test_database_alarms_follow_the_instance_class(prod: Stage, dev: Stage) -> None:
    thresholds = ("FreeableMemory", "FreeStorageSpace", "DatabaseConnections")
    assert [alarm(prod, name)["Threshold"] for name in thresholds] == [1.6 * GIB, 10 * GIB, 1081]
    assert [alarm(dev, name)["Threshold"] for name in thresholds] == [0.1 * GIB, 2 * GIB, 67]


def test_load_is_watched_where_insights_measure_it(prod: Stage, dev: Stage) -> None:
    assert alarm(prod, "DBLoad")["Threshold"] == 2
    assert "DBLoad" not in metrics(dev, "AWS/RDS")


def test_transaction_ids_are_those_of_postgresql(prod: Stage, mysql: Stage) -> None:
    assert "MaximumUsedTransactionIDs" in metrics(prod, "AWS/RDS")
    assert metrics(prod, "AWS/RDS") - metrics(mysql, "AWS/RDS") == {"MaximumUsedTransactionIDs"}


def test_a_class_of_unknown_size_has_fewer_alarms_and_says_so() -> None:
    app = build({"stage": "prod", **SETTINGS["prod"], "database.instance_type": "db.x2iedn.xlarge"})
    group = app.node.find_child("Data").node.find_child("DatabaseAlarms")
    assert [group.node.try_find_child(name) for name in ("Memory", "Connections", "Load")] == [None] * 3
    assert group.node.try_find_child("Cpu")
    (warning,) = warnings(group)
    assert "the size of db.x2iedn.xlarge is not known" in warning


def namespaces(stage: Stage) -> set[str]:
    """Where the functions write metrics, by their environment."""
    found = [r["Properties"].get("Environment", {}) for r in stage.resources("AWS::Lambda::Function").values()]
    return {namespace for each in found if (namespace := each.get("Variables", {}).get("METRIC_NAMESPACE"))}


def test_metrics_of_the_app_are_those_that_it_writes(stage: Stage) -> None:
    written = io.StringIO()
    (namespace,) = namespaces(stage)
    observer = EmbeddedMetrics(namespace, stream=written)
    for event in (Event.CACHE_ERROR, Event.PENDING, Event.QUARANTINED):
        observer.on_event("", event, 0.0)
    observer.flush()
    line = json.loads(written.getvalue())
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    own = [alarm for alarm in alarms(stage, directive["Namespace"]) if "Dimensions" in alarm]
    assert {alarm["MetricName"] for alarm in own} == {metric["Name"] for metric in directive["Metrics"]}
    (dimension,) = directive["Dimensions"][0]
    assert [alarm["Dimensions"] for alarm in own] == [[{"Name": dimension, "Value": line[dimension]}]] * len(own)


def test_no_alarm_hears_of_another_stage() -> None:
    """What AWS measures has a resource in its dimensions; what the app measures has its stage's namespace."""
    own, firewalls = {}, {}
    for stage in (synthesize("dev", web__firewall="true"), synthesize("prod")):
        counted = [r["Properties"] for r in stage.resources("AWS::Logs::MetricFilter").values()]
        filters = {t["MetricNamespace"] for each in counted for t in each["MetricTransformations"]}
        watched = {a["Namespace"] for a in alarms(stage) if not a["Namespace"].startswith("AWS/")}
        assert namespaces(stage) == filters == watched
        own[stage.name] = watched
        visible = stage.properties("AWS::WAFv2::WebACL")["VisibilityConfig"]["MetricName"]
        for blocked in alarms(stage, "AWS/WAFV2"):
            assert {"Name": "WebACL", "Value": visible} in blocked["Dimensions"]
        firewalls[stage.name] = visible
    assert len(set.union(*own.values())) == len(own) == len(set(firewalls.values())) == len(STAGES)


def filters(stage: Stage) -> dict[str, dict[str, Any]]:
    """The filters of the app's log, by the metric that they count into."""
    found = [resource["Properties"] for resource in stage.resources("AWS::Logs::MetricFilter").values()]
    assert all(each["LogGroupName"]["Ref"].startswith("ServiceFunctionLogGroup") for each in found)
    return {each["MetricTransformations"][0]["MetricName"]: each for each in found}


def test_events_of_the_security_log_are_counted_and_ring(stage: Stage) -> None:
    patterns = {name: each["FilterPattern"] for name, each in filters(stage).items()}
    assert patterns == {
        "PasswordsRefused": '{ $.event = "password_refused" }',
        "Refusals": '{ $.event = "refused" }',
        "RefusalsOfUsers": '{ ($.event = "refused") && ($.user = "*") }',
        "RoleChanges": '{ (($.event = "user_created") && ($.role = "operator")) || ($.event = "role_changed") '
        '|| ($.event = "user_disabled") }',
        "BrokenSeals": '{ $.event = "seal_broken" }',
    }
    found = {name: alarm(stage, name) for name in patterns}
    assert {name: each["Threshold"] for name, each in found.items()} == {
        "PasswordsRefused": 50,
        "Refusals": 100,
        "RefusalsOfUsers": 10,
        "RoleChanges": 0,
        "BrokenSeals": 0,
    }
    assert {(each["Statistic"], each["Period"], each["EvaluationPeriods"]) for each in found.values()} == {
        ("Sum", 300, 1)
    }


def test_alarms_name_the_events_that_the_app_records() -> None:
    for_the_log_alone = {Kind.LOGGED_IN, Kind.PASSWORD_CHANGED}
    assert {getattr(service_alarms, kind.name) for kind in Kind if kind not in for_the_log_alone} == (
        set(Kind) - for_the_log_alone
    )
    assert service_alarms.OPERATOR == Role.OPERATOR


def test_many_blocked_requests_ring_where_there_is_a_firewall(prod: Stage, dev: Stage) -> None:
    most = {}
    for blocked in alarms(prod, "AWS/WAFV2"):
        assert (blocked["MetricName"], blocked["Statistic"], blocked["Period"]) == ("BlockedRequests", "Sum", 300)
        (rule,) = [each["Value"] for each in blocked["Dimensions"] if each["Name"] == "Rule"]
        most[rule] = blocked["Threshold"]
    assert most == {"ALL": 1000, "PasswordRate": 0}
    assert "BlockedRequests" not in metrics(dev, "")


def test_one_address_that_guesses_passwords_rings_though_the_firewall_stops_it(prod: Stage) -> None:
    """The firewall lets too few guesses through for the app's own alarm."""
    rules = {rule["Name"]: rule for rule in prod.properties("AWS::WAFv2::WebACL")["Rules"]}
    assert (
        rules["PasswordRate"]["Statement"]["RateBasedStatement"]["Limit"] < alarm(prod, "PasswordsRefused")["Threshold"]
    )
    (blocked,) = [a for a in alarms(prod, "AWS/WAFV2") if {"Name": "Rule", "Value": "PasswordRate"} in a["Dimensions"]]
    assert rules["PasswordRate"]["VisibilityConfig"]["MetricName"] == "PasswordRate"
    assert blocked["Threshold"] == 0


def test_silence_is_wrong_of_the_relay_and_of_backups_alone(stage: Stage) -> None:
    backups = {"NumberOfBackupJobsCompleted"} if stage.resources("AWS::Backup::BackupPlan") else set()
    silent = sorted(a["MetricName"] for a in alarms(stage) if a["TreatMissingData"] != "notBreaching")
    assert silent == sorted({"Invocations", *backups})
    assert {a["TreatMissingData"] for a in alarms(stage) if a["MetricName"] in silent} == {"breaching"}


def test_rotation_is_watched_where_there_is_one(prod: Stage, dev: Stage) -> None:
    said = [found["AlarmDescription"] for found in alarms(prod, "AWS/Lambda")]
    assert any("rotation" in text for text in said)
    assert len(alarms(dev, "AWS/Lambda")) == len(said) - 1


def test_the_topic_takes_messages_of_this_account_over_tls(prod: Stage) -> None:
    publishing = [s for s in statements(prod) if "sns:Publish" in s["Action"] and s["Effect"] == "Allow"]
    (statement,) = publishing
    assert statement["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "events.rds.amazonaws.com"]}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"}}
    (policy,) = prod.resources("AWS::SNS::TopicPolicy").values()
    assert "aws:SecureTransport" in json.dumps(policy["Properties"])


def test_events_of_the_database_reach_the_topic(stage: Stage) -> None:
    told = {
        s["Properties"]["SourceType"]: s["Properties"] for s in stage.resources("AWS::RDS::EventSubscription").values()
    }
    assert set(told) == {"db-instance", "db-parameter-group", "db-security-group"}
    assert {"failover", "failure", "maintenance"} <= set(told["db-instance"]["EventCategories"])
    (database,) = stage.resources("AWS::RDS::DBInstance")
    assert told["db-instance"]["SourceIds"] == [{"Ref": database}]


@pytest.mark.parametrize(
    ("instance_class", "size"),
    [
        ("db.t4g.micro", InstanceSize(2, 1)),
        ("db.t3.medium", InstanceSize(2, 4)),
        ("db.t4g.xlarge", InstanceSize(4, 16)),
        ("db.m7g.large", InstanceSize(2, 8)),
        ("db.r6gd.2xlarge", InstanceSize(8, 64)),
        ("db.x2g.16xlarge", InstanceSize(64, 1024)),
        ("db.m3.large", None),
        ("db.r7g.metal", None),
        ("db.r7g.micro", None),
    ],
)
def test_size_of_an_instance_class(instance_class: str, size: InstanceSize | None) -> None:
    assert instance_size(instance_class) == size


@pytest.mark.parametrize("limit", [None, 1.0])
def test_an_alarm_has_one_limit(limit: float | None) -> None:
    stack = cdk.Stack()
    group = Alarms(stack, "Alarms", topic=sns.Topic(stack, "Topic"))
    with pytest.raises(PropError, match="give above or below"):
        group.add("Alarm", cloudwatch.Metric(namespace="N", metric_name="M"), says="", above=limit, below=limit)
