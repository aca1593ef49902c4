"""A model checker for the protocol: runs readers and writers in every order of their steps and checks each read.

Executing a command on the server and delivering its reply are separate steps, so that everything a network can reorder
between processes is reordered here. A schedule is the list of actors in the order in which they take steps; schedules
are enumerated by depth-first search, each replayed from the start because generators cannot be copied.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from math import inf
from typing import Any

from cache_aside.errors import CacheUnavailableError
from cache_aside.flights import Flights, Queue
from cache_aside.policy import Policy
from cache_aside.protocol import ReadThrough, Surroundings
from cache_aside.results import Result
from cache_aside.steps import Background, Command, Join, Load, Pause, RoundTrip, Steps
from faults.fake_server import FakeServer

KEY = "product:1"
VERSION = Policy[int](
    name="version", value_type=int, ttl_seconds=1000, jitter=0, early_refresh_beta=0, wait_timeout_seconds=2
)
NEXT_RELEASE = replace(VERSION, schema_version=2)


class FakeLatch:
    """A latch that nobody waits for: the scheduler looks at it."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """Let those who joined go on."""
        self._set = True

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._set


class World:
    """A server, a database with one row, a clock, and the processes that share them."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.server = FakeServer(lambda: self.now)
        self.row, self.acknowledged, self.loads = 0, 0, 0
        self.cut = False
        """Nobody reaches the cache but writers."""
        self.loses_leases = False
        """Whoever bids for a lease hears nothing; what they sent arrives some time."""
        self.on_its_way: list[Command] = []

    def process(self) -> ReadThrough:
        """The protocol as one process runs it; its readers share flights."""
        return ReadThrough(self.surroundings())

    def surroundings(self, *, draw: Callable[[], float] = lambda: 0.5) -> Surroundings:
        """The clocks of this world."""
        flights, past, now = Flights(FakeLatch), Queue(FakeLatch), lambda: self.now
        return Surroundings(flights, past, clock=now, monotonic=now, draw=draw, cache_seconds=inf)

    def perform(self, command: object) -> Any:
        """What the driver of a real process would do."""
        match command:
            case RoundTrip():
                if self.cut:
                    raise CacheUnavailableError("cut")
                if self.loses_leases and command.commands[0][0] == "SET":
                    self.on_its_way += [*command.commands, *command.undo]
                    raise CacheUnavailableError("no reply")
                return [self.server.execute(op) for op in command.commands]
            case Load():
                self.loads += 1
                return dict.fromkeys(command.keys, self.row)
            case Pause():
                self.now += 1
            case Background():
                raise AssertionError("no background work in the model")
        return None

    def run(self, steps: Steps[Any]) -> Any:
        """All steps of one actor, undisturbed."""
        try:
            command = next(steps)
            while True:
                command = steps.send(self.perform(command))
        except StopIteration as done:
            return done.value


class Reader:
    """A read, step by step."""

    def __init__(self, world: World, process: ReadThrough, policy: Policy[int] = VERSION) -> None:
        self._world, self._steps = world, process.get(KEY, policy)
        self._command: object = None
        self._reply: list[Any] = []
        self._begun = self.done = False
        self._owed = 0
        self.result: Result[int] | None = None

    @property
    def waits(self) -> bool:
        """Whether it has joined a load that goes on."""
        return isinstance(self._command, Join) and not self._command.latch.is_set()

    @property
    def ready(self) -> bool:
        """Whether it can take a step."""
        return not self.done and not self.waits

    def step(self) -> None:
        """Begin, or have the pending command executed, or take delivery of its reply."""
        if not self._begun:
            self._begun, self._owed = True, self._world.acknowledged
            self._advance(None)
        elif self._reply or isinstance(self._command, Join | Pause):
            self._advance(self._reply.pop() if self._reply else self._world.perform(self._command))
        else:
            try:
                self._reply = [self._world.perform(self._command)]
            except CacheUnavailableError as error:
                self._reply = [error]

    def _advance(self, reply: Any) -> None:
        try:
            failed = isinstance(reply, Exception)
            self._command = self._steps.throw(reply) if failed else self._steps.send(reply)
        except StopIteration as finished:
            self.done = True
            result: Result[int] = finished.value
            self.result = result
            assert result.value is not None
            assert result.value >= self._owed, f"read {result}, but {self._owed} was acknowledged before it began"


