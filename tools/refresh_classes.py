"""Writes which node types of ElastiCache and instance classes of RDS exist: stacks/aws_classes.json.

    python -m tools.refresh_classes

They come from cfn-lint's data, which its maintainers take from AWS's price lists. A class counts if any region has it:
the lists of single regions lag behind, and `make deploy` asks AWS. A test fails when a newer cfn-lint knows others.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

CLASSES = Path(__file__).parents[1] / "stacks" / "aws_classes.json"
# The versions that constructs_lib deploys; an older one knows older classes.
VERSIONS = {"postgres": "18.3", "mysql": "8.4"}
# Classes that RDS has for clusters alone.
_NO_INSTANCE = re.compile(r"^db\.(serverless|c6gd\..*)$")


def classes() -> dict[str, dict[str, list[str]]]:
    """The content of the file: for each service the sizes by family."""
    nodes = {name for entry in _read("aws_elasticache_cachecluster", "cachenodetype_enum") for name in entry["enum"]}
    offered = {name for entry in _read("aws_rds_dbinstance", "dbinstanceclass_enum") for name in _offered(entry)}
    return {"cache": _sizes(nodes), "db": _sizes(offered & _runnable())}


def _read(resource: str, name: str) -> Iterator[Any]:
    folder = files("cfnlint") / "data" / "schemas" / "extensions" / resource
    content = json.loads((folder / f"{name}.json").read_text())
    return (entry for key, entry in content.items() if key != "description")


def _offered(region: Mapping[str, Any]) -> Iterator[str]:
    for entry in region["allOf"]:
        if entry["if"]["properties"]["Engine"].get("const") in VERSIONS:
            yield from entry["then"]["properties"]["DBInstanceClass"]["enum"]


def _runnable() -> set[str]:
    found: dict[str, set[str]] = {}
    for entries in _read("aws_rds_dbinstance", "db_instance_class"):
        for entry in entries:
            engine = entry["if"]["properties"]["Engine"].get("const")
            if engine in VERSIONS and re.match(entry["if"]["properties"]["EngineVersion"]["pattern"], VERSIONS[engine]):
                found[engine] = set(entry["then"]["properties"]["DBInstanceClass"]["enum"])
    one, other = found.values()
    return {name for name in one & other if not _NO_INSTANCE.match(name)}


def _sizes(names: Iterable[str]) -> dict[str, list[str]]:
    sizes: dict[str, list[str]] = {}
    for name in sorted(names, key=_natural):
        _, family, size = name.split(".")
        sizes.setdefault(family, []).append(size)
    return dict(sorted(sizes.items()))


def _natural(name: str) -> tuple[int, int]:
    size = name.split(".")[2]
    small = ["micro", "small", "medium", "large", "xlarge"]
    return (small.index(size), 0) if size in small else (len(small), int(size.removesuffix("xlarge")))


def main() -> None:
    """Write the file anew, one family a line."""
    CLASSES.write_text(_text(classes()))


def _text(content: Mapping[str, Any]) -> str:
    groups = (
        f'  "{group}": {{\n'
        + ",\n".join(f"    {json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items())
        + "\n  }"
        for group, entries in content.items()
    )
    return "{\n" + ",\n".join(groups) + "\n}\n"


if __name__ == "__main__":
    main()
