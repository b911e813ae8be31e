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
    and almost nothing inside another block of the same Python thread with the same number.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> None:
        blocks = _own.blocks
        blocks.append(self.threads)
        if len(blocks) > 1 and blocks[-2] == self.threads:
            return
        try:
            _request(len(blocks), self.threads)
        except BaseException:  # an interrupt: then __exit__ is not called by the with statement
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        blocks = _own.blocks
        try:
            if len(blocks) == 1 or blocks[-2] != self.threads:
                _request(len(blocks), None)
        finally:
            blocks.pop()


def _request(depth: int, threads: int | None) -> None:
    """Set or remove the request of this Python thread's block at nesting level ``depth``, and apply the last one."""
    with _lock:
        for library, limits in _libraries():
            if not limits.requested:
                limits.before = limits.now = library.num_threads
            if threads is None:
                limits.requested.pop((get_ident(), depth), None)
            else:
                limits.requested[get_ident(), depth] = threads
            wanted = next(reversed(limits.requested.values()), limits.before)
            if wanted != limits.now:
                library.set_num_threads(wanted)
                limits.now = wanted
                # Since 3.8 threadpoolctl lets only the thread that set the number first set it again. The lock here
                # makes that unnecessary.
                if (release := getattr(library, "clear_controlling_thread", None)) is not None:
                    release()


class _Own(threading.local):
    """The requested numbers of the blocks that this Python thread is in, outermost first."""

    def __init__(self) -> None:
        self.blocks: list[int] = []


_own = _Own()


class _Limits:
    """The requests of all blocks, by thread and nesting level, in the order in which they were entered; the number of
    threads before the first of them, and the current one."""

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
