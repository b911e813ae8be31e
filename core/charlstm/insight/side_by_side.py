"""Compute parts of a job in several threads.

numpy lets go of the interpreter while it computes a product, so that threads are as fast as processes. Each has a
stepper of its own and products of one thread. Two threads of one product wait for each other at every step, which made
a trace seven times slower as soon as another program, such as a training, used the processor too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads
from charlstm.system import cpu_count

MOST_THREADS = 4
"""Each has buffers of its own: 60 MB for a context at 2 × 512."""

T = TypeVar("T")
Report = Callable[[int], None]


def thread_count() -> int:
    """In how many threads a job is computed."""
    return min(MOST_THREADS, cpu_count())


def compute(
    stepper: Stepper,
    parts: Sequence[Callable[[Stepper, Report], T]],
    progress: Callable[[int, int], None] | None = None,
    total: int = 0,
) -> list[T]:
    """The results of ``parts``. The exception of the first that fails is raised once the others have ended.

    Args:
        parts: each is called with a stepper and a function that it calls now and then with how much it has done; that
            raises the exception of another part that has failed.
        progress: called with ``(done, total)``, how much all parts have done; an exception ends the work.
    """
    free: SimpleQueue[Stepper] = SimpleQueue()
    free.put(stepper)
    threads = min(thread_count(), len(parts))
    for _ in range(threads - 1):
        free.put(stepper.for_another_thread())
    failures: list[BaseException] = []
    done, telling = [0] * len(parts), threading.Lock()

    def run(number: int) -> T:
        def report(done_here: int) -> None:
            if failures:
                raise failures[0]
            with telling:  # or a thread that was slower tells less than another one has told
                done[number] = done_here
                if progress is not None:
                    progress(sum(done), total)

        own = free.get()
        try:
            return parts[number](own, report)
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            free.put(own)

    with blas_threads(1):
        if threads <= 1:
            return list(map(run, range(len(parts))))
        with ThreadPoolExecutor(threads) as pool:
            try:
                return list(pool.map(run, range(len(parts))))
            except BaseException as error:  # an interrupt
                failures.append(error)
                raise
