"""Who may talk to whom: one table, read by the code below and by the test of the templates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

LOAD_BALANCER: Final = "LoadBalancerSG"
APP: Final = "AppSG"
CACHE: Final = "CacheSG"
DATABASE: Final = "RDSSG"
ENDPOINTS: Final = "EndpointSG"

GROUPS: Final = {
    LOAD_BALANCER: "The load balancer; it invokes Lambda through the AWS API and so needs no egress",
    APP: "The app tier and every helper function inside the VPC",
    CACHE: "The ElastiCache replication group",
    DATABASE: "The RDS instance",
    ENDPOINTS: "The interface endpoints to AWS services",
}
ANYWHERE: Final = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class AllowedPath:
    """One allowed connection. `source` and `target` are names of `GROUPS`; one of them may be an IPv4 CIDR instead."""

    source: str
    target: str
    port: int
    why: str


def allowed_paths(
    *, listener_port: int, listener_cidrs: Sequence[str], database_port: int, internet_egress: bool
) -> tuple[AllowedPath, ...]:
    """The table. Nothing that is not in it can connect: not cache to database, not the data tier to anything."""
    listener = tuple(
        AllowedPath(source=cidr, target=LOAD_BALANCER, port=listener_port, why="Clients reach the listener")
        for cidr in listener_cidrs
    )
    internet = AllowedPath(source=APP, target=ANYWHERE, port=443, why="The app tier calls out through the NAT gateways")
    return (
        *listener,
        AllowedPath(source=APP, target=CACHE, port=6379, why="The app tier reads and invalidates the cache"),
        AllowedPath(source=APP, target=DATABASE, port=database_port, why="The app tier queries the database"),
        AllowedPath(source=APP, target=ENDPOINTS, port=443, why="The app tier calls AWS services"),
        *((internet,) if internet_egress else ()),
    )


class SecurityGroups(Construct):
    """All groups of the app, closed but for the paths given.

    A group without egress gets CDK's placeholder rule, which matches no traffic: CloudFormation keeps the default
    "everything out" in a group that has no egress rule at all (aws-cdk issue 1430), and drops it for the first one.
    """

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc, paths: Sequence[AllowedPath]) -> None:
        """
        :param vpc: where the groups live
        :param paths: the connections to allow, both as egress of the source and as ingress of the target
        """
        super().__init__(scope, construct_id)
        self._groups = {
            name: ec2.SecurityGroup(self, name, vpc=vpc, description=description, allow_all_outbound=False)
            for name, description in GROUPS.items()
        }
        self.load_balancer = self._groups[LOAD_BALANCER]
        self.app = self._groups[APP]
        self.cache = self._groups[CACHE]
        self.database = self._groups[DATABASE]
        self.endpoints = self._groups[ENDPOINTS]
        for path in paths:
            self._allow(path)

    def _allow(self, path: AllowedPath) -> None:
        port = ec2.Port.tcp(path.port)
        if path.target in self._groups:
            self._groups[path.target].add_ingress_rule(self._peer(path.source), port, path.why)
        if path.source in self._groups:
            self._groups[path.source].add_egress_rule(self._peer(path.target), port, path.why)

    def _peer(self, name: str) -> ec2.IPeer:
        return self._groups[name] if name in self._groups else ec2.Peer.ipv4(name)
