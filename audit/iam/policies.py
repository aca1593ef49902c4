"""The policies of a stage by name: of roles, of what is attached to resources, and of endpoints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audit.iam.resolved import Resource, Stage, arn

Statement = Mapping[str, Any]

LOGINS = {"elasticache:Connect", "rds-db:connect"}


class Policies:
    """The statements of all policies, and which are evaluated for whom.

    `statements` has them by the policy's name. `boundary` names the one that bounds every role, if any.
    """

    def __init__(self, stage: Stage, boundary: Sequence[Statement] | None = None) -> None:
        """
        :param boundary: statements of the policy that bounds every role. Default: no boundary
        """
        self.stage = stage
        self.statements: dict[str, list[Statement]] = {}
        self.boundary = ("boundary",) if boundary else ()
        if boundary:
            self.statements["boundary"] = list(boundary)
        for policy in stage.of("AWS::IAM::ManagedPolicy"):
            self.statements[policy.logical_id] = _listed(policy.properties["PolicyDocument"])
        for role in stage.of("AWS::IAM::Role"):
            self.statements[f"{role.logical_id} trust"] = _listed(role.properties["AssumeRolePolicyDocument"])
            for policy in role.properties.get("Policies", []):
                self.statements[f"{role.logical_id} {policy['PolicyName']}"] = _listed(policy["PolicyDocument"])
        for key in stage.of("AWS::KMS::Key"):
            self.statements[key.logical_id] = _listed(key.properties["KeyPolicy"])
        for endpoint in stage.of("AWS::EC2::VPCEndpoint"):
            # {"AWS": "*"} means the same (IAM User Guide, "Principal"), and the simulator wants it short.
            self.statements[endpoint.logical_id] = [
                {**statement, "Principal": "*"} if statement["Principal"] == {"AWS": "*"} else statement
                for statement in _listed(endpoint.properties["PolicyDocument"])
            ]
        self._attached = dict(self._attach())

    def of_role(self, role: Resource) -> tuple[str, ...]:
        """What a role is granted in the templates; AWS's managed policies are not in them."""
        attached = {arn for arn in role.properties.get("ManagedPolicyArns", []) if isinstance(arn, str)}
        managed = [
            policy.logical_id
            for policy in self.stage.of("AWS::IAM::ManagedPolicy")
            if role.ref in policy.properties.get("Roles", []) or policy.arn in attached
        ]
        return (
            *managed,
            *(
                name
                for name in self.statements
                if name.startswith(f"{role.logical_id} ") and not name.endswith(" trust")
            ),
        )

    def unattached(self) -> tuple[str, ...]:
        """Policies that the stacks offer and attach to nobody."""
        return tuple(p.logical_id for p in self.stage.of("AWS::IAM::ManagedPolicy") if not p.properties.get("Roles"))

    def trust(self, role: Resource) -> str:
        """Who may assume it."""
        return f"{role.logical_id} trust"

    def attached_to(self, arn: str) -> str:
        """The policy of a key, topic, bucket or function. KeyError."""
        return self._attached[arn]

    def key_of(self, secret: str) -> str:
        """The ARN of the key that encrypts the secret. KeyError for a secret that the stage does not have."""
        for database in self.stage.of("AWS::RDS::DBInstance"):
            if secret.endswith(f":secret:rds!db-{database.logical_id}-AbCdEf"):
                return str(database.properties["MasterUserSecret"]["KmsKeyId"])
        return str(self.stage.by_arn(secret).properties["KmsKeyId"])

    def endpoint(self, action: str) -> str | None:
        """The policy of the interface endpoint through which functions call the action.

        None for a login, which is no call to a service, and for a way through NAT gateways. KeyError without any way.
        """
        if action in LOGINS:
            return None
        service = action.partition(":")[0]
        endpoints = {e.properties["ServiceName"].rpartition(".")[2]: e for e in self.stage.of("AWS::EC2::VPCEndpoint")}
        if service not in endpoints and list(self.stage.of("AWS::EC2::NatGateway")):
            return None
        return endpoints[service].logical_id

    def _attach(self) -> Iterator[tuple[str, str]]:
        for key in self.stage.of("AWS::KMS::Key"):
            yield key.arn, key.logical_id
        for policy in self.stage.of("AWS::SNS::TopicPolicy"):
            self.statements[policy.logical_id] = _listed(policy.properties["PolicyDocument"])
            yield from ((topic, policy.logical_id) for topic in policy.properties["Topics"])
        for policy in self.stage.of("AWS::S3::BucketPolicy"):
            self.statements[policy.logical_id] = _listed(policy.properties["PolicyDocument"])
            yield arn("s3", policy.properties["Bucket"]), policy.logical_id
        for permission in self.stage.of("AWS::Lambda::Permission"):
            function = permission.properties["FunctionName"]
            name = f"permissions of {function.rpartition('function:')[2]}"
            self.statements.setdefault(name, []).append(_permission(permission.properties))
            yield function, name


def _permission(properties: Mapping[str, Any]) -> Statement:
    """What AddPermission makes of its parameters (Lambda API Reference)."""
    condition: dict[str, Any] = {}
    if "SourceArn" in properties:
        condition["ArnLike"] = {"aws:SourceArn": properties["SourceArn"]}
    if "SourceAccount" in properties:
        condition["StringEquals"] = {"aws:SourceAccount": properties["SourceAccount"]}
    return {
        "Effect": "Allow",
        "Principal": {"Service": properties["Principal"]},
        "Action": properties["Action"],
        "Resource": properties["FunctionName"],
        **({"Condition": condition} if condition else {}),
    }


def _listed(document: Mapping[str, Any]) -> list[Statement]:
    statements = document["Statement"]
    return list(statements) if isinstance(statements, list) else [statements]
