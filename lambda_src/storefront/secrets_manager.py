"""Reading secrets of AWS Secrets Manager."""


class SecretUnavailableError(Exception):
    """A secret could not be read; the message names the secret and the cause, never a value."""


def read_secret(arn: str) -> str:
    """The current value of the secret. Waits at most 6 s; then, or when refused, SecretUnavailableError."""
    # Here, because importing boto3 takes as long as everything else together, and a warm process never gets here again.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
    try:
        client = boto3.client("secretsmanager", config=config)
        return client.get_secret_value(SecretId=arn)["SecretString"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise SecretUnavailableError(f"cannot read the secret {arn}: {code}") from error
    except BotoCoreError as error:
        raise SecretUnavailableError(f"cannot read the secret {arn}: {type(error).__name__}") from error
