"""The contract of an engine, held by each: one worker in this process, or several beside it."""

import gc
import itertools
import os
import signal
import time

import pytest

from dollymix.engine.local import engine
from dollymix.errors import BuildError
from tests.engine import work

COUNTS = (1, 2, 3)


@pytest.fixture(params=COUNTS)
def running(request):
    """An engine of each number of workers."""
    made = engine(request.param)
    yield made
    made.close()


def is_there(process: int) -> bool:
    """True while the process runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_come_in_the_order_of_the_tasks(running):
    assert list(running.map(work.double, range(50))) == [2 * n for n in range(50)]
    assert list(running.map(work.slow_first, range(8))) == list(range(8))


def test_no_task_gives_no_result(running):
    assert list(running.map(work.double, [])) == []


def test_an_engine_works_again_after_its_end(running):
    for _ in range(2):
        assert list(running.map(work.double, [1, 2, 3])) == [2, 4, 6]


def test_tasks_are_taken_as_they_are_needed(running):
    taken = []
    results = running.map(work.double, (taken.append(n) or n for n in itertools.count()))
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) <= 3 + 2 * max(COUNTS) + 1
    results.close()


@pytest.mark.parametrize("size", [0, 1, 1000, 5_000_000])
def test_large_buffers_arrive_whole(running, size):
    tasks = [bytes([n]) * (size + n) for n in range(6)]
    results = [bytes(result) for result in running.map(work.echo, tasks)]
    assert results == tasks


def test_a_buffer_holds_until_the_next_result_is_asked_for(running):
    tasks = [bytes([n]) * 3_000_000 for n in range(8)]
    for number, result in enumerate(running.map(work.echo, tasks)):
        time.sleep(0.02)
        assert bytes(memoryview(result)) == tasks[number]


def test_an_exception_reaches_the_parent_as_what_it_is(running):
    results = running.map(work.fail_at_three, range(9))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(work.OddError) as caught:
        next(results)
    assert (caught.value.number, caught.value.word) == (3, "word")


def test_an_exception_that_cannot_travel_is_told_in_words(running):
    with pytest.raises(Exception, match="number 0"):
        list(running.map(work.fail_without_words, [0]))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("ending", [work.kill_at_three, work.leave_at_three])
def test_a_worker_that_dies_stops_the_build_with_a_word(count, ending):
    several = engine(count)
    started = time.monotonic()
    with pytest.raises(BuildError):
        list(several.map(ending, range(100)))
    assert time.monotonic() - started < 20
    several.close()


def test_a_worker_that_is_killed_from_outside_stops_the_build():
    several = engine(2)
    results = several.map(work.process, range(10_000))
    seen = {next(results)[1] for _ in range(6)}
    os.kill(seen.pop(), signal.SIGKILL)
    with pytest.raises(BuildError):
        list(results)
    assert not any(is_there(process) for process in seen)


def test_closing_the_results_early_stops_the_workers():
    several = engine(2)
    results = several.map(work.process, itertools.count())
    seen = {next(results)[1] for _ in range(8)}
    assert os.getpid() not in seen
    results.close()
    assert not any(is_there(process) for process in seen)


def test_results_that_nobody_wants_any_more_stop_the_workers():
    results = engine(2).map(work.process, itertools.count())
    seen = {next(results)[1] for _ in range(8)}
    del results
    gc.collect()
    assert not any(is_there(process) for process in seen)


def test_what_a_worker_prints_does_not_disturb(capfd):
    several = engine(2)
    assert list(several.map(work.talk, range(4))) == [0, 1, 2, 3]
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("words among the replies") == 4


def test_one_worker_stays_in_this_process():
    assert {process for _, process in engine(1).map(work.process, range(3))} == {os.getpid()}


def test_several_workers_share_the_work():
    several = engine(2)
    assert len({process for _, process in several.map(work.process, range(40))}) == 2


def test_no_descriptor_is_left_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        several = engine(2)
        list(several.map(work.double, range(5)))
        several.close()
    assert len(os.listdir("/proc/self/fd")) <= before
