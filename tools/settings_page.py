"""docs/settings.md: every setting with its values in each stage, grouped by what it configures."""

from collections.abc import Iterator

from stacks.settings import STAGES, example, settings

GROUPS = {
    "network": "Network",
    "cache": "Cache",
    "database": "Database",
    "backup": "Backup",
    "app": "App",
    "web": "Web",
    "": "General",
}


def settings_page() -> str:
    """The page's text."""
    return "\n".join([_HEAD, *(line for group in GROUPS for line in _section(group)), ""])


def _section(group: str) -> Iterator[str]:
    keys = [key for key in settings() if key.rpartition(".")[0] == group]
    yield f"\n## {GROUPS[group]}\n"
    yield f"| setting | {' | '.join(STAGES)} | what it does |"
    yield f"|---|{'---|' * len(STAGES)}---|"
    yield from (_row(key) for key in keys)


def _row(key: str) -> str:
    field = settings()[key]
    values = [_shown(stage.get(key, None if field.is_required() else field.default)) for stage in STAGES.values()]
    # What no stage sets says nothing of its form.
    form = f". Example: `{example(key)}`" if all(value == "-" for value in values) else ""
    return f"| `{key}` | {' | '.join(values)} | {field.description}{form} |"


def _shown(value: object) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


_HEAD = """# Settings

Written by `make docs` from [stacks/settings_model.py](../stacks/settings_model.py).

`dev` is small and disposable; `prod` is Multi-AZ and protected. Change a value in `STAGES` in `stacks/settings.py`, or
on the command line by its dotted key. Both are checked before anything is deployed:

```sh
make deploy STAGE=prod SETTINGS="-c cache.nodes=2 -c web.allowed_cidrs=203.0.113.0/24,198.51.100.7/32"
```

Separate the items of a list with commas. `none` unsets a setting that may be unset, shown as `-` below."""
