"""The AUTH token of a replication group."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs_lib.access.secret_access import grant_secret_read, grant_secret_rotation

TOKEN_LENGTH = 64


class AuthToken(Construct):
    """A token generated in Secrets Manager: no person and no template ever holds it.

    The secret's string is the token itself. ElastiCache takes 16 to 128 printable characters and only a few specials
    (CloudFormation reference, `AuthToken`), so it is made of letters and digits.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, encryption_key: kms.IKey, removal_policy: RemovalPolicy
    ) -> None:
        """
        :param encryption_key: encrypts the secret
        :param removal_policy: what happens to the secret when the stack is deleted
        """
        super().__init__(scope, construct_id)
        self._key = encryption_key
        self.secret = secretsmanager.Secret(
            self,
            "Resource",
            description="AUTH token of the cache",
            encryption_key=encryption_key,
            removal_policy=removal_policy,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=TOKEN_LENGTH, exclude_punctuation=True, include_space=False
            ),
        )

    @property
    def dynamic_reference(self) -> str:
        """What CloudFormation resolves to the token; the same in every synthesis, so it never causes an update."""
        return self.secret.secret_value.unsafe_unwrap()

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow reading the token, and its key for this secret only."""
        return grant_secret_read(grantee, self.secret, self._key)

    def grant_rotate(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow what a rotation function does with the secret: read, add versions, move staging labels."""
        return grant_secret_rotation(grantee, self.secret, self._key)
