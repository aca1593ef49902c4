"""What AWS would refuse minutes into a deployment, checked before it: names, sizes, times and addresses.

Each check returns the value that it is given or raises a ValueError that says what is allowed. They know what is the
same for everybody; `make deploy` asks AWS about the account.
"""

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

MOST_RULES = 60  # of a security group and direction: "Amazon VPC quotas"
MOST_DOMAIN = 64  # characters: "RequestCertificate", ACM API Reference, of the first name of a certificate
MOST_ZONES = {"us-west-1": 2}  # where every account sees fewer than three

# Infrastructure knows the code that runs by its path only.
RDS_ROOTS = Path(__file__).parents[1] / "lambda_src" / "storefront" / "rds-ca-bundle.pem"
_CLASSES = Path(__file__).with_name("aws_classes.json")
_ZONE = re.compile(r"(?P<region>[a-z]{2}(-[a-z]+)+-\d)[a-f]")
_CERTIFICATE = re.compile(
    r"arn:aws(-[a-z]+)*:acm:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):certificate/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.ASCII,
)
_VAULT = re.compile(
    r"arn:aws[a-z-]*:backup:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):backup-vault:(?P<name>[a-zA-Z0-9_-]{2,50})",
    re.ASCII,
)
_ROOT = re.compile(r"CN=Amazon RDS ([a-z]{2}(?:-[a-z]+)+-\d) Root CA")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Families that exist and cannot do what the replication group here asks of them.
_UNFIT_NODES = {
    "r6gd": "its nodes need data tiering, which this replication group does not use",
    "t2": "its nodes have no Multi-AZ in a group without shards",
}


@cache
def _sizes() -> Mapping[str, Mapping[str, list[str]]]:
    found: Mapping[str, Mapping[str, list[str]]] = json.loads(_CLASSES.read_text())
    return found


def node_type(name: str) -> str:
    """A node type that ElastiCache has, for a replication group without shards and data tiering."""
    _exists(name)
    family = name.split(".")[1]
    if family in _UNFIT_NODES:
        raise ValueError(f"{_UNFIT_NODES[family]}; {_families('cache')}")
    return name


def instance_class(name: str) -> str:
    """An instance class that RDS has for the versions of PostgreSQL and MySQL that are deployed here."""
    return _exists(name)


def _exists(name: str) -> str:
    service, family, size = name.split(".")
    sizes = _sizes()[service].get(family)
    if sizes is None:
        raise ValueError(f"there is no family {family}; {_families(service)}")
    if size not in sizes:
        raise ValueError(f"family {family} has no size {size}; its sizes: {', '.join(sizes)}")
    return name


def _families(service: str) -> str:
    fit = (family for family in _sizes()[service] if service != "cache" or family not in _UNFIT_NODES)
    return f"families: {', '.join(fit)}"


def region(name: str) -> str:
    """A region in which RDS exists, and of which the functions know the roots of its certificates."""
    if name not in regions():
        similar = ", ".join(get_close_matches(name, regions())) or "none"
        raise ValueError(f"there is no region {name} with RDS; regions of similar names: {similar}")
    if name not in regions_with_roots(RDS_ROOTS.read_text()):
        raise ValueError(
            f"lambda_src/storefront/{RDS_ROOTS.name} has no root certificate of RDS in {name}, so no function could "
            "verify its database. Download AWS's bundle of that partition and run: "
            "python -m tools.refresh_rds_ca_bundle --file global-bundle.pem. Or choose another region"
        )
    return name


@cache
def regions() -> tuple[str, ...]:
    """Every region of RDS in every partition, as the installed botocore knows them."""
    import botocore.session  # takes 0.2 s, which a synthesis without a region need not

    session = botocore.session.Session()
    return tuple(
        name
        for partition in session.get_available_partitions()
        for name in session.get_available_regions("rds", partition)
    )


def regions_with_roots(bundle: str) -> frozenset[str]:
    """The regions whose RDS instances a bundle of certificates can verify: each has roots of its own."""
    return frozenset(_ROOT.findall(bundle))


def zone(name: str) -> str:
    """The name of an availability zone of such a region; local zones are none."""
    if not (found := _ZONE.fullmatch(name)):
        raise ValueError("a zone is its region and a letter from a to f; local zones have no RDS Multi-AZ")
    region(found["region"])
    return name


def region_of_zone(name: str) -> str:
    """The region of a zone."""
    return name[:-1]


def certificate(arn: str) -> str:
    """The complete ARN of an ACM certificate."""
    if not _CERTIFICATE.fullmatch(arn):
        raise ValueError(
            "it is not the complete ARN of an ACM certificate, which names region, account and certificate"
        )
    return _of_a_place(arn)


def _of_a_place(arn: str) -> str:
    """An ARN whose region exists, in the partition of that region."""
    _, partition, _, name, *_ = arn.split(":")
    region(name)
    if partition != (its_own := _partition(name)):
        raise ValueError(f"its partition is {partition}, and that of {name} is {its_own}")
    return arn


def _partition(region_name: str) -> str:
    import botocore.session  # as in `regions`

    partition: str = botocore.session.Session().get_partition_for_region(region_name)
    return partition


def vault(arn: str) -> str:
    """The complete ARN of a vault of AWS Backup."""
    vault_place(arn)
    return _of_a_place(arn)


def vault_place(arn: str) -> tuple[str, str, str]:
    """Region, account and name of a vault."""
    if not (found := _VAULT.fullmatch(arn)):
        raise ValueError("it is not the complete ARN of a backup vault, which names region, account and vault")
    return found["region"], found["account"], found["name"]


def region_and_account_of_certificate(arn: str) -> tuple[str, str]:
    """Where a certificate is, and whose it is."""
    if not (found := _CERTIFICATE.fullmatch(arn)):
        raise ValueError(f"{arn} is not the complete ARN of an ACM certificate")
    return found["region"], found["account"]


def domain(name: str) -> str:
    """A DNS name that ACM takes: at most 64 characters, in labels that neither begin nor end with a hyphen."""
    *labels, top = name.split(".")
    if not labels or not all(map(_LABEL.fullmatch, labels)) or not re.fullmatch(r"[a-z]{2,63}", top):
        raise ValueError(
            "a domain name is labels joined by dots, each of 1 to 63 lowercase letters, digits and hyphens, with no "
            "hyphen at either end"
        )
    if len(name) > MOST_DOMAIN:
        raise ValueError(
            f"it has {len(name)} characters, and ACM takes {MOST_DOMAIN} at most for a certificate's first name"
        )
    return name


def vpc_range(network: IPv4Network) -> IPv4Network:
    """A range that a VPC may have."""
    if not 16 <= network.prefixlen <= 20:
        raise ValueError("give a /16 to a /20")
    if network.is_loopback or network.is_link_local or network.is_multicast or network.is_reserved or _is_zero(network):
        raise ValueError("0/8, 127/8, 169.254/16, 224/4 and 240/4 have other uses and cannot be a VPC")
    return network


def _is_zero(network: IPv4Network) -> bool:
    return network.subnet_of(IPv4Network("0.0.0.0/8"))


def client_ranges(networks: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """As many different ranges as one security group takes rules for."""
    if len(networks) > MOST_RULES:
        raise ValueError(f"{len(networks)} ranges are more than the {MOST_RULES} rules that a security group takes")
    if twice := sorted({str(network) for network in networks if networks.count(network) > 1}):
        raise ValueError(f"{', '.join(twice)} stands there twice, and a security group takes a rule once")
    return networks
