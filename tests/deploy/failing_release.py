"""The app of a release that fails late: `python -m tests.deploy.failing_release LAMBDA_SRC`.

It deploys the Lambda code in LAMBDA_SRC, and after its migration comes a resource that cannot be created.
"""

import sys
from pathlib import Path
from typing import cast

import aws_cdk as cdk

import app
from stacks import function_code


def main() -> None:
    """Synthesizes."""
    function_code.LAMBDA_SRC = Path(sys.argv[1])
    function_code.MIGRATIONS = function_code.LAMBDA_SRC / "functions" / "schema_migration"
    built = app.build()
    stack = cast(cdk.Stack, built.node.find_child("App"))
    handle = cdk.CfnWaitConditionHandle(stack, "NobodySignals")
    late = cdk.CfnWaitCondition(stack, "FailsLate", count=1, timeout="1", handle=handle.ref)
    late.node.add_dependency(stack.node.find_child("SchemaMigration"))
    built.synth()


main()
