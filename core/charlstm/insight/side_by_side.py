"""Compute parts of a job in several threads.

numpy lets go of the interpreter while it computes a product, so that threads are as fast as processes. Each has a
stepper of its own and products of one thread. Two threads of one product wait for each other at every step, which made
a trace seven times slower as soon as another program, such as a training, used the processor too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import TypeVar

from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads
from charlstm.system import cpu_count

MOST_THREADS = 4
"""Each has buffers of its own: 60 MB for a context at 2 × 512."""

T = TypeVar("T")
Report = Callable[[int], None]


class _EndedError(Exception):
    """Another part has failed."""


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
            raises when another part has failed.
        progress: called with ``(done, total)``, how much all parts have done; an exception ends the work.
    """
    free: SimpleQueue[Stepper] = SimpleQueue()
    free.put(stepper)
    threads = min(thread_count(), len(parts))
    for _ in range(threads - 1):
        free.put(stepper.for_another_thread())
    ended = threading.Event()
    done, telling = [0] * len(parts), threading.Lock()

    def run(number: int) -> T:
        def report(done_here: int) -> None:
            if ended.is_set():
                raise _EndedError
            with telling:  # or a thread that was slower tells less than another one has told
                done[number] = done_here
                if progress is not None:
                    progress(sum(done), total)

        own = free.get()
        try:
            return parts[number](own, report)
        except BaseException:
            ended.set()
            raise
        finally:
            free.put(own)

    with blas_threads(1):
        if threads <= 1:
            return list(map(run, range(len(parts))))
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(run, number) for number in range(len(parts))]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            except BaseException:  # an interrupt
                ended.set()
                raise
            finally:
                if ended.is_set():
                    for future in futures:
                        future.cancel()
    failures = [future.exception() for future in futures if not future.cancelled()]
    for failure in failures:
        if failure is not None and not isinstance(failure, _EndedError):
            raise failure
    return [future.result() for future in futures]
