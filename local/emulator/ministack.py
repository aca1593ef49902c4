"""The emulator's own modules, which carry no types: the one place that names them.

`RESOURCE_HANDLERS` and the stores behind it are private to ministack, which is why its version is pinned exactly.
"""

from importlib import import_module
from typing import Any

alb: Any = import_module("ministack.services.alb")
app: Any = import_module("ministack.app")
custom_resource: Any = import_module("ministack.services.cloudformation.custom_resource")
ec2: Any = import_module("ministack.services.ec2")
elasticache: Any = import_module("ministack.services.elasticache")
lambda_service: Any = import_module("ministack.services.lambda_svc")
persistence: Any = import_module("ministack.core.persistence")
provisioners: Any = import_module("ministack.services.cloudformation.provisioners")
rds: Any = import_module("ministack.services.rds")
secrets_manager: Any = import_module("ministack.services.secretsmanager")
sts: Any = import_module("ministack.services.sts")

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]  # physical id and the attributes for Fn::GetAtt
RESOURCE_HANDLERS: dict[str, dict[str, Any]] = provisioners._RESOURCE_HANDLERS
