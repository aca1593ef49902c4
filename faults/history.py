"""What clients saw, and whether it obeys the rule: no read older than a write acknowledged before it began."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec


class Read(msgspec.Struct, frozen=True, tag="read", array_like=True):
    """Times are seconds of the machine's monotonic clock, which all its processes share."""

    key: str
    begin: float
    end: float
    version: int
    served: str


class Write(msgspec.Struct, frozen=True, tag="write", array_like=True):
    """A write that was acknowledged to its client, with its deletion confirmed or pending."""

    key: str
    acknowledged: float
    version: int
    confirmed: bool


class Violation(msgspec.Struct, frozen=True):
    """A read that was older than it had to be, and by how much."""

    read: Read
    owed: int
    late_seconds: float


def load(files: Iterable[Path]) -> list[Read | Write]:
    """Every event that the workers recorded."""
    decoder = msgspec.json.Decoder(Read | Write)
    return [event for file in files for event in decoder.decode_lines(file.read_bytes())]


def violations(events: Sequence[Read | Write], bound_seconds: float = 0.0) -> list[Violation]:
    """The reads that missed a write acknowledged more than the bound before they began."""
    return [late for key in {event.key for event in events} for late in _late_reads(events, key, bound_seconds)]


def _late_reads(events: Sequence[Read | Write], key: str, bound_seconds: float) -> Iterator[Violation]:
    here = [event for event in events if event.key == key]
    writes = sorted((write for write in here if isinstance(write, Write)), key=lambda write: write.acknowledged)
    reads = sorted((read for read in here if isinstance(read, Read)), key=lambda read: read.begin)
    position, owed, since = 0, -1, 0.0
    for read in reads:
        while position < len(writes) and writes[position].acknowledged + bound_seconds < read.begin:
            if writes[position].version > owed:
                owed, since = writes[position].version, writes[position].acknowledged
            position += 1
        if read.version < owed:
            yield Violation(read, owed, read.begin - since)
