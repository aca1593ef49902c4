"""`make sbom`: software bills of materials in CycloneDX's format, one for each thing that is deployed or deploys."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CYCLONEDX = ROOT / ".venv-audit" / "bin" / "cyclonedx-py"
PYTHON = {
    "storefront": "lambda_src/storefront/requirements.txt",
    "schema-migration": "lambda_src/functions/schema_migration/requirements.txt",
    "deployment": "requirements.txt",
}


def main() -> None:
    """Write the files into the folder given, and say which."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, requirements in PYTHON.items():
        output = folder / f"{name}.cdx.json"
        options = ["--output-format", "JSON", "--output-reproducible", "--outfile", str(output)]
        subprocess.run([str(CYCLONEDX), "requirements", requirements, *options], cwd=ROOT, check=True)
    cli = folder / "cdk-cli.cdx.json"
    npm = ["npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only"]
    cli.write_text(subprocess.run(npm, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    sys.stdout.write("\n".join([*map(str, sorted(folder.glob("*.cdx.json"))), ""]))


if __name__ == "__main__":
    main()
