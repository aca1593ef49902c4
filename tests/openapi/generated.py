"""Runs schemathesis against a server and says what it ran and found."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

_PHASES = {"examples", "coverage", "fuzzing", "stateful"}
# Its own list without 412: what a client may send in If-Match is a string, and few of them name a present version.
_ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "412", "5xx"]


@dataclass
class Findings:
    """How many cases there were by operation, which checks held them against the document, and what was wrong."""

    cases: Counter[str] = field(default_factory=Counter)
    checks: set[str] = field(default_factory=set)
    phases: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def run(url: str, *, token_for: Callable[[str], str], most_examples: int) -> Findings:
    """Generates requests by every phase that schemathesis has, the same ones every time, with every check on.

    `token_for` is asked with an operation's label, such as "GET /products"; `most_examples` bounds each operation in
    each phase.
    """
    settings: dict[str, Any] = {
        "seed": 1,
        "generation": {"deterministic": True, "database": "none", "max-examples": most_examples},
        "checks": {"positive_data_acceptance": {"expected-statuses": _ACCEPTED}},
    }
    config = SchemathesisConfig.from_dict(settings)
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    schema.auth(refresh_interval=None)(_provider(token_for))
    findings = Findings()
    for event in from_schema(schema).execute():
        _note(event, findings)
    return findings


def _provider(token_for: Callable[[str], str]) -> type:
    class Bearer:
        def get(self, case: Any, _context: schemathesis.AuthContext) -> str:
            return token_for(case.operation.label)

        def set(self, case: Any, data: str, _context: schemathesis.AuthContext) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    return Bearer


def _note(event: events.EngineEvent, findings: Findings) -> None:
    match event:
        case events.ScenarioFinished():
            findings.cases.update(node.value.operation.label for node in event.recorder.cases.values())
            for check in (check for checks in event.recorder.checks.values() for check in checks):
                findings.checks.add(check.name)
                if check.failure_info is not None:
                    findings.problems.append(f"{check.failure_info.failure}\n{check.failure_info.code_sample}")
        case events.PhaseFinished() if event.phase.name.value in _PHASES and event.status is not Status.SKIP:
            findings.phases.add(event.phase.name.value)
        case events.NonFatalError():
            findings.problems.append(f"{event.label}: {event.value!r}")
        case events.FatalError():
            findings.problems.append(repr(event.exception))
