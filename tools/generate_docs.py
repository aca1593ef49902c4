"""Writes what the docs take from the code. `make docs` runs it; a test fails when a page is another.

The pages docs/settings.md, docs/alarms.md and docs/security-hub.md, the tables of docs/constructs.md and docs/abuse.md,
the picture of docs/architecture.md, which is drawn from the prod templates, and the policies that docs/iam.md offers.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from app import build, cdk_context
from audit.iam import deployment
from audit.security_hub import CONTROLS, NOT_APPLICABLE
from audit.synthesis import NEEDED
from stacks.accepted_findings import decisions
from stacks.settings import load
from tools.abuse_page import attacks_table
from tools.constructs_page import constructs_tables
from tools.picture import Templates, picture
from tools.settings_page import settings_page

DOCS = Path(__file__).parents[1] / "docs"
ARCHITECTURE = DOCS / "architecture.md"
SECURITY_HUB = DOCS / "security-hub.md"
ALARMS = DOCS / "alarms.md"
SETTINGS = DOCS / "settings.md"
CONSTRUCTS = DOCS / "constructs.md"
ABUSE = DOCS / "abuse.md"


def with_picture(page: str, templates: Templates) -> str:
    """The page's text with its picture drawn anew. `templates` are the prod stage's, by stack id."""
    return _between(page, "picture", "\n".join(["```mermaid", *picture(templates), "```"]))


def with_attacks(page: str) -> str:
    """The text of docs/abuse.md with its table written anew."""
    return _between(page, "attacks", "\n".join(attacks_table()))


def with_constructs(page: str) -> str:
    """The text of docs/constructs.md with its tables written anew."""
    return _between(page, "constructs", "\n".join(constructs_tables()).rstrip())


def security_hub_page() -> str:
    """Every control of Security Hub that was looked at, and how the prod stage stands to it."""
    prod = load("prod", NEEDED["prod"])
    accepted = [(d.id, entry) for d in decisions() for entry in d.accepts if entry.holds(prod)]
    registered = {rule: name for name, entry in accepted for rule in entry.rules}
    rows = [
        (
            control.id,
            control.asks,
            f"exception: {name}" if (name := registered.get(f"SecurityHub-{control.id}")) else "passes",
        )
        for control in CONTROLS
    ]
    rows += [(control, "", f"not applicable: {reason}") for control, reason in NOT_APPLICABLE.items()]
    return "\n".join(
        [_SECURITY_HUB_HEAD, *(f"| {control} | {asks} | {stands} |" for control, asks, stands in rows), ""]
    )


def alarms_page(templates: Templates) -> str:
    """Every alarm of the prod stage: one row for all nodes of the cache."""
    resources = [resource for template in templates.values() for resource in template["Resources"].values()]
    alarms = [resource for resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm"]
    rows = dict.fromkeys(_alarm_row(alarm["Properties"]) for alarm in alarms)
    return "\n".join([_ALARMS_HEAD, *rows, _SECURITY_LOG])


def _alarm_row(alarm: Mapping[str, Any]) -> str:
    name, value, period = _measured(alarm)
    sign = ">" if alarm["ComparisonOperator"] == "GreaterThanThreshold" else "<"
    in_gib = alarm.get("MetricName") in {"FreeableMemory", "FreeStorageSpace"}
    threshold = f"{alarm['Threshold'] / 2**30:g} GiB" if in_gib else f"{alarm['Threshold']:,}"
    silence = ", or silence" if alarm["TreatMissingData"] == "breaching" else ""
    of = f"{alarm['DatapointsToAlarm']} of {alarm['EvaluationPeriods']} at {period // 60} min"
    return f"| `{name}` | {value} {sign} {threshold}{silence} | {of} | {alarm['AlarmDescription']} |"


def _measured(alarm: Mapping[str, Any]) -> tuple[str, str, int]:
    if "Metrics" not in alarm:
        value = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        return f"{alarm['Namespace']} {alarm['MetricName']}", value, alarm["Period"]
    (expression,) = [part for part in alarm["Metrics"] if "Expression" in part]
    stats = [part["MetricStat"] for part in alarm["Metrics"] if "MetricStat" in part]
    names = ", ".join(stat["Metric"]["MetricName"] for stat in stats)
    return f"{stats[0]['Metric']['Namespace']} {names}", f"`{expression['Expression']}`", stats[0]["Period"]


_ALARMS_HEAD = """# Alarms

Written by `make docs` from the prod templates. Nobody is notified until you subscribe to their topic. Its ARN is the
output `AlarmTopicArn` of the network stack:

```bash
aws sns subscribe --protocol email --notification-endpoint you@example.com --topic-arn arn:aws:sns:...
```

Each alarm notifies when it starts and when it ends. RDS also reports failovers, maintenance, failures and configuration
changes to the topic. Every node of the cache has its own alarms. Limits of memory, connections and load depend on the
instance class.

| metric | alarm when | for | what it means, and what to do |
|---|---|---|---|"""

_SECURITY_LOG = """
## The security log

The app writes an event into its log for each of these; passwords, tokens and ids of sessions are in none of them. The
fields: [storefront/security_log.py](../lambda_src/storefront/security_log.py).

| event | when |
|---|---|
| `logged_in` | a login succeeded: after several `password_refused` of the same user, a guess was right |
| `password_changed` | a user changed the own password |
| `password_refused` | a login, or the current password of a password change, is wrong |
| `refused` | a role does not allow an operation, a token is of no session, or its user was disabled or deleted |
| `user_created`, `role_changed`, `user_disabled` | by whom, and from which role to which |
| `seal_broken` | the cache holds a session that the app did not put there |

Read it with CloudWatch Logs Insights, in the log group of the app's function:

```text
fields @timestamp, event, operation, user, by, previous_role, role | filter ispresent(event) | sort @timestamp desc
```

What AWS WAF blocked is in its own log, `aws-waf-logs-cache-aside-STAGE`.
"""

_SECURITY_HUB_HEAD = """# AWS Foundational Security Best Practices

Which of Security Hub's controls the prod stage passes. Written by `make docs` from
[audit/security_hub.py](../audit/security_hub.py), which a test runs against the prod templates, and from the
[register of accepted findings](../audit/accepted_findings.yaml), which has the reason for each exception.

| control | asks for | prod |
|---|---|---|"""


def _between(text: str, name: str, content: str) -> str:
    parts = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    text, count = parts.subn(lambda match: f"{match[1]}{content}\n{match[2]}", text)
    if count != 1:
        raise ValueError(f"the page needs exactly one part '{name}', it has {count}")
    return text


def main() -> None:
    """Synthesize prod and write everything anew."""
    app = build({**cdk_context(), "stage": "prod", **NEEDED["prod"], "aws:cdk:bundling-stacks": []})
    stacks = [stack for stack in app.node.children if isinstance(stack, cdk.Stack)]
    templates = {stack.node.id: Template.from_stack(stack).to_json() for stack in stacks}
    SECURITY_HUB.write_text(security_hub_page())
    ALARMS.write_text(alarms_page(templates))
    SETTINGS.write_text(settings_page())
    deployment.TEMPLATE.write_text(deployment.text())
    ABUSE.write_text(with_attacks(ABUSE.read_text()))
    CONSTRUCTS.write_text(with_constructs(CONSTRUCTS.read_text()))
    ARCHITECTURE.write_text(with_picture(ARCHITECTURE.read_text(), templates))


if __name__ == "__main__":
    main()
