"""What the training benchmarks share: taking turns, the speed of matrix products, and what machine this is."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

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


def take_turns(steps: Mapping[str, Callable[[], object]], seconds: float, rounds: int = 4) -> dict[str, list[float]]:
    """Seconds of every call of each of ``steps``, called in turn for about ``seconds``, so that a busy neighbour
    slows all of them alike. The first round, which warms up, is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    done = -1
    while done < rounds or time.perf_counter() < end:
        for name, step in steps.items():
            before = time.perf_counter()
            step()
            if done >= 0:
                taken[name].append(time.perf_counter() - before)
        done += 1
    return taken


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
