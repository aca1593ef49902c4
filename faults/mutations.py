"""Protocols that are broken on purpose, to show that the history check would notice."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from msgspec.structs import replace

from cache_aside import aio_link, connection, envelope, flights, leases, link, protocol, relay
from cache_aside.errors import CacheUnavailableError
from cache_aside.results import Result, Served
from cache_aside.steps import Command, Steps


def _fill_without_lease_check(key: str, mine: Any, content: bytes | None, kept_seconds: float) -> Command:
    return ("SET", key, content or b"", "PX", max(1, round(kept_seconds * 1000)))


def _accept_always(self: Any, key: str, value: Any, served: Served) -> None:
    if served is Served.MISS and self.flight is not None:
        self.flight.vouch(value)
    self._waiting.pop(key, None)
    self.results[key] = Result(value, served)


def _good_for_everybody(self: Any, joined: int) -> bool:
    return bool(joined <= self.vouched_before)


_load = protocol.Miss._load


def _load_and_turn(self: Any, keys: tuple[str, ...], *, limited: bool = False) -> Steps[Any]:
    values = yield from _load(self, keys, limited=limited)
    self._next_turn()
    return values


def no_lease_check() -> None:
    """A fill overwrites whatever the key holds."""
    mock.patch.object(protocol, "fill", _fill_without_lease_check).start()


def joiners_accept_unaccepted_fills() -> None:
    """Readers who joined a load use its value even if the cache refused it."""
    mock.patch.object(protocol.Miss, "_settle", _accept_always).start()


def joiners_accept_loads_that_had_begun() -> None:
    """Readers use a value whose load began before they did, even if the cache refused it."""
    mock.patch.object(protocol.Miss, "_load", _load_and_turn).start()


def joiners_accept_what_was_on_its_way() -> None:
    """Readers use a value whose fill was sent before they began."""
    mock.patch.object(flights.Flight, "good_for", _good_for_everybody).start()


def leases_are_alike() -> None:
    """Two loads of a key cannot be told apart."""
    mock.patch.object(leases, "new_lease", return_value=b"L" + bytes(12)).start()


_ask = connection.Conversation.ask


def _ask_whatever_is_due(self: Any, commands: Sequence[Command], *, identify: bool = False) -> bytes:
    self._due = 0
    return _ask(self, commands, identify=identify)


def replies_are_left_unread() -> None:
    """A thread's connection stays its own when an exception comes between a question and its reply."""
    mock.patch.object(envelope.Codec, "read", _read_under_any_key).start()
    mock.patch.object(connection.Conversation, "ask", _ask_whatever_is_due).start()
    mock.patch.object(connection.Conversation, "usable", True).start()
    mock.patch.object(link.Link, "_take", lambda self: self._local.channel).start()
    mock.patch.object(link, "_close").start()


def cancelled_readers_give_back_at_once() -> None:
    """A cancelled reader's connection is the next one's before its reply has been read."""
    mock.patch.object(envelope.Codec, "read", _read_under_any_key).start()
    mock.patch.object(connection.Conversation, "ask", _ask_whatever_is_due).start()
    mock.patch.object(aio_link.AsyncChannel, "usable", True).start()
    mock.patch.object(aio_link.AsyncLink, "_drain", lambda self, channel, undo=(): self._give_back(channel)).start()


def interrupted_readers_keep_their_leases() -> None:
    """A reader that an exception ends takes nothing back, neither behind its question nor afterwards."""
    mock.patch.object(protocol, "undo", lambda policy, key, mine, now: leases.get(key)).start()


_read = envelope.Codec.read


def _read_under_any_key(self: Any, key: str, raw: Any, now: float, draw: Callable[[], float]) -> Any:
    if isinstance(raw, bytes) and raw[:1] == b"V":
        begin, size = envelope._HEADER.size, envelope._HEADER.unpack_from(raw)[-1]
        key = raw[begin : begin + size].decode()
    return _read(self, key, raw, now, draw)


_get = protocol.ReadThrough.get


def closures_run_in_the_background() -> None:
    """A load runs in the background whether it was given its arguments or not."""

    def get(self: Any, key: str, policy: Any, *, behind: bool) -> Any:
        return _get(self, key, policy, behind=policy.background)

    mock.patch.object(protocol.ReadThrough, "get", get).start()


_trip = protocol.Miss._trip


def _trip_and_hope(
    self: Any, commands: Sequence[Command], undo: Sequence[Command] = (), *, owed: bool = False
) -> Steps[Any]:
    replies = yield from _trip(self, commands, undo, owed=owed)
    takes = bool(undo) and commands[0][0] == "SET"
    return [None] * len(commands) if replies is None and takes else replies


def doubtful_leases_are_filled() -> None:
    """A reader whose lease was not confirmed takes it for granted."""
    mock.patch.object(protocol.Miss, "_trip", _trip_and_hope).start()


def _fill_nothing(key: str, mine: Any, content: bytes | None, kept_seconds: float) -> Command:
    return leases.take_lease(key, content or b"", max(1, round(kept_seconds * 1000)))


