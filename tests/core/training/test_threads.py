"""The search for the fastest number of threads, on a simulated machine."""

from collections.abc import Callable

import pytest

from charlstm.training.threads import LAST_INTERVAL, ThreadSearch, free_threads, thread_counts

Times = Callable[[int], tuple[float, float]]
"""Seconds and processor seconds of a step with so many threads."""


def machine(speeds: dict[int, float], share: float = 0.95) -> Times:
    """A machine that takes so many steps a second with each number of threads."""
    return lambda threads: (1 / speeds[threads], share * threads / speeds[threads])


def train(search: ThreadSearch, times: Times, seconds: float) -> list[int]:
    """Take steps for ``seconds``; returns the number of threads of each."""
    used, passed = [], 0.0
    while passed < seconds:
        used.append(search.count)
        step, processor = times(search.count)
        search.add(step, processor)
        passed += step
    return used


QUIET = machine({1: 26.0, 2: 39.0})
BESIDE_ONE = machine({1: 24.5, 2: 13.7}, share=0.5)


@pytest.mark.parametrize(
    ("most", "counts"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (4, (1, 2, 3, 4)), (16, (1, 2, 4, 8, 12, 15, 16))]
)
def test_counts_to_choose_from_leave_one_core_free_too(most: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(most) == counts


def test_search_tries_nothing_on_a_quiet_machine() -> None:
    assert set(train(ThreadSearch((1, 2), 2), QUIET, 600)) == {2}


@pytest.mark.parametrize(("speed", "chosen"), [(21.0, 1), (22.0, 2)])
def test_search_takes_another_number_only_where_that_is_clearly_faster(speed: float, chosen: int) -> None:
    search = ThreadSearch((1, 2), 1)
    train(search, machine({1: 20.0, 2: speed}), 60)
    assert search.chosen == chosen


def test_search_follows_a_process_that_comes_and_goes() -> None:
    search = ThreadSearch((1, 2), 2)
    train(search, QUIET, 30)
    train(search, BESIDE_ONE, 5)
    assert search.chosen == 1
    train(search, QUIET, 6)
    assert search.chosen == 2


def test_search_that_finds_nothing_better_tries_more_and_more_rarely() -> None:
    search = ThreadSearch((1, 2), 2)
    train(search, BESIDE_ONE, 200)
    used = train(search, BESIDE_ONE, 10 * LAST_INTERVAL)
    assert search.chosen == 1
    assert used.count(2) / len(used) < 0.01


def test_search_on_many_cores_leaves_one_to_a_busy_process() -> None:
    counts = thread_counts(16)
    alone = {threads: 10.0 * threads**0.8 for threads in counts}
    crowded = machine({**alone, 16: alone[16] / 2}, share=0.6)
    search = ThreadSearch(counts, 16)
    train(search, crowded, 60)
    assert search.chosen == 15


def test_search_goes_on_down_while_that_is_faster() -> None:
    search = ThreadSearch((1, 2, 4, 6, 7, 8), 8)
    train(search, machine({8: 1, 7: 1.5, 6: 2, 4: 4, 2: 8, 1: 5}, share=0.3), 60)
    assert search.chosen == 2


def test_search_gives_up_a_hopeless_number_after_few_steps() -> None:
    search = ThreadSearch((1, 2), 1)
    used = train(search, machine({1: 20.0, 2: 1.0}, share=0.5), 30)
    assert 0 < used.count(2) <= 9  # three trials of three steps


@pytest.mark.parametrize(
    ("cores", "share", "threads"), [(2, 0.95, 2), (2, 0.67, 1), (2, 0.1, 1), (8, 0.67, 4), (8, 0.8, 6), (1, 0.5, 1)]
)
def test_run_begins_with_as_many_threads_as_cores_were_free(cores: int, share: float, threads: int) -> None:
    assert free_threads(thread_counts(cores), share) == threads
