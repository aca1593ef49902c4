"""What the protocol knows about the process that runs it."""

import random
import time
from collections.abc import Callable

import msgspec

from cache_aside.flights import Flights
from cache_aside.observe import SILENT, Observer


class Surroundings(msgspec.Struct):
    """What the protocol knows about its process; tests put their own clocks and dice here."""

    flights: Flights
    background: bool = False
    observer: Observer = SILENT
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random
