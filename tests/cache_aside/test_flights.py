"""What readers of one process share of each other's loads, step by step."""

from cache_aside.results import Result, Served
from faults.model import Reader, World, Writer

TO_THE_LEASE, TO_THE_LOAD = 3, 5  # steps: begin, GET, its reply; then the lease, its reply


def finish(actor: Reader | Writer) -> None:
    """All the steps that are left."""
    while not actor.done:
        assert actor.ready
        actor.step()


def let(actor: Reader, steps: int) -> None:
    """Take so many."""
    for _ in range(steps):
        actor.step()


def test_who_joined_before_a_load_began_shares_it_though_a_write_overtook_its_fill() -> None:
    world = World()
    process = world.process()
    leader, joiner = Reader(world, process), Reader(world, process)
    let(leader, TO_THE_LEASE)
    let(joiner, TO_THE_LEASE)
    assert joiner.waits
    let(leader, TO_THE_LOAD - TO_THE_LEASE + 1)
    finish(Writer(world))
    finish(leader)
    finish(joiner)
    assert (leader.result, joiner.result) == (Result(0, Served.MISS), Result(0, Served.JOINED))
    assert world.loads == 1


def test_however_many_loads_a_reader_joins_that_writes_overtake_it_does_not_go_past_a_healthy_cache() -> None:
    world = World()
    process = world.process()
    joiner = Reader(world, process)
    let(joiner, 2)
    for overtaken in [True] * 20 + [False]:
        leader = Reader(world, process)
        let(leader, TO_THE_LOAD)
        while not joiner.waits:
            joiner.step()
        leader.step()
        if overtaken:
            finish(Writer(world))
        finish(leader)
    finish(joiner)
    assert joiner.result == Result(20, Served.JOINED)
