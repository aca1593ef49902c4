"""What mypy is told to leave out must not be what we use: a CDK module that it skips has the type Any."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import aws_cdk

ROOT = Path(__file__).parents[1]
ROOMS = ("stacks", "constructs_lib", "audit", "local", "faults", "tools", "tests", "lambda_src")


def imported(file: Path) -> Iterator[str]:
    """The modules of the CDK that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("aws_cdk"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aws_cdk"):
            for name in node.names:
                module = f"{node.module}.{name.name}"
                path = Path(aws_cdk.__file__).parent.joinpath(*module.split(".")[1:])
                yield module if path.is_dir() or path.with_suffix(".py").exists() else str(node.module)


def test_every_cdk_module_that_is_imported_is_type_checked() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    (checked,) = [set(entry["module"]) for entry in overrides if entry.get("follow_imports") == "normal"]
    files = [ROOT / "app.py", *(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))]
    used = {module for file in files for module in imported(file)}
    assert checked == used | {"aws_cdk", "aws_cdk.interfaces", "aws_cdk.interfaces.*"}
