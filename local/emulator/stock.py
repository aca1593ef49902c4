"""How a resource type of ours relates to the emulator's stock handler of the same type."""

from collections.abc import Callable
from typing import Any

from local.emulator.ministack import RESOURCE_HANDLERS, Created, Properties

Finish = Callable[[str, dict[str, Any], Properties], Created]


def finish_with(resource_type: str, finish: Finish) -> None:
    """Lets `finish(physical_id, attributes, properties)` complete what the stock create and update handlers return."""
    stock = RESOURCE_HANDLERS[resource_type]
    create, update = stock["create"], stock["update"]

    def finished_create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        physical_id, attributes = create(logical_id, properties, stack_name)
        return finish(physical_id, attributes, properties)

    def finished_update(physical_id: str, old: Properties, new: Properties, *rest: str) -> Created:
        physical_id, attributes = update(physical_id, old, new, *rest)
        return finish(physical_id, attributes, new)

    RESOURCE_HANDLERS[resource_type] = {**stock, "create": finished_create, "update": finished_update}
