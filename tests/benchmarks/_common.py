"""What the training benchmarks share: taking turns, the speed of matrix products, and what machine this is."""

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
RESULTS = Path(__file__).resolve().parent / "results"
"""Where benchmarks leave what is worth keeping."""


def default_text() -> str:
    """The novel where this clone's neighbour has it, else the built-in Python reference."""
    return str(ANNA) if ANNA.exists() else "python-reference"


def read_text(source: str) -> str:
    """The text of a file or a built-in corpus, newlines unified."""
    return open_corpus(source).text()


SPELL = 0.5
"""Seconds of a turn."""


def take_turns(steps: Mapping[str, Callable[[], object]], seconds: float, rounds: int = 3) -> dict[str, list[float]]:
    """Seconds of calls of each of ``steps``, in turn for about ``seconds``, so that a busy neighbour slows all alike.

    A turn is a short spell of calls. The first of them is not counted: it finds caches that others filled, and cores on
    which the others' threads still wait for more.
    """
    taken: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    done = 0
    while done < rounds or time.perf_counter() < end:
        for name, step in steps.items():
            step()
            until = time.perf_counter() + SPELL
            while True:
                before = time.perf_counter()
                step()
                after = time.perf_counter()
                taken[name].append(after - before)
                if after > until:
                    break
        done += 1
    return taken


class Apart:
    """A step to be taken in turns, in a process of its own with as many threads: ``make(*arguments)`` there gives the
    step and what is to be known of it (``about``). With ``worker`` the process is made a good place for training, as a
    run's worker is; else it is as Python starts it."""

    def __init__(self, make: Callable[..., tuple[Callable[[], object], Any]], *arguments: Any, worker: bool) -> None:
        spawn, threads = multiprocessing.get_context("spawn"), torch.get_num_threads()
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_take_steps, args=(theirs, make, arguments, threads, worker), daemon=True)
        with mock.patch.dict(os.environ):
            if worker:
                prepare_for_torch()  # what it sets in the environment is read as soon as the new process loads torch
            self._process.start()
        self.about = self._pipe.recv()

    def __call__(self) -> None:
        """Take a step there."""
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
    """``work`` a second of each: by its best call and by its median one."""
    return {
        name: {"best": work / min(seconds), "median": work / statistics.median(seconds)}
        for name, seconds in taken.items()
    }


def matrix_product(dtype: torch.dtype, size: int = 2048) -> tuple[Callable[[], object], float]:
    """A large square product in ``dtype`` on all threads, and its floating point operations."""
    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    out = torch.empty(size, size, dtype=dtype)
    return lambda: torch.mm(left, right, out=out), 2.0 * size**3


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
