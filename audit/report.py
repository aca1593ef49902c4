"""What every pack finds in each stage, and what of it is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from audit import security_hub
from audit.findings import Finding, accepted, unused
from audit.linters import cfn_lint, cfn_lint_rules, checkov
from audit.synthesis import NEEDED, Audited, quiet, rule_counts, synthesize
from stacks.accepted_findings import Decision
from stacks.settings import StageConfig, load


@dataclass(frozen=True)
class Result:
    """What one pack found in one stage, exceptions included. `rules` is how many it has."""

    pack: str
    rules: int
    findings: frozenset[Finding]


@dataclass(frozen=True)
class Audit:
    """What all packs found in one stage with these settings."""

    config: StageConfig
    results: tuple[Result, ...]

    @property
    def findings(self) -> frozenset[Finding]:
        """Of all packs."""
        return frozenset(finding for result in self.results for finding in result.findings)


def audit(shown: Sequence[tuple[str, Mapping[str, str]]]) -> list[Audit]:
    """Run every pack over these stages, each with settings laid over its own."""
    with TemporaryDirectory() as directory:
        # A process each: the validator of one synthesis keeps its memory until the process ends.
        with get_context("spawn").Pool(2, initializer=quiet, maxtasksperchild=1) as processes:
            audited = processes.starmap(
                synthesize, [(stage, Path(directory, str(n)), own) for n, (stage, own) in enumerate(shown)], chunksize=1
            )
        with ThreadPoolExecutor() as programs:
            linted, checked, rules = (
                programs.submit(cfn_lint, audited),
                programs.submit(checkov, audited),
                programs.submit(cfn_lint_rules),
            )
            by_linters = zip(linted.result(), checked.result(), strict=True)
        return [
            Audit(
                load(stage, {**NEEDED[stage], **own}),
                (
                    *_in_synthesis(found),
                    Result("cfn-lint", rules.result(), frozenset(by_cfn_lint)),
                    Result("checkov", checkov_rules, frozenset(by_checkov)),
                    *_security_hub(found),
                ),
            )
            for (stage, own), found, (by_cfn_lint, (by_checkov, checkov_rules)) in zip(
                shown, audited, by_linters, strict=True
            )
        ]


def _in_synthesis(audited: Audited) -> Iterator[Result]:
    for pack, rules in rule_counts().items():
        yield Result(pack, rules, frozenset(audited.findings.get(pack, ())))


def _security_hub(audited: Audited) -> Iterator[Result]:
    if audited.stage == "prod":  # the standard is for what must not be lost
        found = frozenset(security_hub.findings(audited.templates))
        yield Result("Security Hub FSBP", len(security_hub.CONTROLS), found)


def other_settings(register: Sequence[Decision]) -> list[tuple[str, dict[str, str]]]:
    """Stages with the settings that no stage has itself, and without which nothing finds some of what is accepted."""
    own = [load(stage, NEEDED[stage]) for stage in NEEDED]
    found: list[tuple[str, dict[str, str]]] = []
    for entry in (entry for decision in register for entry in decision.accepts):
        if not any(map(entry.holds, own)):
            needed = {key: values[0] for key, values in entry.settings.items()}
            for stage, settings in found:
                if stage == entry.stages[0] and all(settings.get(key, value) == value for key, value in needed.items()):
                    settings |= needed
                    break
            else:
                found.append((entry.stages[0], needed))
    return found


def table(audits: Sequence[Audit], register: Sequence[Decision]) -> Iterator[str]:
    """One line a pack, stage and SQL engine."""
    yield f"{'stage':6}{'database':10}{'pack':24}{'rules':>6}{'findings':>10}{'exceptions':>12}"
    for audited in audits:
        for result in audited.results:
            excepted = sum(accepted(finding, audited.config, register) for finding in result.findings)
            left = len(result.findings) - excepted
            stage, engine = audited.config.stage, audited.config.database.engine
            yield f"{stage:6}{engine:10}{result.pack:24}{result.rules:6}{left:10}{excepted:12}"


def problems(audits: Sequence[Audit], register: Sequence[Decision]) -> Iterator[str]:
    """Every finding that no decision accepts, and everything accepted that no audit finds any more."""
    for audited in audits:
        for finding in sorted(audited.findings):
            if not accepted(finding, audited.config, register):
                yield f"{audited.config.stage}: {finding.rule} at {finding.construct}"
        for finding in unused(register, audited.config, audited.findings):
            yield f"{audited.config.stage}: nothing finds {finding.rule} at {finding.construct} any more: unregister it"
