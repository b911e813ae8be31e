"""Compute parts of a job in several threads.

numpy lets go of the interpreter while it computes a product, so that threads are as fast as processes. Each has a
stepper of its own and products of one thread: two threads of one product would wait for each other at every step, which
is several times slower as soon as another program, such as a training, uses the processor too.
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
"""Each has 20 to 60 MB of buffers at 2 × 512."""

T = TypeVar("T")
Check = Callable[[], None]


class _EndedError(Exception):
    """Another part has failed."""


def thread_count() -> int:
    """In how many threads a job is computed."""
    return min(MOST_THREADS, cpu_count())


def compute(stepper: Stepper, parts: Sequence[Callable[[Stepper, Check], T]]) -> list[T]:
    """The results of ``parts``, each called with a stepper and a function that it has to call now and then: it raises
    when another part has failed. The exception of the first that fails is raised once the others have ended."""
    free: SimpleQueue[Stepper] = SimpleQueue()
    free.put(stepper)
    threads = min(thread_count(), len(parts))
    for _ in range(threads - 1):
        free.put(stepper.for_another_thread())
    ended = threading.Event()

    def check() -> None:
        if ended.is_set():
            raise _EndedError

    def run(part: Callable[[Stepper, Check], T]) -> T:
        own = free.get()
        try:
            return part(own, check)
        except BaseException:
            ended.set()
            raise
        finally:
            free.put(own)

    with blas_threads(1):
        if threads <= 1:
            return [run(part) for part in parts]
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(run, part) for part in parts]
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
