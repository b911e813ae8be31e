"""How many threads numpy's matrix products use: one for a single stream, more for many streams at once.

Not for torch, and not by environment variables, which a training process started from here would inherit.
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from functools import cache
from threading import get_ident
from typing import Any

import numpy as np  # noqa: F401  (the BLAS that is looked for below comes with it)
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_lock = threading.Lock()


class blas_threads(ContextDecorator):
    """Let matrix products use ``threads`` threads for the length of a ``with`` block, then as many as before.

    A matrix-vector product of a few megabytes loses more by waking a second thread than it gains. With most libraries
    the number is the whole process's: where several threads are in such blocks the last to enter decides, and the last
    to leave brings back what was before the first. A block takes some 6 µs, and next to nothing within another one of
    its thread that asks for as many.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> None:
        blocks = _own.blocks
        blocks.append(self.threads)
        if len(blocks) > 1 and blocks[-2] == self.threads:
            return
        try:
            _ask(len(blocks), self.threads)
        except BaseException:  # an interrupt: there will be no exit
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        blocks = _own.blocks
        try:
            if len(blocks) == 1 or blocks[-2] != self.threads:
                _ask(len(blocks), None)
        finally:
            blocks.pop()


def _ask(depth: int, threads: int | None) -> None:
    """In the block of this thread that is ``depth`` deep, ask for ``threads``, or for nothing any more."""
    with _lock:
        for library, limits in _libraries():
            if not limits.asked:
                limits.before = limits.now = library.num_threads
            if threads is None:
                limits.asked.pop((get_ident(), depth), None)
            else:
                limits.asked[get_ident(), depth] = threads
            wanted = next(reversed(limits.asked.values()), limits.before)
            if wanted != limits.now:
                library.set_num_threads(wanted)
                limits.now = wanted
                # From 3.8 on, threadpoolctl lets only the thread that set it first set it again; here a lock keeps
                # the order.
                if (release := getattr(library, "clear_controlling_thread", None)) is not None:
                    release()


class _Own(threading.local):
    """The numbers of the blocks that this thread is in."""

    def __init__(self) -> None:
        self.blocks: list[int] = []


_own = _Own()


class _Limits:
    """What blocks ask for, by thread and depth, in the order in which they were entered; how many threads there were
    before the first of them, and are now."""

    def __init__(self) -> None:
        self.asked: dict[tuple[int, int], int] = {}
        self.before = self.now = 0


class _LimitsOfEachThread(_Limits, threading.local):
    """For a library whose number of threads is that of the thread that asks: OpenBLAS over OpenMP."""


@cache
def _libraries() -> tuple[tuple[Any, _Limits], ...]:
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    own = [getattr(library, "threading_layer", None) == "openmp" for library in libraries]
    return tuple(
        (library, _LimitsOfEachThread() if each else _Limits()) for library, each in zip(libraries, own, strict=True)
    )
