"""The connections of the asynchronous client: a few, shared by the tasks of an event loop."""

import asyncio
import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from math import inf
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import redis
from redis.asyncio.connection import Connection

from cache_aside.breaker import Breaker, Circuits
from cache_aside.connection import Attempts, Conversation, Identity, Server, Trust, doubtful, pack
from cache_aside.dns import RESOLVER
from cache_aside.errors import CacheBusyError, CacheUnavailableError
from cache_aside.link import PROBE_STEPS, accepted, handshake, meaning, rest
from cache_aside.observe import SILENT, Observer
from cache_aside.steps import Command, Deliver, RoundTrip

_CHUNK_BYTES = 65536
_MOST_TOGETHER = 100


class AsyncTransport(Protocol):
    """What the asynchronous client needs of its connections; `AsyncLink` has it, and so have the fakes of the tests."""

    async def execute(self, trip: RoundTrip) -> list[Any]:
        """One round trip; CacheUnavailableError when it fails."""
        ...

    async def deliver(self, delivery: Deliver) -> tuple[list[Any], Identity]:
        """One attempt to reach the primary past the breaker."""
        ...

    async def close(self) -> None:
        """Close every connection."""


class _Greeting(Connection):
    """redis-py's connection, which authenticates; `_connect` is overridden as in `link`."""

    def __init__(self, server: Server, step_seconds: float) -> None:
        super().__init__(**handshake(server, step_seconds, type(self)))
        self._server, self._step = server, step_seconds

    async def _connect(self) -> None:
        server, failure = self._server, OSError("the name has no address")
        async with asyncio.timeout(self._step):
            addresses = await asyncio.shield(asyncio.wrap_future(RESOLVER.lookup(server.host, server.port).future))
        for family, kind, protocol, _, address in addresses:
            opened = socket.socket(family, kind, protocol)
            try:
                opened.setblocking(False)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                async with asyncio.timeout(self._step):
                    await asyncio.get_running_loop().sock_connect(opened, address)
            except OSError as error:
                opened.close()
                failure = error
                continue
            except BaseException:
                opened.close()
                raise
            # From here on the socket is the transport's to close: closing it here would free a number that it uses.
            name = server.host if server.tls is not None else None
            async with asyncio.timeout(self._step):
                self._reader, self._writer = await asyncio.open_connection(
                    sock=opened, ssl=server.tls, server_hostname=name
                )
            return
        raise failure


class AsyncChannel:
    """An open connection; see `link.Channel`."""

    def __init__(self, server: Server, greeting: _Greeting) -> None:
        self._server, self._greeting = server, greeting
        self._reader: Any = greeting._reader
        writer: Any = greeting._writer
        self._writer = writer
        self.conversation = Conversation(server)
        self._unread = select.poll()
        self._unread.register(writer.get_extra_info("socket").fileno(), select.POLLIN)

    @property
    def usable(self) -> bool:
        """Whether another question may be asked: nothing is there that nobody asked for, read already or not."""
        read_already = self._reader._buffer or self._reader.at_eof()
        return self.conversation.usable and not read_already and not self._unread.poll(0)

    @classmethod
    async def open(cls, server: Server, timeout_seconds: float, step_seconds: float = inf) -> "AsyncChannel":
        """Connect and authenticate; see `link.Channel`.

        Raises:
            redis.RedisError, OSError: it cannot be opened in time.
        """
        greeting: Any = _Greeting(server, min(step_seconds, timeout_seconds))
        try:
            async with asyncio.timeout(timeout_seconds):
                await greeting.connect()
            return cls(server, greeting)
        except BaseException:
            _drop(greeting)
            raise

    async def trip(self, commands: Sequence[Command], timeout_seconds: float, *, identify: bool = False) -> list[Any]:
        """Send everything at once and read every reply.

        Raises:
            redis.RedisError, OSError: what went wrong; the channel is of no more use.
        """
        conversation, limit = self.conversation, timeout_seconds if timeout_seconds < inf else None
        asked = False
        try:
            async with asyncio.timeout(limit):
                if conversation.must_log_in and (credentials := self._server.credentials) is not None:
                    now = credentials.clock()
                    login = ("AUTH", *await credentials.get_credentials_async())
                    accepted(await self._exchange(conversation.ask((login,))))
                    conversation.logged_in(now)
                asked, question = True, conversation.ask(commands, identify=identify)
                return await self._exchange(question)
        except TimeoutError:
            if not asked or not self._has_arrived:
                raise
        async with asyncio.timeout(limit):  # a busy loop has looked at the clock before it looked at the replies
            return await self._hear()

    async def _exchange(self, question: bytes) -> list[Any]:
        self._writer.write(question)
        return await self._hear()

    async def _hear(self) -> list[Any]:
        while (replies := self.conversation.hear(await self._reader.read(_CHUNK_BYTES))) is None:
            pass
        return replies

    @property
    def _has_arrived(self) -> bool:
        return bool(self._reader._buffer or self._unread.poll(0))

    async def drop_replies(self, timeout_seconds: float) -> None:
        """Read what is due to whoever has left; it raises what `trip` raises."""
        async with asyncio.timeout(timeout_seconds):
            while self.conversation.waits:
                self.conversation.hear(await self._reader.read(_CHUNK_BYTES))

    def close(self, undo: Sequence[Command] = ()) -> None:
        """Close it; `undo` goes out before, behind whatever was sent."""
        if undo:
            with contextlib.suppress(RuntimeError, OSError):
                self._writer.write(pack(undo))
        _drop(self._greeting)

    def abandon(self) -> None:
        """Tell the server that it is over. Its loop has ended; whoever collects the transport frees the descriptor."""
        with contextlib.suppress(OSError):
            self._writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self.close()


