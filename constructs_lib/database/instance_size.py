"""How large an instance class is, which CDK does not know at synthesis and limits depend on."""

import re
from dataclasses import dataclass

_CLASS = re.compile(r"^db\.(?P<family>t3|t4g|m[5-9][a-z]*|r[5-9][a-z]*|x2g)\.(?P<size>\w+)$")
_GIB_PER_VCPU = {"t": 4, "m": 4, "r": 8, "x": 16}
_SMALL = {"micro": 1, "small": 2, "medium": 4}  # of T3 and T4g: GiB, each with two processors


@dataclass(frozen=True)
class InstanceSize:
    """How large an instance class is.

    :param vcpus: processors, vCPU
    :param memory_gib: memory, GiB
    """

    vcpus: int
    memory_gib: float


def instance_size(instance_class: str) -> InstanceSize | None:
    """The size of an RDS instance class of a current family, such as ``db.r7g.large``; None for any other.

    :param instance_class: as RDS names it, ``db.`` and its family and size

    Source: "Hardware specifications for DB instance classes", RDS User Guide.
    """
    if not (found := _CLASS.match(instance_class)):
        return None
    family, size = found["family"], found["size"]
    if size in _SMALL and family[0] == "t":
        return InstanceSize(2, _SMALL[size])
    if not (times := re.fullmatch(r"large|(\d*)xlarge", size)):
        return None
    vcpus = 2 if size == "large" else 4 * int(times[1] or 1)
    return InstanceSize(vcpus, vcpus * _GIB_PER_VCPU[family[0]])
