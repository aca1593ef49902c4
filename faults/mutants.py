"""Breaks the protocol in each known way and shows that a check notices: `python -m faults.mutants [NAME...]`."""

import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from faults import relaying as relays
from faults.campaign import Report
from faults.interruptions import Seen, Target
from faults.model import explore, lost_reply, past_the_cache, two_releases, two_threads
from faults.mutations import MUTATIONS
from faults.replication import AUTH_TOKEN, plain_port
from local.engines import Valkey
from local.tls import ensure_certificates

SECONDS = {"calm": 8, "cuts": 24, "failovers": 12}


def evidence(name: str) -> str:
    """What gave the mutation away; empty: nothing did."""
    check, _ = MUTATIONS[name]
    if check in ("interleavings", "relaying"):
        command = [sys.executable, "-m", "faults.mutants", f"--{check}", name]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    if check in ("signals", "cancellations", "closures"):
        seen = _interrupted(check, name)
        waited = f"{seen.waited} readers waited for a lease that nobody held" if seen.waited else ""
        return "; ".join(seen.wrong[:1]) or waited
    command = [sys.executable, "-m", "faults.campaign", check, str(SECONDS[check]), name]
    report = msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, type=Report)
    if report.violations:
        first = report.violations[0]
        return f"read version {first.read.version} {first.late_seconds:.3f} s after {first.owed} was acknowledged"
    return "; ".join(report.disagreements[:1])


def _interrupted(kind: str, name: str) -> Seen:
    with tempfile.TemporaryDirectory(prefix="mutant-", dir="/tmp") as made:
        directory = Path(made)
        directory.chmod(0o755)
        server = Valkey(directory, auth_token=AUTH_TOKEN, certificates=ensure_certificates(directory / "tls"))
        server.start()
        try:
            target = msgspec.json.encode(Target(plain_port(server), AUTH_TOKEN)).decode()
            command = [sys.executable, "-m", "faults.interruptions", kind, "6", target, name]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=20)
            return msgspec.json.decode(done.stdout, type=Seen)
        except subprocess.TimeoutExpired:
            return Seen(wrong=["readers hang"])
        finally:
            server.stop()


def interleavings(name: str) -> str:
    """Break the protocol of this process and enumerate."""
    MUTATIONS[name][1]()
    try:
        for scenario in (two_threads, lost_reply, past_the_cache, two_releases):
            explore(scenario, most_preemptions=3)
    except AssertionError as error:
        return str(error)
    return ""


def relaying(name: str) -> str:
    """Break the relay of this process and end it at each of its steps."""
    logging.getLogger("cache_aside").setLevel(logging.CRITICAL)  # refusals are what this is for
    MUTATIONS[name][1]()
    return relays.wrong()


def main() -> int:
    """How many mutations survived."""
    survivors = 0
    for name in sys.argv[1:] or MUTATIONS:
        found = evidence(name)
        survivors += not found
        verdict = "caught by " + MUTATIONS[name][0] if found else "SURVIVED"
        sys.stdout.write(f"{name:36} {verdict:24} {found}\n")
        sys.stdout.flush()
    return survivors


if __name__ == "__main__":
    if sys.argv[1:2] == ["--interleavings"]:
        sys.stdout.write(interleavings(sys.argv[2]))
    elif sys.argv[1:2] == ["--relaying"]:
        sys.stdout.write(relaying(sys.argv[2]))
    else:
        sys.exit(main())
