"""The alarms of a database."""

from aws_cdk import Annotations, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from constructs_lib.database.database import Database
from constructs_lib.database.instance_size import InstanceSize, instance_size
from constructs_lib.watch.alarms import Alarms

_GIB = 2**30


class DatabaseAlarms(Alarms):
    """Alarms of one database: load, room, and what it does not recover from by itself.

    Source of metrics and limits: "Recommended alarms", CloudWatch User Guide, RDS; where another limit stands here, a
    comment says why.
    """

    def __init__(self, scope: Construct, construct_id: str, *, topic: sns.ITopic, database: Database) -> None:
        """
        :param topic: must let cloudwatch.amazonaws.com publish, see `AlarmTopic`
        :param database: the instance to watch. For a class whose size is not known (see `instance_size`) there are no
            alarms of memory, connections and load, and a warning says so
        """
        super().__init__(scope, construct_id, topic=topic)
        self._database = database
        self._processor_and_storage()
        if size := instance_size(database.instance_type):
            self._memory_and_connections(size)
            if database.insights != "off":
                self._load(size)
        else:
            Annotations.of(self).add_warning_v2(
                "cache-aside:unknown-instance-size",
                f"No alarms of memory, connections and load: the size of {database.instance_type} is not known",
            )
        if database.engine.name == "postgres":
            self.add(
                "TransactionIds",
                self._metric("MaximumUsedTransactionIDs", "Maximum"),
                above=1_000_000_000,
                periods=1,
                says="Half of the transaction IDs are used. Find what blocks vacuum before PostgreSQL refuses writes.",
            )

    def _metric(self, name: str, statistic: str = "Average") -> cloudwatch.Metric:
        return self._database.instance.metric(name, statistic=statistic, period=Duration.minutes(1))

    def _processor_and_storage(self) -> None:
        self.add(
            "Cpu",
            self._metric("CPUUtilization"),
            above=90,
            says="The CPUs are saturated. Look at the top statements, and at reads that bypass the cache.",
        )
        self.add(
            "FreeStorage",
            self._metric("FreeStorageSpace", "Minimum"),
            below=self._database.allocated_storage_gib * _GIB * 0.1,
            says="Storage is nearly full. Autoscaling has reached its limit, or waits six hours before its next step.",
        )
        for name in ("Read", "Write"):
            self.add(
                f"{name}Latency",
                self._metric(f"{name}Latency", "p90"),
                above=0.02,
                says=f"Storage {name.lower()}s take over 20 ms: the volume is at its limit.",
            )

    def _memory_and_connections(self, size: InstanceSize) -> None:
        # AWS recommends 25 %, below which small classes are always; memory that only caches files counts as freeable.
        self.add(
            "Memory",
            self._metric("FreeableMemory", "Minimum"),
            below=size.memory_gib * _GIB * 0.1,
            periods=15,
            says="Memory is nearly used up, file cache included: too many connections, or a class that is too small.",
        )
        # RDS computes max_connections from the memory without its own processes, so the real limit is lower.
        most = self._database.engine.most_connections(size.memory_gib)
        self.add(
            "Connections",
            self._metric("DatabaseConnections", "Maximum"),
            above=int(most * 0.6),
            says=f"More than 60 % of the {most} connections that this instance class allows are open.",
        )

    def _load(self, size: InstanceSize) -> None:
        self.add(
            "Load",
            self._metric("DBLoad"),
            above=size.vcpus,
            periods=15,
            says=f"More sessions are active than {size.vcpus} vCPUs can serve. Database Insights shows their waits.",
        )
