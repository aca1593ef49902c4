"""Holds the answers against what a stage needs, and shows them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from audit.iam.policies import Policies
from audit.iam.requests import NOT_SIMULATED, Request, requests
from audit.iam.resolved import Stage
from audit.iam.simulator import Answer, simulate

_WORDS = {"Allowed": "allowed", "ImplicitlyDenied": "refused", "ExplicitlyDenied": "refused"}


class Simulation:
    """One stage: every request, and how IAM decides it."""

    def __init__(self, templates: Mapping[str, Any], boundary: list[dict[str, Any]] | None = None) -> None:
        """
        :param templates: by the name of the stack
        :param boundary: statements of the policy that bounds every role. Default: no boundary
        """
        self.policies = Policies(Stage(templates), boundary)
        self.requests = requests(self.policies.stage, self.policies)
        self.answers = simulate(self.policies, self.requests)

    def problems(self) -> Iterator[str]:
        """Calls that are not decided as they must be, statements that decide nothing, and rights that nobody uses."""
        for request, answer in zip(self.requests, self.answers, strict=True):
            yield from _problems(request, answer)
        yield from (f"nobody uses {action} of {place}" for place, action in self._granted() - self._used())

    def table(self) -> Iterator[str]:
        """The calls by caller: what is called, and the statements without which the decision is another."""
        by_caller: dict[str, dict[str, None]] = {}
        for request, answer in zip(self.requests, self.answers, strict=True):
            by_caller.setdefault(request.who, {})[_line(request, answer)] = None
        for caller, lines in by_caller.items():
            yield caller
            yield from lines

    def _granted(self) -> set[tuple[str, str]]:
        """Every action that a statement of a role's policy, or of one that is offered to operators, allows."""
        resources = self.policies.stage
        named = {name for role in resources.of("AWS::IAM::Role") for name in self.policies.of_role(role)}
        return {
            (f"{name}[{number}]", action)
            for name in named | set(self.policies.unattached())
            for number, statement in enumerate(self.policies.statements[name])
            if statement["Effect"] == "Allow"
            for action in _listed(statement["Action"])
            if action not in NOT_SIMULATED
        }

    def _used(self) -> set[tuple[str, str]]:
        return {
            (f"{name}[{number}]", request.action)
            for request, answer in zip(self.requests, self.answers, strict=True)
            if not request.refused
            for name, numbers in answer.statements.items()
            for number in numbers
        }


def _problems(request: Request, answer: Answer) -> Iterator[str]:
    call = f"{request.action} on {request.resource} by {request.who}"
    wanted, then = ("ExplicitlyDenied", "Allowed") if request.refused else ("Allowed", "ImplicitlyDenied")
    if answer.result != wanted:
        yield f"{call}: {answer.result}, not {wanted}"
    for policy, result in answer.without.items():
        if result != then:
            yield f"{call}: {result} without what decides it in {policy}, not {then}"
    if answer.ignored:
        yield f"{call}: the simulator knows no {', '.join(answer.ignored)}"


def _line(request: Request, answer: Answer) -> str:
    """Logical ids without their hashes; several numbers in one policy stand for either of them."""
    decided = [
        f"{re.sub(r'[0-9A-F]{8}(?= |$)', '', policy)}[{','.join(map(str, sorted(set(numbers))))}]"
        for policy, numbers in answer.statements.items()
    ]
    without = " ".join(dict.fromkeys(_WORDS[result] for result in answer.without.values()))
    return f"  {request.action:42}{_WORDS[answer.result]:9}without {' or '.join(decided)}: {without}"


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
