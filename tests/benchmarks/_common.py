"""Shared by the training benchmarks: measuring in turns, the speed of matrix products, facts about the machine."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from charlstm.system import prepare_for_torch
from charlstm.text.corpus import open_corpus

ANNA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "anna.txt"


def default_text() -> str:
    """The novel Anna Karenina if it is beside this clone, else the built-in Python reference."""
    return str(ANNA) if ANNA.exists() else "python-reference"


def read_text(source: str) -> str:
    """The text of a file or a built-in corpus, with ``\\n`` as newline."""
    return open_corpus(source).text()


TURN_SECONDS = 0.5
"""Length of a turn."""


def take_turns(steps: Mapping[str, Callable[[], object]], seconds: float, rounds: int = 3) -> dict[str, list[float]]:
    """Call the functions ``steps`` in turns for about ``seconds``; returns the seconds of each call.

    Turns make other programs slow down all of them alike. The first call of a turn is not counted: the others have
    filled the caches, and their threads may still occupy the cores.
    """
    taken: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    done = 0
    while done < rounds or time.perf_counter() < end:
        for name, step in steps.items():
            step()
            until = time.perf_counter() + TURN_SECONDS
            while True:
                before = time.perf_counter()
                step()
                after = time.perf_counter()
                taken[name].append(after - before)
                if after > until:
                    break
        done += 1
    return taken


class SeparateProcess:
    """A function that is called in another process with as many threads.

    ``make(*arguments)`` returns there the function and a description of it (``about``). With ``worker`` the process is
    prepared for training as a run's worker is; otherwise it is as Python starts it.
    """

    def __init__(self, make: Callable[..., tuple[Callable[[], object], Any]], *arguments: Any, worker: bool) -> None:
        spawn, threads = multiprocessing.get_context("spawn"), torch.get_num_threads()
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_take_steps, args=(theirs, make, arguments, threads, worker), daemon=True)
        with mock.patch.dict(os.environ):
            if worker:
                prepare_for_torch()  # sets environment variables, which the new process reads when it loads torch
            self._process.start()
        self.about = self._pipe.recv()

    def __call__(self) -> None:
        """Call the function in the other process."""
        self._pipe.send(None)
        self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def _take_steps(
    pipe: Any, make: Callable[..., tuple[Callable[[], object], Any]], arguments: Any, threads: int, worker: bool
) -> None:
    if worker:
        prepare_for_torch()
    torch.set_num_threads(threads)
    step, about = make(*arguments)
    pipe.send(about)
    while True:
        pipe.recv()
        step()
        pipe.send(None)


def rates(taken: Mapping[str, list[float]], work: float) -> dict[str, dict[str, float]]:
    """``work`` per second for each function, by its fastest call and by its median one."""
    return {
        name: {"best": work / min(seconds), "median": work / statistics.median(seconds)}
        for name, seconds in taken.items()
    }


def matrix_product(dtype: torch.dtype, size: int = 2048) -> tuple[Callable[[], object], float]:
    """A function that multiplies two large matrices in ``dtype`` on all threads, and its floating point operations."""
    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    out = torch.empty(size, size, dtype=dtype)
    return lambda: torch.mm(left, right, out=out), 2.0 * size**3


def machine() -> dict[str, Any]:
    """Facts about the machine of the measurement."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