def fills_replace_absence() -> None:
    """A fill is accepted when the key holds nothing: its lease has ended, or somebody has deleted it."""
    mock.patch.object(protocol, "fill", _fill_nothing).start()


_fill = protocol.Miss._fill


def _fill_beside_what_was_read(self: Any, key: str, mine: Any, value: Any, load_seconds: float) -> Command:
    entry = self.__dict__.setdefault("_first", mine.entry)
    return _fill(self, key, replace(mine, entry=replace(mine.entry, beside=entry.beside)), value, load_seconds)


_acquire = protocol.Miss._acquire


def _acquire_and_note(self: Any, bids: Any) -> Steps[Any]:
    for entry in self._waiting.values():
        self.__dict__.setdefault("_first", entry)
    return (yield from _acquire(self, bids))


def fills_keep_sections_that_were_read_before() -> None:
    """A fill keeps another release's value as it once was, and not only what its own lease replaced."""
    mock.patch.object(protocol.Miss, "_acquire", _acquire_and_note).start()
    mock.patch.object(protocol.Miss, "_fill", _fill_beside_what_was_read).start()


def _gather_anything(self: Any, mine: Any) -> Any:
    return self.running(mine.key) or self._gathering.enter(mine)


def readers_past_the_cache_join_what_has_begun() -> None:
    """While the cache is down readers use a load that began before they did."""
    mock.patch.object(flights.Queue, "gather", _gather_anything).start()


def no_replay_after_failover() -> None:
    """The relay does not look at the replication id."""
    mock.patch.object(relay.Relay, "_replay", return_value=()).start()


def relay_stops_at_a_refused_row() -> None:
    """A refused row holds up the rows of its batch, and those behind it."""

    def together(self: Any, rows: Any) -> Iterator[int]:
        if refusal := self._refusal(rows):
            raise CacheUnavailableError(refusal)
        self._outbox.mark_delivered([row.id for row in rows])
        yield len(rows)

    mock.patch.object(relay.Relay, "_deliver", together).start()


def relay_marks_before_it_deletes() -> None:
    """A run that ends between the two has lost the deletion."""
    refusal = relay.Relay._refusal

    def mark_and_delete(self: Any, rows: Any) -> str:
        self._outbox.mark_delivered([row.id for row in rows])
        return refusal(self, rows)

    mock.patch.object(relay.Relay, "_refusal", mark_and_delete).start()


def relay_drops_what_is_refused() -> None:
    """A refused row is marked as if its key were deleted."""
    drop = lambda self, rows, reason: self._outbox.mark_delivered([row.id for row in rows])  # noqa: E731
    mock.patch.object(relay.Relay, "_quarantine", drop).start()


def relay_vouches_for_a_server_in_spite_of_a_quarantine() -> None:
    """A server is trusted though a deletion could not be repeated on it."""
    mock.patch.object(relay.Relay, "_trust", lambda self, name: self._outbox.record_replayed(name)).start()


def delete_before_commit() -> None:
    """Writers delete the key before they commit; the workload does it."""


def no_outbox() -> None:
    """Writers do not record what they delete; the workload does it."""


MUTATIONS: dict[str, tuple[str, Callable[[], None]]] = {
    "no_lease_check": ("calm", no_lease_check),
    "delete_before_commit": ("calm", delete_before_commit),
    "joiners_accept_unaccepted_fills": ("interleavings", joiners_accept_unaccepted_fills),
    "joiners_accept_loads_that_had_begun": ("interleavings", joiners_accept_loads_that_had_begun),
    "leases_are_alike": ("calm", leases_are_alike),
    "joiners_accept_what_was_on_its_way": ("interleavings", joiners_accept_what_was_on_its_way),
    "replies_are_left_unread": ("signals", replies_are_left_unread),
    "cancelled_readers_give_back_at_once": ("cancellations", cancelled_readers_give_back_at_once),
    "interrupted_readers_keep_their_leases": ("signals", interrupted_readers_keep_their_leases),
    "closures_run_in_the_background": ("closures", closures_run_in_the_background),
    "doubtful_leases_are_filled": ("interleavings", doubtful_leases_are_filled),
    "fills_replace_absence": ("interleavings", fills_replace_absence),
    "readers_past_the_cache_join_what_has_begun": ("interleavings", readers_past_the_cache_join_what_has_begun),
    "fills_keep_sections_read_before": ("interleavings", fills_keep_sections_that_were_read_before),
    "no_outbox": ("cuts", no_outbox),
    "relay_stops_at_a_refused_row": ("relaying", relay_stops_at_a_refused_row),
    "relay_marks_before_it_deletes": ("relaying", relay_marks_before_it_deletes),
    "relay_drops_what_is_refused": ("relaying", relay_drops_what_is_refused),
    "relay_vouches_in_spite_of_a_quarantine": ("relaying", relay_vouches_for_a_server_in_spite_of_a_quarantine),
    "no_replay_after_failover": ("failovers", no_replay_after_failover),
}
"""By name: the check that catches it (a campaign, interruptions, the interleavings), and what breaks the protocol."""
