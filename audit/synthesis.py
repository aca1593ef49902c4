"""A stage as the auditor gets it: its templates, and what the packs inside the synthesis find in it."""

import json
import os
import re
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import aws_cdk as cdk

import app as cdk_app
from audit.findings import Finding, Template

STACKS = ("Network", "Data", "App")
NEEDED = {
    "dev": {"web.allowed_cidrs": "203.0.113.0/24"},
    "prod": {"certificate_arn": "arn:aws:acm:us-east-1:111122223333:certificate/11111111-2222-3333-4444-555555555555"},
}
VALIDATOR = "CloudFormation Validate"


@dataclass(frozen=True)
class Audited:
    """A synthesized stage."""

    stage: str
    directory: Path
    templates: Mapping[str, Template]
    findings: Mapping[str, tuple[Finding, ...]]


def synthesize(
    stage: str,
    directory: Path,
    settings: Mapping[str, str] | None = None,
    *,
    acknowledged: bool = False,
    change: Callable[[cdk.App], None] = lambda _: None,
) -> Audited:
    """Synthesize a stage and read what the packs report. CDK_VALIDATION=false leaves CDK's validator out.

    :param settings: laid over what the stage needs to synthesize. Default: nothing
    :param acknowledged: leave out what the register accepts. Default: False, show everything
    :param change: what to do to the constructs before the synthesis. Default: nothing
    """
    context = {**cdk_app.cdk_context(), "aws:cdk:bundling-stacks": [], "aws:cdk:enable-path-metadata": True}
    app = cdk_app.build(
        {**context, "stage": stage, **NEEDED[stage], **(settings or {})},
        outdir=str(directory),
        acknowledged=acknowledged,
    )
    change(app)
    report = directory / "validation-report.json"
    try:
        app.synth()
    except RuntimeError as error:  # what jsii raises; findings are what we are here for
        if not report.exists():
            raise
        if "ValidationFailed" not in str(error):
            raise
    templates = {name: json.loads((directory / f"{name}.template.json").read_text()) for name in STACKS}
    return Audited(stage, directory, templates, _by_pack(json.loads(report.read_text())))


def quiet() -> None:
    """Keep off the terminal what CDK prints of each finding: for a process that reads the report instead."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives


def _by_pack(report: dict[str, Any]) -> dict[str, tuple[Finding, ...]]:
    return {
        plugin["pluginName"]: tuple(
            Finding(violation["ruleName"], construct["constructPath"])
            for violation in plugin["violations"]
            for construct in violation["violatingConstructs"]
        )
        for plugin in report["pluginReports"]
    }


def rule_counts() -> dict[str, int]:
    """How many rules each pack of the synthesis has. cdk-nag publishes no count, so its own code is read for it."""
    counts = {VALIDATOR: len(cdk_app.validator().rule_ids or [])}
    (archive,) = Path(str(files("cdk_nag") / "_jsii")).glob("cdk-nag@*.tgz")
    with tarfile.open(archive) as package:
        for member in package.getmembers():
            if re.fullmatch(r"package/lib/packs/[a-z0-9-]+\.js", member.name):
                file = package.extractfile(member)
                code = file.read().decode() if file else ""
                if name := re.search(r"packName = '([^']+)'", code):
                    counts[name[1]] = code.count("this.applyRule(")
    return {name: count for name, count in counts.items() if name != "NIST.800.53.R4"}
