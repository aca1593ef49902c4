"""The simulator, a package of npm, as a program: what it is asked and what it answers."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from audit.iam.policies import Policies
from audit.iam.requests import Request

_PROGRAM = Path(__file__).with_name("simulate.mjs")


@dataclass(frozen=True)
class Answer:
    """How IAM decides a request.

    :param result: Allowed, ImplicitlyDenied or ExplicitlyDenied
    :param statements: numbers of the statements that decided, by the name of their policy
    :param without: the result when those statements of one policy are missing, by its name
    :param ignored: keys of the context that the simulator does not know for this action
    """

    result: str
    statements: Mapping[str, Sequence[int]]
    without: Mapping[str, str]
    ignored: Sequence[str]


def simulate(policies: Policies, requests: Sequence[Request]) -> list[Answer]:
    """An answer a request, in the same order."""
    asked = {"policies": policies.statements, "requests": [asdict(request) for request in requests]}
    done = subprocess.run(
        ["node", str(_PROGRAM)],  # noqa: S607 - the Makefile's, of .venv
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [Answer(**answer) for answer in json.loads(done.stdout)]
