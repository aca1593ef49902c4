"""`make settings-matrix`: every value of every setting, and settings together.

First every literal, boolean and bound of every setting is validated in both stages: it is allowed, or it is refused
with a sentence. Then points are synthesized with every rule pack, so many that each pair of choices occurs in one of
them: a point passes if no pack finds anything that the register of exceptions does not accept.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from allpairspy import AllPairs  # type: ignore[import-untyped]
from pydantic.fields import FieldInfo

from audit.synthesis import NEEDED, quiet, synthesize
from stacks.settings import STAGES, ConfigError, example, load, settings, shown

Point = Mapping[str, str]

_WARNING = "Annotation::cache-aside:"  # what the app tells whoever deploys it: of a setting, and not of a mistake
# What goes together is one choice, so that every point is allowed.
_CERTIFICATE = {"certificate_arn": NEEDED["prod"]["certificate_arn"], "domain_name": "none", "hosted_zone_id": "none"}
_DOMAIN = {"certificate_arn": "none", "domain_name": "shop.example.com", "hosted_zone_id": "Z0123456789ABCDEFGHIJ"}
_WORLD, _OFFICE = {"web.allowed_cidrs": "0.0.0.0/0"}, {"web.allowed_cidrs": "203.0.113.0/24"}
CHOICES: Mapping[str, Sequence[Point]] = {
    "stage": (
        {"stage": "dev", **_OFFICE},
        {"stage": "dev", **_CERTIFICATE, **_WORLD},
        {"stage": "prod", **_CERTIFICATE, **_WORLD},
        {"stage": "prod", **_DOMAIN, **_OFFICE},
    ),
    "nodes": (
        {"cache.nodes": "1", "cache.multi_az": "false"},
        {"cache.nodes": "2", "cache.multi_az": "false"},
        {"cache.nodes": "3", "cache.multi_az": "true"},
    ),
    "database": (
        {"database.engine": "postgres", "database.instance_type": "db.t4g.micro", "database.insights": "standard"},
        {"database.engine": "postgres", "database.instance_type": "db.r7g.large", "database.insights": "advanced"},
        {"database.engine": "mysql", "database.instance_type": "db.t4g.micro", "database.insights": "off"},
        {"database.engine": "mysql", "database.instance_type": "db.m7g.large", "database.insights": "advanced"},
    ),
    "functions": tuple(
        {"app.python": python, "app.architecture": architecture}
        for python, architecture in (
            ("3.11", "x86_64"),
            ("3.12", "arm64"),
            ("3.13", "x86_64"),
            ("3.14", "arm64"),
            ("3.14", "x86_64"),
        )
    ),
    "network": (
        {"network.zones": "2", "network.nat_gateways": "0", "region": "none"},
        {"network.zones": "3", "network.nat_gateways": "1", "region": "us-east-1", "account": "111122223333"},
    ),
    **{
        key: tuple({key: value} for value in values)
        for key, values in {
            "deletion_protection": ("true", "false"),
            "creating": ("none", "network", "data", "app"),
            "instance": ("none", "blue"),
            "log_retention_days": ("7", "1827"),
            "permissions_boundary": ("none", "DeveloperBoundary"),
            "cache.engine": ("redis", "valkey"),
            "cache.auth": ("token", "iam", "moved-to-iam"),
            "cache.auth_token_rotation_days": ("none", "7"),
            "cache.snapshot_retention_days": ("0", "14", "15"),
            "database.multi_az": ("true", "false"),
            "database.sample_data": ("true", "false"),
            "backup.retention_days": ("none", "7"),
            "app.reserved_concurrency": ("none", "5"),
            "web.firewall": ("true", "false"),
            "web.firewall_count_only": ("none", "AWSManagedRulesSQLiRuleSet"),
        }.items()
    },
}


@dataclass(frozen=True)
class Synthesized:
    """A point, what the packs found in it, and how long that took."""

    point: Point
    findings: tuple[str, ...]
    seconds: float


def points() -> list[Point]:
    """Settings in which each pair of choices occurs at least once, always the same."""
    return [{key: value for choice in row for key, value in choice.items()} for row in AllPairs(list(CHOICES.values()))]


def allowed(field: FieldInfo) -> Iterator[str]:
    """The literals, booleans and bounds of a setting, and `none` where it may be unset, as text."""
    for kind in _kinds(field.annotation):
        if kind is NoneType:
            yield "none"
        elif kind is bool:
            yield from ("true", "false")
        elif get_origin(kind) is Literal:
            yield from map(shown, get_args(kind))
        elif get_origin(kind) is tuple:
            yield "none"
            yield from (shown(value) for item in get_args(kind)[:1] for value in get_args(item) if _is_literal(item))
    yield from (str(bound) for name in ("ge", "le") for bound in _bounds(field, name))


def beyond(field: FieldInfo) -> Iterator[str]:
    """The numbers just outside a setting's bounds."""
    for name, step in (("ge", -1), ("le", 1)):
        yield from (str(bound + step) for bound in _bounds(field, name))


