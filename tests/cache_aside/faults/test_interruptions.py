"""An exception at any instruction: the next reader is given its own key's value, and nobody waits for what was left."""

import os
import subprocess
import sys

import msgspec
import pytest

from faults.interruptions import Seen, Target
from faults.replication import plain_port
from local.engines import Valkey

pytestmark = pytest.mark.engines
LEAST = {"signals": 100, "cancellations": 100, "closures": -1, "forks": 5, "slow": 5}
SECONDS = os.environ.get("INTERRUPTION_SECONDS", "4")


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("kind", ["signals", "cancellations", "closures", "forks", "slow"])
def test_no_reader_is_given_the_reply_to_a_question_that_was_interrupted(valkey: Valkey, kind: str) -> None:
    target = Target(plain_port(valkey), valkey.auth_token)
    command = [sys.executable, "-m", "faults.interruptions", kind, SECONDS, msgspec.json.encode(target).decode()]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=float(SECONDS) + 60)
    seen = msgspec.json.decode(done.stdout, type=Seen)
    assert seen.interrupted > LEAST[kind]
    assert seen.reads > 100
    assert seen.served.get("HIT", 0) > 10 or kind == "closures", "the cache was reached"
    assert (seen.wrong, seen.errors, seen.waited) == ([], {}, 0)
