"""Network resources that the stock emulator lacks or keeps only in part: recorded, never enforced."""

from typing import Any

from local.emulator.ministack import RESOURCE_HANDLERS, Created, Properties, ec2, provisioners
from local.emulator.stock import finish_with


def register() -> None:
    """Adds the types and completes the stock ones."""
    finish_with("AWS::EC2::VPC", _with_cidr)
    for resource_type, direction in (
        ("AWS::EC2::SecurityGroupIngress", "IpPermissions"),
        ("AWS::EC2::SecurityGroupEgress", "IpPermissionsEgress"),
    ):
        RESOURCE_HANDLERS[resource_type] = _rule_handlers(direction)
    RESOURCE_HANDLERS["AWS::EC2::FlowLog"] = {"create": _create_flow_log, "delete": _delete_flow_log}
    RESOURCE_HANDLERS["AWS::EC2::EIP"] = {"create": _create_address, "delete": _delete_address}
    RESOURCE_HANDLERS["AWS::EC2::NatGateway"] = {"create": _create_nat_gateway, "delete": _delete_nat_gateway}


def _with_cidr(physical_id: str, attributes: dict[str, Any], properties: Properties) -> Created:
    return physical_id, {**attributes, "CidrBlock": properties["CidrBlock"]}


def _rule_handlers(direction: str) -> dict[str, Any]:
    def create(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
        ec2._security_groups[properties["GroupId"]][direction] += provisioners._ec2_sg_permissions([properties])
        rule_id = f"sgr-{provisioners.new_uuid().replace('-', '')[:17]}"
        return rule_id, {"Id": rule_id}

    def delete(_physical_id: str, properties: Properties) -> None:
        group = ec2._security_groups.get(properties["GroupId"])
        for permission in provisioners._ec2_sg_permissions([properties]):
            if group and permission in group[direction]:
                group[direction].remove(permission)

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
        delete(physical_id, old)
        return create(physical_id, new, stack_name)

    return {"create": create, "update": update, "delete": delete}


def _create_flow_log(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    before = set(ec2._flow_logs)
    ec2._create_flow_logs(
        {"ResourceId.1": properties["ResourceId"], **{key: properties[key] for key in _FLOW_LOG if key in properties}}
    )
    flow_log_id = str((set(ec2._flow_logs) - before).pop())
    return flow_log_id, {"Id": flow_log_id}


_FLOW_LOG = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")


def _delete_flow_log(physical_id: str, _properties: Properties) -> None:
    ec2._delete_flow_logs({"FlowLogId.1": physical_id})


def _create_address(_logical_id: str, _properties: Properties, _stack_name: str) -> Created:
    before = set(ec2._addresses)
    ec2._allocate_address({"Domain": "vpc"})
    allocation_id = (set(ec2._addresses) - before).pop()
    address = ec2._addresses[allocation_id]["PublicIp"]
    return address, {"AllocationId": allocation_id, "PublicIp": address}


def _delete_address(physical_id: str, _properties: Properties) -> None:
    for allocation_id, address in list(ec2._addresses.items()):
        if address["PublicIp"] == physical_id:
            ec2._release_address({"AllocationId": allocation_id})


def _create_nat_gateway(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    before = set(ec2._nat_gateways)
    ec2._create_nat_gateway({key: properties[key] for key in ("SubnetId", "AllocationId")})
    gateway_id = str((set(ec2._nat_gateways) - before).pop())
    return gateway_id, {"NatGatewayId": gateway_id}


def _delete_nat_gateway(physical_id: str, _properties: Properties) -> None:
    ec2._delete_nat_gateway({"NatGatewayId": physical_id})