class _Delivery:
    """A delivery that waits for a connection, or for its replies."""

    def __init__(self, step: Deliver) -> None:
        self.commands, self.fresh = step.commands, step.fresh
        self.alone = any(command[0] == "WAIT" for command in step.commands)
        """Nobody else's commands should wait behind it."""
        self.deadline = time.monotonic() + step.timeout_seconds
        self.sent = False
        self.outcome: asyncio.Future[tuple[list[Any], Identity]] = asyncio.get_running_loop().create_future()


class _Question:
    """A reader's round trip that waits for a connection, or for its replies: for as long as a reply may take, each."""

    def __init__(self, trip: RoundTrip, breaker: Breaker, patience_seconds: float) -> None:
        self.trip, self.breaker = trip, breaker
        self._patience, self._began = patience_seconds, time.monotonic()
        self.limit = asyncio.timeout(patience_seconds)
        self.outcome: asyncio.Future[tuple[list[Any], Identity | None]] = asyncio.get_running_loop().create_future()

    @property
    def left(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.outcome.done()

    def start(self) -> None:
        """It is sent: from now on the time is the cache's."""
        self.trip.waited_seconds = time.monotonic() - self._began
        if not self.left:
            self.limit.reschedule(asyncio.get_running_loop().time() + min(self.trip.timeout_seconds, self._patience))


class _Pool:
    """The connections of one event loop."""

    def __init__(self, connections: int) -> None:
        self.idle: list[AsyncChannel] = []
        self.free_places = self.places = connections
        self.questions: deque[_Question] = deque()
        self.couriers: set[asyncio.Task[Any]] = set()
        self.deliveries: deque[_Delivery] = deque()
        self.free_couriers = max(1, connections // 4)
        self.tasks: set[asyncio.Task[Any]] = set()


class AsyncLink:
    """Executes round trips for tasks: `Link` without threads. Each event loop has connections of its own.

    Args:
        connections: the most that readers use at once; deletions, which must not wait behind readers that hang, have
            a quarter as many besides.
    """

    def __init__(
        self,
        server: Server,
        *,
        breaker: Breaker,
        trust: Trust,
        connections: int,
        background: bool = False,
        observer: Observer = SILENT,
    ) -> None:
        self._server, self._trust, self._circuits = server, trust, Circuits(breaker, observer)
        self._background = background
        self._most_idle = connections
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()

    @property
    def _pool(self) -> _Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            self._leave_closed_loops()
            pool = self._pools[loop] = _Pool(self._most_idle)
        return pool

    def _leave_closed_loops(self) -> None:
        """Close the connections of loops that have ended, as after each `asyncio.run`: a connection holds its loop."""
        for ended in [loop for loop in self._pools if loop.is_closed()]:
            for channel in self._pools.pop(ended).idle:
                channel.abandon()

    async def execute(self, trip: RoundTrip) -> list[Any]:
        """One round trip.

        Raises:
            CacheUnavailableError: the circuit is open, the round trip failed, or the server is not trusted.
        """
        pool = self._pool
        if pool.free_places and not trip.owed:
            pool.free_places -= 1
            try:
                replies, identity = await self._answer(trip)
            finally:
                self._leave(pool)
        else:
            replies, identity = await self._ask_together(pool, trip)
        if trip.fail_closed and not await self._trusted(identity):
            if trip.undo and not trip.owed:  # nobody looks at these replies, so whatever was won is given back
                self._enqueue(pool, RoundTrip(trip.undo, undo=trip.undo, owed=True)).outcome.cancel()
            raise CacheUnavailableError("this server may hold values whose deletion a failover lost")
        return replies

    async def _answer(self, trip: RoundTrip) -> tuple[list[Any], Identity | None]:
        breaker = self._circuits.of(trip.commands)
        if breaker.is_open and not await self._recovered(breaker):
            raise CacheUnavailableError("the circuit is open")
        return await self._attempt(trip, breaker)

    async def _ask_together(self, pool: _Pool, trip: RoundTrip) -> tuple[list[Any], Identity | None]:
        """In one round trip with others that wait for a connection. Who leaves is undone, and what is owed is sent."""
        mine = self._enqueue(pool, trip)
        try:
            async with mine.limit:
                return await mine.outcome
        except TimeoutError:
            raise CacheBusyError("no connection became free in time, or it answered too late") from None

    def _enqueue(self, pool: _Pool, trip: RoundTrip) -> _Question:
        mine = _Question(trip, self._circuits.of(trip.commands), self._server.read_timeout_seconds)
        pool.questions.append(mine)
        if pool.free_places:
            pool.free_places -= 1
            self._send_courier(pool)
        return mine

    def _leave(self, pool: _Pool) -> None:
        """Pass the place on to those who wait."""
        if pool.questions:
            self._send_courier(pool)
        else:
            pool.free_places += 1

    def _send_courier(self, pool: _Pool) -> None:
        _start(self._ask_all(pool), pool.couriers)

    async def _ask_all(self, pool: _Pool) -> None:
        try:
            while batch := _next_questions(pool):
                await self._ask(batch)
        finally:
            pool.free_places += 1

    async def _ask(self, batch: Sequence[_Question]) -> None:
        commands = [command for question in batch for command in question.trip.commands]
        undoing = [command for question in batch for command in question.trip.undo]
        try:
            replies, identity = await self._answer(RoundTrip(commands, undo=undoing))
        except BaseException as error:
            for question in batch:
                if not question.left:
                    _fail(question.outcome, error, str(error))
            if isinstance(error, CacheUnavailableError):
                return
            raise
        undoing = []
        for question in batch:
            count = len(question.trip.commands)
            if not question.left:
                question.outcome.set_result((replies[:count], identity))
            elif not question.trip.owed:
                undoing += question.trip.undo
            del replies[:count]
        if undoing:
            with contextlib.suppress(CacheUnavailableError):
                await self._answer(RoundTrip(undoing, undo=undoing))

    async def deliver(self, delivery: Deliver) -> tuple[list[Any], Identity]:
        """One attempt to reach the primary, whatever the breaker thinks, in one round trip with what waits beside it.

        Raises:
            CacheBusyError: no connection became free in time.
            CacheUnavailableError: it failed; the connection is closed.
        """
        pool, mine = self._pool, _Delivery(delivery)
        pool.deliveries.append(mine)
        if pool.free_couriers:
            pool.free_couriers -= 1
            _start(self._carry(pool), pool.tasks)
        try:
            async with asyncio.timeout(delivery.timeout_seconds):
                return await mine.outcome
        except TimeoutError:
            if mine.sent:
                raise CacheUnavailableError("the cache did not answer in time") from None
            raise CacheBusyError("no connection became free in time") from None

    async def _carry(self, pool: _Pool) -> None:
        """Deliver what waits, until nothing does. Who waits may leave: what is on its way arrives all the same."""
        try:
            while batch := _next_batch(pool.deliveries):
                await self._deliver_together(batch)
        finally:
            pool.free_couriers += 1

    async def _deliver_together(self, batch: Sequence[_Delivery]) -> None:
        token, channel = self._server.token, None
        commands = [command for delivery in batch for command in delivery.commands]
        try:
            async with asyncio.timeout(max(delivery.deadline for delivery in batch) - time.monotonic()):
                channel = None if any(delivery.fresh for delivery in batch) else self._take()
                if channel is None:
                    channel = await AsyncChannel.open(self._server, self._server.connect_timeout_seconds)
                replies = await channel.trip(commands, inf, identify=True)
        except (redis.RedisError, OSError) as error:
            _close(channel)
            self._server.refused(error, token)
            for delivery in batch:
                if not delivery.outcome.done():
                    _fail(delivery.outcome, error, str(error) or "the cache did not answer in time")
            return
        except BaseException:
            _close(channel)
            raise
        self._give_back(channel)
        identity = channel.conversation.identity
        assert identity is not None, "deliveries ask"  # noqa: S101
        for delivery in batch:
            if not delivery.outcome.done():
                delivery.outcome.set_result((replies[: len(delivery.commands)], identity))
            del replies[: len(delivery.commands)]

    async def close(self) -> None:
        """Close every connection that is not in use."""
        pool = self._pool
        while tasks := pool.couriers | pool.tasks:  # a courier leaves a connection to be drained
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # their callbacks
        while self._pool.idle:
            self._pool.idle.pop().close()

    def _take(self) -> AsyncChannel | None:
        """A connection that is nobody's until it is given back."""
        while self._pool.idle:
            channel = self._pool.idle.pop()
            if channel.usable:
                return channel
            channel.close()
        return None

    def _give_back(self, channel: AsyncChannel) -> None:
        if len(self._pool.idle) < self._most_idle:
            self._pool.idle.append(channel)
        else:
            channel.close()

    async def _attempt(self, trip: RoundTrip, breaker: Breaker) -> tuple[list[Any], Identity | None]:
        server, attempts = self._server, None
        deadline = time.monotonic() + trip.timeout_seconds
        while True:
            token, channel = server.token, self._take()
            reused = channel is not None
            try:
                if channel is None:
                    deadline = min(deadline, time.monotonic() + server.first_seconds)
                    channel = await self._open(min(server.connect_timeout_seconds, rest(deadline)))
                replies = await channel.trip(trip.commands, min(server.read_timeout_seconds, rest(deadline)))
            except (redis.RedisError, OSError) as error:
                _close(channel, trip.undo)
                failure = meaning(error)
                attempts = attempts or Attempts(server, trip.commands)
                if not attempts.another(failure, token=token, reused=reused):
                    await self._failed(breaker, failure, doubtful=doubtful(failure, connected=channel is not None))
                    raise CacheUnavailableError(str(failure)) from error
            except asyncio.CancelledError:
                if channel is not None:
                    self._drain(channel, trip.undo)
                raise
            except BaseException:
                _close(channel, trip.undo)
                raise
            else:
                self._give_back(channel)
                return replies, channel.conversation.identity

    async def _open(self, timeout_seconds: float) -> AsyncChannel:
        """A new connection. A reader that is cancelled meanwhile leaves it to the next one."""
        opening = asyncio.create_task(AsyncChannel.open(self._server, timeout_seconds))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if len(self._pool.tasks) >= self._most_idle:
                opening.cancel()
            self._pool.tasks.add(opening)
            opening.add_done_callback(self._opened)
            raise

    def _opened(self, opening: asyncio.Task[AsyncChannel]) -> None:
        self._pool.tasks.discard(opening)
        if not opening.cancelled() and opening.exception() is None:
            self._give_back(opening.result())

    def _drain(self, channel: AsyncChannel, undo: Sequence[Command] = ()) -> None:
        """A reader was cancelled: its replies are read and dropped, and then the connection is anybody's again."""
        if len(self._pool.tasks) >= self._most_idle:
            channel.close(undo)
            return
        _start(self._drained(channel, undo), self._pool.tasks)

    async def _drained(self, channel: AsyncChannel, undo: Sequence[Command]) -> None:
        try:
            await channel.drop_replies(self._server.read_timeout_seconds)
            if undo:
                await channel.trip(undo, self._server.read_timeout_seconds)
        except (redis.RedisError, OSError):
            channel.close(undo)
        except BaseException:
            channel.close(undo)
            raise
        else:
            self._give_back(channel)

    async def _failed(self, breaker: Breaker, error: Exception, *, doubtful: bool) -> None:
        if self._circuits.failed(breaker, error, doubtful=doubtful):
            await self._probe_somewhere(breaker, error)

    async def _recovered(self, breaker: Breaker) -> bool:
        """Whether the circuit has closed by the probe that was due."""
        return breaker.take_probe() and await self._probe_somewhere(breaker)

    async def _probe_somewhere(self, breaker: Breaker, suspicion: Exception | None = None) -> bool:
        """Probe in a task where that is allowed, or else here. False as long as nobody knows."""
        if not self._background:
            return await self.probe(breaker, suspicion)
        _start(self.probe(breaker, suspicion), self._pool.tasks)
        return False

    async def probe(self, breaker: Breaker, suspicion: Exception | None = None) -> bool:
        """Whether a new connection reaches the primary: if so the circuit is closed, and opened if not."""
        return self._circuits.probed(breaker, await self._out_of_reach(breaker), suspicion)

    async def _out_of_reach(self, breaker: Breaker) -> Exception | None:
        """What keeps a new connection from doing what this circuit is for; None: it does it."""
        seconds = breaker.probe_timeout_seconds
        attempts, channel = Attempts(self._server, ()), None
        while True:
            token = self._server.token
            try:
                channel = await AsyncChannel.open(self._server, PROBE_STEPS * seconds, seconds)
                await channel.trip(self._circuits.probe(breaker), seconds)
            except Exception as error:  # noqa: BLE001 - whatever keeps it from answering
                if not attempts.another(error, token=token, reused=False):
                    return error
            else:
                return None
            finally:
                _close(channel)

    async def _trusted(self, identity: Identity | None) -> bool:
        if identity is None:
            return False
        remembered = self._trust.remembered(identity.replication_id)
        return await asyncio.to_thread(self._trust.ask, identity.replication_id) if remembered is None else remembered


def _next_questions(pool: _Pool) -> list[_Question]:
    """What goes in the next round trip: one connection's share of the reads, or of the writes, that wait.

    Without those who have left, unless they owe it.
    """
    batch: list[_Question] = []
    others: list[_Question] = []
    most = min(1 + len(pool.questions) // pool.places, _MOST_TOGETHER)
    while pool.questions and len(batch) < most:
        question = pool.questions.popleft()
        if batch and question.breaker is not batch[0].breaker:
            others.append(question)
        elif question.trip.owed or not question.left:
            batch.append(question)
            question.start()
    pool.questions.extendleft(reversed(others))
    return batch


def _next_batch(waiting: deque[_Delivery]) -> list[_Delivery]:
    """What goes in the next round trip: those who wait for the longest, without those who have left."""
    batch: list[_Delivery] = []
    while waiting and len(batch) < _MOST_TOGETHER and not (batch and waiting[0].alone):
        first = waiting.popleft()
        if not first.outcome.done():
            batch.append(first)
            first.sent = True
            if first.alone:
                break
    return batch


def _start(steps: Coroutine[Any, Any, Any], running: set[asyncio.Task[Any]]) -> None:
    """Run this in a task that stands in `running` until it has ended."""
    task = asyncio.create_task(steps)
    running.add(task)
    task.add_done_callback(running.discard)


def _fail(outcome: asyncio.Future[Any], error: BaseException, text: str) -> None:
    failure = CacheUnavailableError(text)
    failure.__cause__ = error
    outcome.set_exception(failure)


def _close(channel: AsyncChannel | None, undo: Sequence[Command] = ()) -> None:
    if channel is not None:
        channel.close(undo)


def _drop(greeting: Connection) -> None:
    """Close without waiting, on whatever loop it was opened."""
    writer, greeting._reader, greeting._writer = greeting._writer, None, None
    if writer is not None:
        with contextlib.suppress(RuntimeError):  # its loop has ended
            writer.close()
