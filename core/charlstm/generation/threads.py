"""How many threads numpy's matrix products use: one for a single stream, more for many streams at once.

Not for torch, and not by environment variables, which a training process started from here would inherit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np  # noqa: F401  (the BLAS that is looked for below comes with it)
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@cache
def _libraries() -> tuple[Any, ...]:
    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


def limit_blas(threads: int) -> None:
    """Let matrix products of this process use ``threads`` threads from now on (cheap, and nothing if so already).

    A matrix-vector product of a few megabytes loses more by waking a second thread than it gains.
    """
    for library in _libraries():
        if library.num_threads != threads:
            library.set_num_threads(threads)


@contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """:func:`limit_blas` for the length of a block, then what was before."""
    before = [(library, library.num_threads) for library in _libraries()]
    limit_blas(threads)
    try:
        yield
    finally:
        for library, count in before:
            library.set_num_threads(count)
