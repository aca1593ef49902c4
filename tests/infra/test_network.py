"""The VPC: its subnets, its zones, its logs, and the endpoints that the functions need."""

from tests.infra.synthesis import Stage, synthesize


def routes_to(stage: Stage, target: str) -> int:
    return sum(target in r["Properties"] for r in stage.resources("AWS::EC2::Route").values())


def test_zones_come_from_the_region_without_guessing(prod: Stage) -> None:
    zones = [s["Properties"]["AvailabilityZone"] for s in prod.resources("AWS::EC2::Subnet").values()]
    assert zones == [{"Fn::Select": [index, {"Fn::GetAZs": ""}]} for _ in range(3) for index in range(3)]


def test_configured_zones_are_taken_as_they_are() -> None:
    stage = synthesize("dev", network__availability_zones="ap-northeast-1a,ap-northeast-1c")
    zones = {s["Properties"]["AvailabilityZone"] for s in stage.resources("AWS::EC2::Subnet").values()}
    assert zones == {"ap-northeast-1a", "ap-northeast-1c"}


def test_an_account_and_region_cause_no_look_up() -> None:
    stage = synthesize("dev", account="111122223333", region="ap-northeast-1")
    zones = {str(s["Properties"]["AvailabilityZone"]) for s in stage.resources("AWS::EC2::Subnet").values()}
    assert len(zones) == 2
    assert all("Fn::GetAZs" in zone for zone in zones)


def test_only_public_subnets_have_a_way_to_the_internet(prod: Stage) -> None:
    assert routes_to(prod, "GatewayId") == 3
    assert routes_to(prod, "NatGatewayId") == 0
    assert prod.resources("AWS::EC2::NatGateway") == {}


def test_no_subnet_hands_out_public_addresses(stage: Stage) -> None:
    assert not any(s["Properties"]["MapPublicIpOnLaunch"] for s in stage.resources("AWS::EC2::Subnet").values())


def test_nat_gateways_serve_the_app_subnets_only() -> None:
    stage = synthesize("dev", network__nat_gateways="1")
    with_nat = [i for i, r in stage.resources("AWS::EC2::Route").items() if "NatGatewayId" in r["Properties"]]
    assert len(with_nat) == 2
    assert all("AppSubnet" in logical_id for logical_id in with_nat)


def test_the_default_group_is_closed(stage: Stage) -> None:
    assert len(stage.resources("Custom::VpcRestrictDefaultSG")) == 1


def test_all_traffic_is_logged(stage: Stage) -> None:
    assert stage.properties("AWS::EC2::FlowLog")["TrafficType"] == "ALL"


def test_endpoints_are_those_that_the_functions_call_and_have_a_group_of_their_own(stage: Stage) -> None:
    endpoints = [resource["Properties"] for resource in stage.resources("AWS::EC2::VPCEndpoint").values()]
    services = [str(endpoint["ServiceName"]).rpartition(".")[2].rstrip("'}])") for endpoint in endpoints]
    assert services == {"dev": ["secretsmanager"], "prod": ["secretsmanager", "elasticache"]}[stage.name]
    for endpoint in endpoints:
        assert endpoint["PrivateDnsEnabled"] is True
        assert len(endpoint["SecurityGroupIds"]) == 1
        assert "EndpointSG" in str(endpoint["SecurityGroupIds"])
        assert all("AppSubnet" in subnet["Ref"] for subnet in endpoint["SubnetIds"])


def test_endpoints_serve_this_account_and_lead_to_this_account_only(stage: Stage) -> None:
    account = {"Ref": "AWS::AccountId"}
    for endpoint in stage.resources("AWS::EC2::VPCEndpoint").values():
        (statement,) = endpoint["Properties"]["PolicyDocument"]["Statement"]
        assert statement["Condition"] == {
            "StringEquals": {"aws:PrincipalAccount": account},
            "StringEqualsIfExists": {"aws:ResourceAccount": account},
        }


def test_every_log_group_is_encrypted_and_expires(stage: Stage) -> None:
    groups = stage.resources("AWS::Logs::LogGroup")
    expected = {"dev": 30, "prod": 365}[stage.name]
    assert {group["Properties"]["RetentionInDays"] for group in groups.values()} == {expected}
    assert all("LogKey" in str(group["Properties"]["KmsKeyId"]) for group in groups.values())


def test_every_function_logs_to_a_declared_group(stage: Stage) -> None:
    functions = stage.resources("AWS::Lambda::Function").values()
    used = [function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] for function in functions]
    assert len(used) == {"dev": 5, "prod": 6}[stage.name]
    assert set(used) <= set(stage.resources("AWS::Logs::LogGroup"))


def test_every_key_rotates(stage: Stage) -> None:
    keys = stage.resources("AWS::KMS::Key").values()
    assert [key["Properties"]["EnableKeyRotation"] for key in keys] == [True] * {"dev": 5, "prod": 6}[stage.name]


def test_references_between_stacks_are_protected_exports(stage: Stage) -> None:
    text = str(stage.templates)
    assert "Fn::ImportValue" in text
    assert "Fn::GetStackOutput" not in text
