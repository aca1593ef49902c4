"""A primary with a replica behind one endpoint, as ElastiCache presents them."""

import time
from pathlib import Path

import redis

from faults.proxy import Fault, FaultProxy
from local.engines import Valkey
from local.processes import free_port
from local.tls import Certificates

AUTH_TOKEN = "a-token-of-the-tests-only"


class ReplicationGroup:
    """Clients reach the primary through `endpoint`, the replica reaches it through `stream`; both can be broken."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.primary, self.replica = (
            Valkey(directory / name, auth_token=AUTH_TOKEN, certificates=certificates) for name in ("one", "two")
        )

    def __enter__(self) -> "ReplicationGroup":
        self.primary.start()
        self.replica.start()
        self.endpoint = FaultProxy(self.primary.port, delays_seconds=(0, 0.01)).__enter__()
        self.stream = FaultProxy(plain_port(self.primary)).__enter__()
        self._attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.__exit__()
        self.endpoint.__exit__()
        self.replica.stop()
        self.primary.stop()

    def lose_replication(self) -> None:
        """From now on the replica hears nothing, while the primary goes on and does not notice."""
        self.stream.inject(Fault.BLACKHOLE)

    def fail_over(self) -> None:
        """Kill the primary, promote the replica, move the endpoint."""
        self.primary.kill()
        with client_of(self.replica) as operator:
            operator.replicaof("NO", "ONE")
        self.primary, self.replica = self.replica, self.primary
        self.endpoint.retarget(self.primary.port)

    def replace_replica(self) -> None:
        """Start the former primary anew, empty, as the replica."""
        self.replica.start()
        self.stream.inject(Fault.NONE)
        self.stream.retarget(plain_port(self.primary))
        self._attach()

    def _attach(self) -> None:
        with client_of(self.primary) as operator:
            operator.config_set("repl-diskless-sync-delay", 0)
        with client_of(self.replica) as operator:
            operator.config_set("masterauth", AUTH_TOKEN)
            operator.replicaof("127.0.0.1", self.stream.port)
            while operator.info("replication")["master_link_status"] != "up":
                time.sleep(0.05)


def client_of(node: Valkey) -> redis.Redis:
    """Direct access to one node."""
    authority = str(node.certificates.ca_file)
    return redis.Redis(port=node.port, password=node.auth_token, ssl=True, ssl_ca_certs=authority)


def plain_port(node: Valkey) -> int:
    """Where it takes connections without TLS: on a port that it opens for this, having none otherwise."""
    with client_of(node) as operator:
        port = int(operator.config_get("port")["port"])
        if not port:
            port = free_port()
            operator.config_set("port", port)
        return port
