"""Security groups that admit what a table of paths says, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from constructs_lib.errors import PropError

ANYWHERE: Final = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class AllowedPath:
    """One allowed connection over TCP.

    :param source: who connects: the name of a group, or an IPv4 CIDR such as ``203.0.113.0/24``
    :param target: who listens: the name of a group, or an IPv4 CIDR
    :param port: where it listens
    :param why: the description of the rules
    """

    source: str
    target: str
    port: int
    why: str


class SecurityGroups(Construct):
    """The groups of an app, closed but for the paths given. `groups["AppSG"]` is one of them.

    A group without egress gets CDK's placeholder rule, which matches no traffic: CloudFormation keeps the default
    "everything out" in a group that has no egress rule at all (aws-cdk issue 1430), and drops it for the first one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        groups: Mapping[str, str],
        paths: Sequence[AllowedPath],
    ) -> None:
        """
        :param vpc: where the groups live
        :param groups: the description of each group by its name, which is also its construct id
        :param paths: the connections to allow, both as egress of the source and as ingress of the target
        :raises PropError: for a path between names that are no groups
        """
        super().__init__(scope, construct_id)
        self._groups = {
            name: ec2.SecurityGroup(self, name, vpc=vpc, description=description, allow_all_outbound=False)
            for name, description in groups.items()
        }
        for path in paths:
            self._allow(path)

    def __getitem__(self, name: str) -> ec2.SecurityGroup:
        """The group of that name. KeyError if there is none."""
        return self._groups[name]

    def _allow(self, path: AllowedPath) -> None:
        if path.source not in self._groups and path.target not in self._groups:
            raise PropError(
                f"a path must begin or end at one of {', '.join(self._groups)}, got: {path.source} to {path.target}"
            )
        port = ec2.Port.tcp(path.port)
        if path.target in self._groups:
            self._groups[path.target].add_ingress_rule(self._peer(path.source), port, path.why)
        if path.source in self._groups:
            self._groups[path.source].add_egress_rule(self._peer(path.target), port, path.why)

    def _peer(self, name: str) -> ec2.IPeer:
        return self._groups[name] if name in self._groups else ec2.Peer.ipv4(name)