class Writer:
    """A write: commit, delete the key, acknowledge."""

    def __init__(self, world: World) -> None:
        self._world, self._steps = world, self._write()

    done = False
    ready = property(lambda self: not self.done)

    def step(self) -> None:
        """The next of its three steps."""
        next(self._steps)

    def _write(self) -> Iterator[None]:
        self._world.row += 1
        version = self._world.row
        yield
        self._world.server.execute(("DEL", KEY))
        yield
        self._world.acknowledged = max(version, self._world.acknowledged)
        self.done = True
        yield


class Straggler:
    """The network: what was sent, but not answered, arrives in order."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._arrived = 0

    @property
    def done(self) -> bool:
        """Whether all of it has arrived."""
        return self._arrived > 0 and not self._world.on_its_way

    @property
    def ready(self) -> bool:
        """Whether something is on its way."""
        return bool(self._world.on_its_way)

    def step(self) -> None:
        """The next command is executed."""
        self._world.server.execute(self._world.on_its_way.pop(0))
        self._arrived += 1


Scenario = Callable[[World], list[Any]]


def explore(scenario: Scenario, *, most_preemptions: int | None = None) -> int:
    """Run every schedule, or every one with at most so many preemptions; the number of schedules.

    Raises:
        AssertionError: a schedule that breaks the rule; its order of actors is in a note.
    """
    prefix: list[int] = []
    for schedules in count(1):
        choices = _run(scenario, prefix, most_preemptions)
        while choices and choices[-1][0] == choices[-1][1][-1]:
            choices.pop()
        if not choices:
            return schedules
        chosen, options = choices[-1]
        prefix = [choice for choice, _ in choices[:-1]] + [options[options.index(chosen) + 1]]
    raise AssertionError


def _run(scenario: Scenario, prefix: list[int], most_preemptions: int | None) -> list[tuple[int, list[int]]]:
    world = World()
    actors = scenario(world)
    choices: list[tuple[int, list[int]]] = []
    last, preemptions = -1, 0
    try:
        while not all(actor.done for actor in actors):
            options = [number for number, actor in enumerate(actors) if actor.ready]
            assert options, "deadlock"
            runs_on = last in options
            if runs_on:
                spent = most_preemptions is not None and preemptions >= most_preemptions
                options = [last] if spent else [last, *(option for option in options if option != last)]
            chosen = prefix[len(choices)] if len(choices) < len(prefix) else options[0]
            choices.append((chosen, options))
            preemptions += runs_on and chosen != last
            last = chosen
            actors[chosen].step()
        _check_that_nothing_stale_is_left(world)
    except AssertionError as error:
        error.add_note(f"schedule: {[choice for choice, _ in choices]}")
        raise
    return choices


def _check_that_nothing_stale_is_left(world: World) -> None:
    world.cut = world.loses_leases = False
    for release in (VERSION, NEXT_RELEASE):
        result = world.run(world.process().get(KEY, release))
        assert result.value >= world.acknowledged, f"the cache kept {result}, but {world.acknowledged} was acknowledged"


def two_threads(world: World) -> list[object]:
    """Two readers of one process beside a writer: the scenario that finds most mistakes."""
    process = world.process()
    return [Reader(world, process), Reader(world, process), Writer(world)]


def lost_reply(world: World) -> list[object]:
    """A reader that does not hear whether it has its lease, beside a writer."""
    world.loses_leases = True
    return [Reader(world, world.process()), Writer(world), Straggler(world)]


def past_the_cache(world: World) -> list[object]:
    """Two readers of one process that cannot reach the cache, beside a writer."""
    world.cut = True
    process = world.process()
    return [Reader(world, process), Reader(world, process), Writer(world)]


def two_releases(world: World) -> list[object]:
    """A value of one release; readers of both, each in a process of its own, beside a writer."""
    world.run(world.process().get(KEY, VERSION))
    return [Reader(world, world.process(), NEXT_RELEASE), Reader(world, world.process()), Writer(world)]
