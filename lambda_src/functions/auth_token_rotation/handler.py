"""The Lambda function that Secrets Manager calls for every step, and EventBridge every few minutes with `settle`."""

import os
from typing import Any

import boto3

from functions.auth_token_rotation.function import Context, Function
from functions.auth_token_rotation.settings import Settings

_function = Function(Settings.from_environment(os.environ), boto3.Session())


def handler(event: dict[str, Any], context: Context) -> dict[str, str]:
    """One step; an error makes Secrets Manager, or the next event of EventBridge, repeat it."""
    return _function(event, context)
