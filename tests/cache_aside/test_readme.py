"""The README's example, run, and its picture, held against what the example does."""

import re
import time
from pathlib import Path
from typing import Any

import cache_aside
from cache_aside import CacheAside
from faults.fake_server import FakeServer
from tests.cache_aside.harness import FakeTransport

README = (Path(__file__).parents[2] / "README.md").read_text()


class Recording(FakeServer):
    """A server that notes the name of each command."""

    def __init__(self, steps: list[str]) -> None:
        super().__init__(time.time)
        self._steps = steps

    def execute(self, op: Any) -> object:
        self._steps.append(str(op[0]))
        return super().execute(op)


def test_example_reads_and_writes_in_the_steps_of_the_picture() -> None:
    (example,) = re.findall(r"```python\n(import msgspec.*?)```", README, re.DOTALL)
    steps: list[str] = []
    rows: dict[int, Any] = {}

    def select_product(product_id: int) -> Any:
        steps.append("SELECT")
        return rows.get(product_id)

    def commit_product(product: Any) -> None:
        steps.append("UPDATE")
        rows[product.id] = product

    code: dict[str, Any] = {"select_product": select_product, "commit_product": commit_product}
    exec(example, code)  # noqa: S102 - the README's own text
    cache = CacheAside(FakeTransport(Recording(steps)))
    product = code["Product"]
    rows[42] = product(42, "Lamp", 6607)

    assert code["get_product"](cache, 42).name == "Lamp"
    assert steps == arrows("R1", "R2", "R3", "R4")
    steps.clear()
    assert code["get_product"](cache, 42).name == "Lamp"
    assert steps == arrows("R1")
    steps.clear()
    assert code["update_product"](cache, product(42, "Desk", 34950)).confirmed
    assert steps == arrows("W1", "W2")
    assert code["get_product"](cache, 42).name == "Desk"


def arrows(*numbers: str) -> list[str]:
    """The command on each of these arrows of the README's picture: its first word in capitals."""
    labels = dict(re.findall(r'\|"([RW]\d) ([^"]*)"\|', README))
    return [re.findall(r"\b[A-Z]{3,}\b", labels[number])[0] for number in numbers]


def test_package_names_each_of_its_modules_with_a_sentence() -> None:
    listed = re.findall(r"^([a-z_]+)  +\S", cache_aside.__doc__ or "", re.MULTILINE)
    modules = {path.stem for path in Path(cache_aside.__file__).parent.glob("*.py")} - {"__init__"}
    assert len(listed) == len(set(listed))
    assert set(listed) == modules
    assert listed[:2] == ["protocol", "envelope"], "where a newcomer begins"
