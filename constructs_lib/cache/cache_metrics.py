"""The metrics of a replication group, node by node."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from constructs_lib.errors import PropError

FEWEST_READS = 1000


class CacheMetrics:
    """What a replication group measures. ElastiCache publishes by node, so every metric names one."""

    nodes: int
    replication_group_id: str

    def metric(
        self, metric_name: str, *, node: int = 1, statistic: str = "Average", period: Duration | None = None
    ) -> cloudwatch.Metric:
        """Any metric of one node.

        ElastiCache publishes by node: an alarm on the group's own id never fires (ElastiCache User Guide, "Metrics").

        :param node: the node's number, from 1 to `nodes`
        :param statistic: Default: Average
        :param period: Default: one minute, as ElastiCache publishes
        :raises PropError: for a node that the group does not have
        """
        if not 1 <= node <= self.nodes:
            raise PropError(f"node must be 1 to {self.nodes}, got: {node}")
        return cloudwatch.Metric(
            namespace="AWS/ElastiCache",
            metric_name=metric_name,
            dimensions_map={"CacheClusterId": f"{self.replication_group_id}-{node:03}"},
            statistic=statistic,
            period=period or Duration.minutes(1),
        )

    def metric_engine_cpu_utilization(self, *, node: int = 1) -> cloudwatch.Metric:
        """Percent of the one core that the engine's main thread runs on; average."""
        return self.metric("EngineCPUUtilization", node=node)

    def metric_database_memory_usage_percentage(self, *, node: int = 1) -> cloudwatch.Metric:
        """Percent of the memory for data in use; maximum."""
        return self.metric("DatabaseMemoryUsagePercentage", node=node, statistic="Maximum")

    def metric_curr_connections(self, *, node: int = 1) -> cloudwatch.Metric:
        """Open connections, of at most 65,000; maximum."""
        return self.metric("CurrConnections", node=node, statistic="Maximum")

    def metric_evictions(self, *, node: int = 1) -> cloudwatch.Metric:
        """Keys removed because memory was full; sum."""
        return self.metric("Evictions", node=node, statistic="Sum")

    def metric_cache_hit_rate(self, *, node: int = 1) -> cloudwatch.MathExpression:
        """Percent of the reads of keys that found one; 100 in a minute with fewer than `FEWEST_READS`.

        Not ElastiCache's own CacheHitRate: what that says of a replica that nobody reads is not documented.
        """
        return cloudwatch.MathExpression(
            expression=f"IF(hits + misses < {FEWEST_READS}, 100, 100 * hits / (hits + misses))",
            using_metrics={
                "hits": self.metric("CacheHits", node=node, statistic="Sum"),
                "misses": self.metric("CacheMisses", node=node, statistic="Sum"),
            },
            label="Hit rate",
            period=Duration.minutes(1),
        )

    def metric_replication_lag(self, *, node: int = 2) -> cloudwatch.Metric:
        """Seconds that a replica is behind the primary; maximum."""
        return self.metric("ReplicationLag", node=node, statistic="Maximum")
