"""Who may talk to whom: one table, read by the network stack and by the test of the templates."""

from collections.abc import Sequence
from typing import Final

from constructs_lib import ANYWHERE, AllowedPath

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
