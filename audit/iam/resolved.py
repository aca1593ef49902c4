"""Templates with every reference replaced by what AWS would put there, made up where only AWS knows it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ACCOUNT, REGION, PARTITION = "111122223333", "eu-west-1", "aws"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": None,
    "AWS::Partition": PARTITION,
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
}

Template = Mapping[str, Any]


def arn(service: str, resource: str) -> str:
    """An ARN of this account and region; IAM's has no region, and a bucket's has neither."""
    region = "" if service in {"iam", "s3"} else REGION
    return f"arn:{PARTITION}:{service}:{region}:{'' if service == 's3' else ACCOUNT}:{resource}"


# What is named by its type. A log group's Arn attribute ends in ":*" (CloudFormation User Guide, AWS::Logs::LogGroup).
_ARNS = {
    "AWS::CloudWatch::Alarm": ("cloudwatch", "alarm:{}"),
    "AWS::EC2::FlowLog": ("ec2", "vpc-flow-log/{}"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("elasticloadbalancing", "loadbalancer/app/{}/50dc6c495c0c9188"),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ("elasticloadbalancing", "targetgroup/{}/73e2d6bc24d8a067"),
    "AWS::ElastiCache::User": ("elasticache", "user:{}"),
    "AWS::Events::Rule": ("events", "rule/{}"),
    "AWS::IAM::ManagedPolicy": ("iam", "policy/{}"),
    "AWS::IAM::Role": ("iam", "role/{}"),
    "AWS::KMS::Key": ("kms", "key/{}"),
    "AWS::Lambda::Function": ("lambda", "function:{}"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{}:*"),
    "AWS::RDS::DBInstance": ("rds", "db:{}"),
    "AWS::S3::Bucket": ("s3", "{}"),
    "AWS::SNS::Topic": ("sns", "{}"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "secret:{}-AbCdEf"),
}
# What Ref gives is an ARN.
_REF_IS_ARN = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::Alias",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
}
_NAMES = {
    "AWS::ElastiCache::User": "UserId",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
}


@dataclass(frozen=True)
class Resource:
    """A resource, resolved."""

    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]
    ref: str
    arn: str


class Stage:
    """All resources of the stacks of one stage."""

    def __init__(self, templates: Mapping[str, Template]) -> None:
        """
        :param templates: by the name of the stack
        """
        self._templates = templates
        self._exports = {
            _text(output["Export"]["Name"]): (stack, output["Value"])
            for stack, template in templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }
        self._resources = {
            (stack, logical_id): self._resource(stack, logical_id, raw)
            for stack, template in templates.items()
            for logical_id, raw in template["Resources"].items()
        }

    def of(self, *types: str) -> Iterator[Resource]:
        """The resources of these types."""
        return (resource for resource in self._resources.values() if resource.type in types)

    def by_arn(self, arn: str) -> Resource:
        """The resource that has the ARN. KeyError."""
        found = next((resource for resource in self._resources.values() if resource.arn == arn), None)
        if found is None:
            raise KeyError(arn)
        return found

    def by_ref(self, ref: str, resource_type: str) -> Resource:
        """The resource of that type to which Ref gives this. KeyError."""
        found = next((resource for resource in self.of(resource_type) if resource.ref == ref), None)
        if found is None:
            raise KeyError(ref)
        return found

    def _resource(self, stack: str, logical_id: str, raw: Mapping[str, Any]) -> Resource:
        properties = self._resolve(stack, raw.get("Properties", {}))
        return Resource(
            stack, logical_id, raw["Type"], properties, self._ref(stack, logical_id), self._arn(stack, logical_id)
        )

    def _raw(self, stack: str, logical_id: str) -> Mapping[str, Any]:
        raw: Mapping[str, Any] = self._templates[stack]["Resources"][logical_id]
        return raw

    def _name(self, stack: str, logical_id: str) -> str:
        raw = self._raw(stack, logical_id)
        return str(raw.get("Properties", {}).get(_NAMES.get(raw["Type"], ""), logical_id))

    def _arn(self, stack: str, logical_id: str) -> str:
        kind = self._raw(stack, logical_id)["Type"]
        if kind == "AWS::Lambda::Alias":
            return self._alias(stack, logical_id)
        service, form = _ARNS.get(kind, (kind.split("::")[-2].lower(), "{}"))
        return arn(service, form.format(self._name(stack, logical_id)))

    def _alias(self, stack: str, logical_id: str) -> str:
        properties = self._resolve(stack, self._raw(stack, logical_id)["Properties"])
        return arn("lambda", f"function:{properties['FunctionName']}:{properties['Name']}")

    def _ref(self, stack: str, logical_id: str) -> str:
        if logical_id in _PSEUDO:
            return _PSEUDO[logical_id] or ""
        if logical_id not in self._templates[stack]["Resources"]:
            return logical_id  # a parameter, such as CDK's own of the bootstrap version
        kind = self._raw(stack, logical_id)["Type"]
        return self._arn(stack, logical_id) if kind in _REF_IS_ARN else self._name(stack, logical_id)

    def _attribute(self, stack: str, logical_id: str, name: str) -> str:
        if name.endswith("Arn") and "." not in name:
            return self._arn(stack, logical_id)
        if name == "MasterUserSecret.SecretArn":
            return arn("secretsmanager", f"secret:rds!db-{logical_id}-AbCdEf")
        return f"{logical_id}.{name}"

    def _resolve(self, stack: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolve(stack, item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._call(stack, function, argument)
        return {key: self._resolve(stack, item) for key, item in value.items()}

    def _call(self, stack: str, function: str, argument: Any) -> Any:
        if function == "Ref":
            return self._ref(stack, argument)
        if function == "Fn::GetAtt":
            return self._attribute(stack, *argument)
        if function == "Fn::ImportValue":
            return self._resolve(*self._exports[_text(argument)])
        argument = self._resolve(stack, argument)
        match function:
            case "Fn::Join":
                return argument[0].join(map(str, argument[1]))
            case "Fn::Split":
                return argument[1].split(argument[0])
            case "Fn::Select":
                return argument[1][int(argument[0])] if int(argument[0]) < len(argument[1]) else "missing"
            case "Fn::GetAZs":
                return [f"{REGION}{zone}" for zone in "abc"]
            case "Fn::Sub" if isinstance(argument, str):
                return re.sub(r"\$\{([\w:]+)\}", lambda name: self._ref(stack, name[1]), argument)
        raise NotImplementedError(f"{function} in {stack}: teach audit/iam/resolved.py to resolve it")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise NotImplementedError(f"the name of an export is computed: {value}")
    return value
