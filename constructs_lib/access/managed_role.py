"""A service role whose rights can be reviewed, versioned and reported on by themselves."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_iam as iam
from constructs import Construct


class ManagedRole(iam.Role):
    """A role that keeps all it is granted in one managed policy, never in an inline one.

    CDK's grants make inline policies, which NIST 800-53, HIPAA and PCI DSS ask to avoid (AWS Config rule
    `iam-no-inline-policy-check`): they cannot be listed, versioned or rolled back.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: str,
        description: str,
        conditions: Mapping[str, Any] | None = None,
    ) -> None:
        """
        :param service: principal that assumes the role, such as ``lambda.amazonaws.com``
        :param description: of the role and of its policy
        :param conditions: under which the service may assume it, see `from_this_account`. Default: none
        """
        super().__init__(
            scope,
            construct_id,
            description=description,
            assumed_by=iam.ServicePrincipal(service, conditions=conditions),
        )
        # Attached from the policy's side: statements may then name what depends on the role, and the role itself.
        self._policy = iam.ManagedPolicy(self, "Policy", description=description, roles=[self])

    def add_to_principal_policy(self, statement: iam.PolicyStatement) -> iam.AddToPrincipalPolicyResult:
        """Called by every grant."""
        self._policy.add_statements(statement)
        return iam.AddToPrincipalPolicyResult(statement_added=True, policy_dependable=self._policy)
