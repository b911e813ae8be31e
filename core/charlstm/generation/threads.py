"""Limit the number of threads of numpy's matrix products (BLAS).

Environment variables would do the same, but a training process that is started from here would inherit them.
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from functools import cache
from threading import get_ident
from typing import Any

import numpy as np  # noqa: F401  (loads the BLAS library that is looked for below)
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_lock = threading.Lock()


class blas_threads(ContextDecorator):
    """Use ``threads`` threads for matrix products in a ``with`` block or a decorated function, then as many as before.

    A matrix-vector product of a few megabytes loses more time by waking a second thread than it gains. With most BLAS
    libraries the number holds for the whole process: if blocks of several Python threads overlap, the block that was
    entered last decides, and the end of the last one restores the number before the first. A block costs some 6 µs,
    and a third of that inside another block with the same number.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> None:
        _own.depth += 1
        try:
            _request(self.threads)
        except BaseException:  # an interrupt: then __exit__ is not called by the with statement
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            _request(None)
        finally:
            _own.depth -= 1


class _Own(threading.local):
    """In how many blocks this Python thread is."""

    depth = 0


_own = _Own()


def _request(threads: int | None) -> None:
    """Set what the innermost block of this Python thread asks for, or with None remove it, and set the number of
    threads that the last block asks for, or without a block that before. What an interrupt in a removal left is removed
    by the next block at the same depth."""
    block = get_ident(), _own.depth
    with _lock:
        for library, limits in _libraries():
            if not limits.requested:
                limits.before = limits.now = library.num_threads
            if threads is None:
                limits.requested.pop(block, None)
            else:
                limits.requested[block] = threads
            wanted = next(reversed(limits.requested.values()), limits.before)
            if wanted != limits.now:
                limits.now = wanted  # first, so that the end of a block that is interrupted here sets it back
                library.set_num_threads(wanted)
                # Since 3.8 threadpoolctl lets only the thread that set the number first set it again. The lock here
                # makes that unnecessary.
                if (release := getattr(library, "clear_controlling_thread", None)) is not None:
                    release()


class _Limits:
    """What the blocks that were entered and not left ask for, by Python thread and depth, in the order in which they
    were entered; the number of threads before the first of them, and the current one."""

    def __init__(self) -> None:
        self.requested: dict[tuple[int, int], int] = {}
        self.before = self.now = 0


class _LimitsPerThread(_Limits, threading.local):
    """For libraries with a number of threads for each Python thread: OpenBLAS with OpenMP."""


@cache
def _libraries() -> tuple[tuple[Any, _Limits], ...]:
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return tuple(
        (library, _LimitsPerThread() if getattr(library, "threading_layer", None) == "openmp" else _Limits())
        for library in libraries
    )
