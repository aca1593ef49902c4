"""Every link inside the project leads somewhere, and every page is led to."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Page, name_of, pages

PAGES = pages()


def dead_links(page: Page) -> list[str]:
    """Links to a file that is not there or to a heading that it has not."""
    dead = []
    for link in page.links:
        target, anchor = page.target(link), link.partition("#")[2]
        if not target.exists() or (anchor and anchor not in Page(target).anchors):
            dead.append(link)
    return dead


def reachable(start: Path) -> set[Path]:
    """The page and all that it and they link to."""
    found, ahead = {start}, [start]
    while ahead:
        page = Page(ahead.pop())
        new = {page.target(link) for link in page.links} - found
        ahead += [path for path in new if path.suffix == ".md" and path.exists()]
        found |= new
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Page) -> None:
    assert dead_links(page) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Is `it` here?\n\n## Twice\n\n## Twice\n\n```sh\n# not a heading\n```\n")
    page = tmp_path / "page.md"
    good = "[a](other.md#is-it-here) [b](other.md#twice-1) [c](#own) [d](https://example.com/x) [e](.)"
    page.write_text(f"# Own\n\n{good}\n[f](none.md) [g](other.md#not-a-heading) [h](#twice) [i](other.md#twice-2)\n")
    assert dead_links(Page(page)) == ["none.md", "other.md#not-a-heading", "#twice", "other.md#twice-2"]


def test_every_page_can_be_reached_from_the_map() -> None:
    found = reachable(ROOT / "docs" / "README.md")
    assert [name_of(page) for page in PAGES if page.path not in found and page.path.parent != ROOT] == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = Page(folder / "README.md")
    listed = {index.target(link) for link in index.links}
    assert [path.name for path in folder.glob("*.md") if path not in {*listed, index.path}] == []


def test_every_page_that_code_names_exists() -> None:
    rooms = ("stacks", "constructs_lib", "lambda_src", "local", "audit", "faults", "tools", "benchmarks", "examples")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    named = {page for file in files for page in re.findall(r"\bdocs/[\w/-]+\.md\b", file.read_text())}
    assert len(named) > 10
    assert [page for page in sorted(named) if not (ROOT / page).exists()] == []
