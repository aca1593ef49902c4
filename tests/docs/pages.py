"""The pages of the project, their links and their code."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*?) *#*$", re.MULTILINE)
_SHELLS = {"sh", "bash", "console", "shell"}


@dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """What is outside of blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """The fragments that its headings answer to, as GitHub makes them."""
        anchors: dict[str, int] = {}
        for heading in _HEADING.findall(self.prose):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
            slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            anchors[slug] = anchors.get(slug, -1) + 1
        return {slug + (f"-{number}" if number else "") for slug, last in anchors.items() for number in range(last + 1)}

    @property
    def links(self) -> list[str]:
        """Every link that stays in the project, as it is written."""
        return [link for link in _LINK.findall(self.prose) if "://" not in link and not link.startswith("mailto:")]

    def target(self, link: str) -> Path:
        """The file or folder that the link names."""
        file, _, _ = unquote(link).partition("#")
        return (self.path.parent / file).resolve() if file else self.path

    @property
    def commands(self) -> list[str]:
        """Every line of shell in blocks of code, and every piece of code in the prose that is no block."""
        lines: list[str] = []
        for language, block in _FENCE.findall(self.text):
            if language in _SHELLS:
                lines += _lines(block, prompt="$ " if language == "console" else "")
        return lines + [code for code in re.findall(r"`([^`\n]+)`", self.prose) if " " in code or "=" in code]


def _lines(block: str, *, prompt: str) -> list[str]:
    lines = block.replace("\\\n", " ").splitlines()
    return [line.removeprefix(prompt) for line in lines if line.strip() and line.startswith(prompt)]


def pages() -> list[Page]:
    """Every page that readers are led to."""
    root = [path for name in ("README.md", "CHANGELOG.md") if (path := ROOT / name).exists()]
    return [Page(path) for path in [*root, *sorted((ROOT / "docs").rglob("*.md"))]]


def name_of(page: Page) -> str:
    """Its path in the project."""
    return str(page.path.relative_to(ROOT))
