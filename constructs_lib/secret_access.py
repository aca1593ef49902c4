"""Reading a secret, granted from the reader's side."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager


def grant_secret_read(grantee: iam.IGrantable, secret: secretsmanager.ISecret, key: kms.IKey) -> iam.Grant:
    """Allow `grantee` to read `secret`, and to use `key` for that secret only.

    `Secret.grant_read` would also write the grantee into the key's policy. When the grantee lives in a later stack than
    the key, that makes the two stacks depend on each other; CDK's default key policy already lets IAM decide.
    """
    grant = iam.Grant.add_to_principal(
        grantee=grantee, actions=["secretsmanager:GetSecretValue"], resource_arns=[secret.secret_arn]
    )
    return grant.combine(
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["kms:Decrypt"],
            resource_arns=[key.key_arn],
            conditions={
                "StringEquals": {
                    "kms:ViaService": f"secretsmanager.{Stack.of(secret).region}.amazonaws.com",
                    "kms:EncryptionContext:SecretARN": secret.secret_arn,
                }
            },
        )
    )
