"""`make audit-secrets`: detect-secrets over every file of the project, and exit code 1 for anything that it finds.

It looks for what credentials look like. What they are called, ruff looks for (S105 to S107), and entropy would find
every hash and logical id that is meant to be here.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCANNER = ROOT / ".venv-audit" / "bin" / "detect-secrets"
LEFT_OUT = ("Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector")


def found_in(folder: Path, files: Sequence[str] = ()) -> Iterator[str]:
    """Place and kind of every credential in the files given, else in all that git tracks."""
    options = [text for plugin in LEFT_OUT for text in ("--disable-plugin", plugin)]
    command = [str(SCANNER), "scan", *options, *files]
    report = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    for name, places in json.loads(report)["results"].items():
        yield from (f"{name}:{place['line_number']}: {place['type']}" for place in places)


def main() -> None:
    """Print what was found."""
    found = list(found_in(ROOT))
    sys.stdout.write("\n".join([*found, f"{len(found)} credentials", ""]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
