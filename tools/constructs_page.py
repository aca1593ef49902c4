"""The tables of docs/constructs.md: everything public in constructs_lib with the first line of its docstring."""

import inspect
from collections.abc import Iterator

import constructs_lib

FOLDERS = ("network", "cache", "database", "compute", "web", "watch", "access")


def constructs_tables() -> Iterator[str]:
    """A table a folder, in the order of `FOLDERS`."""
    public = {name: getattr(constructs_lib, name) for name in constructs_lib.__all__}
    described = {name: item for name, item in public.items() if inspect.isclass(item) or inspect.isfunction(item)}
    for folder in FOLDERS:
        yield f"### {folder}\n"
        yield "| name | what it is |"
        yield "|---|---|"
        for name, item in described.items():
            if item.__module__.startswith(f"constructs_lib.{folder}."):
                file = f"../{item.__module__.replace('.', '/')}.py"
                yield f"| [`{name}`]({file}) | {first_line(item)} |"
        yield ""


def first_line(item: object) -> str:
    """The first paragraph of a docstring, as one line."""
    return " ".join((inspect.getdoc(item) or "").split("\n\n")[0].split())
