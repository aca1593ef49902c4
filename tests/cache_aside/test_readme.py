"""The README's example, run."""

import re
import time
from pathlib import Path
from typing import Any

from cache_aside import CacheAside
from faults.fake_server import FakeServer
from tests.cache_aside.harness import FakeTransport

README = Path(__file__).parents[2] / "README.md"


def test_example_reads_through_the_cache_and_updates() -> None:
    (example,) = re.findall(r"```python\n(import msgspec.*?)```", README.read_text(), re.DOTALL)
    rows: dict[int, Any] = {}
    selected: list[int] = []

    def select_product(product_id: int) -> Any:
        selected.append(product_id)
        return rows.get(product_id)

    def commit_product(product: Any) -> None:
        rows[product.id] = product

    code: dict[str, Any] = {"select_product": select_product, "commit_product": commit_product}
    exec(example, code)  # noqa: S102 - the README's own text
    cache = CacheAside(FakeTransport(FakeServer(time.time)))
    product = code["Product"]
    rows[42] = product(42, "Lamp", 66.07)

    assert [code["get_product"](cache, 42).name for _ in range(2)] == ["Lamp", "Lamp"]
    assert selected == [42]
    assert code["update_product"](cache, product(42, "Desk", 349.5)).confirmed
    assert code["get_product"](cache, 42).name == "Desk"
