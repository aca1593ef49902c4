"""The alarms of a replication group."""

from aws_cdk import Duration
from aws_cdk import aws_sns as sns
from constructs import Construct

from constructs_lib.cache.replication_group import ReplicationGroup
from constructs_lib.watch.alarms import Alarms

MOST_CONNECTIONS = 65_000  # of a node: "Quotas for ElastiCache", ElastiCache User Guide


class CacheAlarms(Construct):
    """Alarms of every node: ElastiCache publishes by node, and any replica may become the primary."""

    def __init__(self, scope: Construct, construct_id: str, *, topic: sns.ITopic, cache: ReplicationGroup) -> None:
        """
        :param topic: must let cloudwatch.amazonaws.com publish, see `AlarmTopic`
        :param cache: the group to watch
        """
        super().__init__(scope, construct_id)
        for node in range(1, cache.nodes + 1):
            _NodeAlarms(self, f"Node{node}", topic=topic, cache=cache, node=node)


class _NodeAlarms(Alarms):
    """Source of metrics and limits: "Recommended alarms", CloudWatch User Guide, ElastiCache."""

    def __init__(
        self, scope: Construct, construct_id: str, *, topic: sns.ITopic, cache: ReplicationGroup, node: int
    ) -> None:
        super().__init__(scope, construct_id, topic=topic)
        self.add(
            "EngineCpu",
            cache.metric_engine_cpu_utilization(node=node),
            above=90,
            says="The engine's single core is saturated. Find costly commands in the slow log, or use a larger node.",
        )
        self.add(
            "Memory",
            cache.metric_database_memory_usage_percentage(node=node),
            above=80,
            says="Memory is nearly full, and evictions come next. Shorten TTLs, or use a larger node.",
        )
        self.add(
            "Evictions",
            cache.metric_evictions(node=node).with_(period=Duration.minutes(5)),
            above=100,
            periods=1,
            says="The cache evicts keys that readers then load again. Shorten TTLs, or use a larger node.",
        )
        self.add(
            "Connections",
            cache.metric_curr_connections(node=node),
            above=0.8 * MOST_CONNECTIONS,
            periods=10,
            says=f"More than 80 % of the {MOST_CONNECTIONS} connections that a node allows are open.",
        )
        self.add(
            "HitRate",
            cache.metric_cache_hit_rate(node=node),
            below=80,
            periods=15,
            says="Over one read in five misses: TTLs are too short, or keys are deleted or evicted too often.",
        )
        if cache.nodes > 1:
            self.add(
                "ReplicationLag",
                cache.metric_replication_lag(node=node),
                above=1,
                periods=15,
                says="The replica lags: a failover now would lose recent writes, including deletions.",
            )
