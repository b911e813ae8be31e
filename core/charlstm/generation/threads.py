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
        with _lock:
            for library, limits in _libraries():
                if not limits.blocks:
                    limits.before = limits.now = library.num_threads
                limits.blocks.append((get_ident(), self.threads))
                _apply(library, limits)

    def __exit__(self, *_: object) -> None:
        with _lock:
            for library, limits in _libraries():
                last = max(place for place, (thread, _) in enumerate(limits.blocks) if thread == get_ident())
                del limits.blocks[last]
                _apply(library, limits)


def _apply(library: Any, limits: _Limits) -> None:
    """Set the number of threads that the last block asks for, or without a block that before."""
    wanted = limits.blocks[-1][1] if limits.blocks else limits.before
    if wanted != limits.now:
        library.set_num_threads(wanted)
        limits.now = wanted
        # Since 3.8 threadpoolctl lets only the thread that set the number first set it again. The lock here makes that
        # unnecessary.
        if (release := getattr(library, "clear_controlling_thread", None)) is not None:
            release()


class _Limits:
    """The blocks that were entered and not left, each with its Python thread and its number, in their order; the number
    of threads before the first of them, and the current one."""

    def __init__(self) -> None:
        self.blocks: list[tuple[int, int]] = []
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
