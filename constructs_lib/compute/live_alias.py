"""A version of a function and the alias that callers use: code and configuration change for them at the same moment."""

import hashlib
import json
from importlib.metadata import version
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

DIGEST_VARIABLE = "CONFIGURATION_DIGEST"


class LiveAlias(lambda_.Alias):
    """The alias ``live`` of a function, on the version that this deployment publishes.

    CDK publishes a version when the function's properties change. That misses two cases:

    - A value that only CloudFormation knows changes (aws-cdk issue 25997): the endpoint of a replaced cache is the same
      reference in the template, so the alias would stay on a version that knows the old endpoint.
    - Another release of CDK computes the version's id in another way (aws-cdk issue 26739): it then asks for a version
      of an unchanged function, which Lambda refuses.

    The variable `DIGEST_VARIABLE` changes the function in both cases. Give it `digest` of what the late values are
    made of.
    """

    def __init__(self, scope: Construct, construct_id: str, *, function: lambda_.Function) -> None:
        """
        :param function: one that has the variable `DIGEST_VARIABLE`
        """
        super().__init__(scope, construct_id, alias_name="live", version=function.current_version)


def digest(scope: Construct, *late: Any) -> str:
    """Sixteen hexadecimal digits that change with any of `late`, which may hold references, and with CDK's release.

    :param late: what values that are known late are made of: properties whose change replaces a resource
    """
    known = json.dumps([Stack.of(scope).resolve(list(late)), version("aws-cdk-lib")], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:16]
