"""Reading and rotating a secret, granted from the reader's side."""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager


def grant_secret_read(grantee: iam.IGrantable, secret: secretsmanager.ISecret, key: kms.IKey) -> iam.Grant:
    """Allow `grantee` to read `secret`, and to use `key` for that secret only.

    `Secret.grant_read` would also write the grantee into the key's policy. When the grantee lives in a later stack than
    the key, that makes the two stacks depend on each other; CDK's default key policy already lets IAM decide.

    :param grantee: who may read
    :param secret: what may be read
    :param key: what the secret is encrypted with
    """
    return _grant(grantee, secret, key, ["secretsmanager:GetSecretValue"], ["kms:Decrypt"])


def grant_secret_rotation(grantee: iam.IGrantable, secret: secretsmanager.ISecret, key: kms.IKey) -> iam.Grant:
    """Allow a rotation function to read `secret`, to add versions and to move its staging labels.

    GetRandomPassword knows no resource to name (Service Authorization Reference, Secrets Manager).

    :param grantee: the function
    :param secret: what it rotates
    :param key: what the secret is encrypted with
    """
    actions = ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]
    grant = _grant(
        grantee,
        secret,
        key,
        [f"secretsmanager:{action}" for action in actions],
        ["kms:Decrypt", "kms:GenerateDataKey"],
    )
    return grant.combine(
        iam.Grant.add_to_principal(grantee=grantee, actions=["secretsmanager:GetRandomPassword"], resource_arns=["*"])
    )


def _grant(
    grantee: iam.IGrantable,
    secret: secretsmanager.ISecret,
    key: kms.IKey,
    actions: Sequence[str],
    key_actions: Sequence[str],
) -> iam.Grant:
    grant = iam.Grant.add_to_principal(grantee=grantee, actions=list(actions), resource_arns=[secret.secret_arn])
    return grant.combine(
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=list(key_actions),
            resource_arns=[key.key_arn],
            conditions={
                "StringEquals": {
                    "kms:ViaService": f"secretsmanager.{Stack.of(secret).region}.amazonaws.com",
                    "kms:EncryptionContext:SecretARN": secret.secret_arn,
                }
            },
        )
    )