def _kinds(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif NoneType in get_args(annotation):
        for kind in get_args(annotation):
            yield from _kinds(kind)
    else:
        yield annotation


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _bounds(field: FieldInfo, name: str) -> Iterator[int]:
    yield from (getattr(part, name) for part in field.metadata if hasattr(part, name))


def validated() -> Iterator[tuple[str, str, str, str]]:
    """Stage, setting, value, and why it is refused there; empty where it is allowed."""
    for stage in STAGES:
        for key, field in settings().items():
            for value in dict.fromkeys([*allowed(field), example(key)]):
                yield stage, key, value, refusal(stage, {key: value})


def refusal(stage: str, overrides: Mapping[str, str]) -> str:
    """What is wrong with these values in a stage; empty if nothing is."""
    try:
        load(stage, {**NEEDED[stage], **overrides})
    except ConfigError as error:
        return str(error)
    return ""


def synthesized(point: Point) -> Synthesized:
    """Synthesize a point, with everything accepted that the register accepts."""
    started = time.monotonic()
    others = {key: value for key, value in point.items() if key != "stage"}
    with TemporaryDirectory() as directory:
        audited = synthesize(point["stage"], Path(directory), others, acknowledged=True)
    findings = [finding for found in audited.findings.values() for finding in found]
    wrong = (f"{found.rule} at {found.construct}" for found in findings if not found.rule.startswith(_WARNING))
    return Synthesized(point, tuple(wrong), time.monotonic() - started)


def _line(number: int, result: Synthesized) -> str:
    differing = (f"{key}={value}" for key, value in result.point.items() if _differs(key, value, result.point["stage"]))
    stands = "; ".join(result.findings) or "passes"
    return f"{number:5}  {result.point['stage']:6}{result.seconds:5.1f} s  {stands}\n{'':21}{' '.join(differing)}"


def _differs(key: str, value: str, stage: str) -> bool:
    return key != "stage" and value != shown(STAGES[stage].get(key, settings()[key].get_default()))


def main() -> None:
    """Print what is refused and why, then a table of the points."""
    started = time.monotonic()
    found = list(validated())
    refused = [line for line in found if line[3]]
    sys.stdout.write(f"{len(found)} values of {len(settings())} settings validated, {len(refused)} refused:\n\n")
    sys.stdout.writelines(f"  {stage}: {key}={value}\n      {reason}\n" for stage, key, value, reason in refused)
    sys.stdout.write("\npoint  stage    time  result, and settings that differ from the stage's\n")
    with get_context("spawn").Pool(2, initializer=quiet, maxtasksperchild=3) as processes:
        results = []
        for number, result in enumerate(processes.imap(synthesized, points(), chunksize=1), 1):
            results.append(result)
            sys.stdout.write(f"{_line(number, result)}\n")
            sys.stdout.flush()
    wrong = sum(bool(result.findings) for result in results)
    sys.stdout.write(f"{len(results) - wrong} of {len(results)} points pass, {time.monotonic() - started:.0f} s\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
