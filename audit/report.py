"""What every pack finds in each stage, and what of it is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from audit import security_hub
from audit.findings import Finding, accepted, unused
from audit.linters import cfn_lint, cfn_lint_rules, checkov
from audit.synthesis import NEEDED, rule_counts, synthesize
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


def audit(stage: str, settings: Mapping[str, str]) -> Audit:
    """Run every pack over a stage with `settings` laid over its own."""
    config = load(stage, {**NEEDED[stage], **settings})
    with TemporaryDirectory() as directory:
        audited = synthesize(stage, Path(directory), settings)
        by_checkov, checkov_rules = checkov(audited)
        results = [
            Result(pack, rules, frozenset(audited.findings.get(pack, ()))) for pack, rules in rule_counts().items()
        ]
        results.append(Result("cfn-lint", cfn_lint_rules(audited.directory), frozenset(cfn_lint(audited))))
        results.append(Result("checkov", checkov_rules, frozenset(by_checkov)))
        if stage == "prod":  # the standard is for what must not be lost
            by_control = frozenset(security_hub.findings(audited.templates))
            results.append(Result("Security Hub FSBP", len(security_hub.CONTROLS), by_control))
    return Audit(config, tuple(results))


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
