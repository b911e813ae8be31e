"""Measure training speed in comparison with the reference script, in turns, on the same text and shapes.

    python tests/benchmarks/train_speed.py [--json] [--text FILE] [--shape 2x512:64x100 …] [--seconds S]

A step is all that training does with a batch: reading it, forward, backward, clipping, update; ours also draws dropout
masks. Each side has its own process: the script's as Python starts it, ours prepared as a run's worker is. Prints the
characters per second of each, their ratio, and the fraction of the measured speed of matrix products that each reaches
(for bfloat16 only if the processor has instructions for it, since emulation takes minutes). The fastest of many steps
counts; medians are printed too. The machine should be idle.
"""

import itertools
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from _common import default_text, parser_of
from reference_script import CharRNN, Training
from reference_script import batches as reference_batches

from charlstm.engine.kernels import candidates, choose_kernel, fast_bfloat16
from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.system import prepare_for_torch
from charlstm.text.batches import Batches
from charlstm.text.corpus import open_corpus
from charlstm.training.settings import Settings

SHAPES = ("2x512:64x100", "2x512:16x50", "2x512:32x64", "2x256:64x100", "1x64:64x100")
REQUIRED_RATIO = {"2x512:64x100": 2.5, "2x512:16x50": 1.6, "2x256:64x100": 2.0, "1x64:64x100": 1.0}
"""The ratio that each shape must reach."""


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


def reference_step(
    ids: np.ndarray, symbols: tuple[str, ...], shape: tuple[int, int, int, int]
) -> tuple[Callable[[], object], None]:
    layers, hidden, rows, length = shape
    training = Training(CharRNN(symbols, hidden, layers))
    all_batches = itertools.chain.from_iterable(reference_batches(ids, rows, length) for _ in itertools.count())
    return lambda: training.step(*next(all_batches)), None


def our_step(
    ids: np.ndarray, vocab_size: int, shape: tuple[int, int, int, int], kernel: str, precision: str
) -> tuple[Callable[[], object], dict[str, Any]]:
    layers, hidden, rows, length = shape
    sizes = {"hidden_size": hidden, "num_layers": layers, "batch_size": rows, "seq_length": length}
    settings = Settings(**sizes, dropout=0.5, max_steps=1, kernel=kernel, precision=precision)
    network = CharLSTM(vocab_size, hidden, layers)
    name = choose_kernel(candidates(settings, torch.device("cpu")), network, rows, length, budget=2.5)
    train_step = TrainStep(network, Batches(ids, [(0, len(ids))], rows, length), settings, name)
    count = itertools.count()
    return lambda: train_step.step(next(count), 1e-3), {"name": name}


@contextmanager
def both(
    ids: np.ndarray, symbols: tuple[str, ...], shape: tuple[int, int, int, int], kernel: str, precision: str
) -> Iterator[dict[str, SeparateProcess]]:
    """A training step of each side, to be called in turns."""
    sides = {
        "reference": SeparateProcess(reference_step, ids, symbols, shape, worker=False),
        "ours": SeparateProcess(our_step, ids, len(symbols), shape, kernel, precision, worker=True),
    }
    try:
        yield sides
    finally:
        for side in sides.values():
            side.close()


def operations(shape: tuple[int, int, int, int], vocab_size: int) -> float:
    """Floating point operations per character, forward and backward, without those on one-hot vectors."""
    layers, hidden, _, _ = shape
    return 6.0 * (4 * hidden * hidden * (2 * layers - 1) + hidden * vocab_size)


def compare(text: str, name: str, *, kernel: str, precision: str, seconds: float) -> dict[str, Any]:
    network, _, batch = name.partition(":")
    layers, hidden = (int(number) for number in network.split("x"))
    rows, length = (int(number) for number in batch.split("x"))
    shape = (layers, hidden, rows, length)
    symbols = tuple(sorted(set(text)))
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    ids = np.array([numbers[char] for char in text[:1_000_000]], dtype=np.int64)
    multiply, work = matrix_product(torch.float32)
    products = {"f32": multiply}
    if fast_bfloat16():
        products["bf16"], _ = matrix_product(torch.bfloat16)
    with both(ids, symbols, shape, kernel, precision) as trained:
        taken = take_turns({**trained, **products}, seconds)
        choice = trained["ours"].about
    training = rates({name: taken[name] for name in trained}, rows * length)
    flops = {name: rate["best"] for name, rate in rates({name: taken[name] for name in products}, work).items()}
    computed = {name: operations(shape, len(symbols)) * training[name]["best"] for name in trained}
    return {
        "shape": name,
        "kernel": choice,
        "chars_per_second": training,
        "ratio": training["ours"]["best"] / training["reference"]["best"],
        "ratio_of_medians": training["ours"]["median"] / training["reference"]["median"],
        "floor": REQUIRED_RATIO.get(name),
        "gflops": {name: rate / 1e9 for name, rate in flops.items()},
        "ours_of_bf16": computed["ours"] / flops["bf16"] if "bf16" in flops else None,
        "ours_of_f32": computed["ours"] / flops["f32"],
        "reference_of_f32": computed["reference"] / flops["f32"],
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--text", default=default_text(), help="a file or a built-in corpus")
    parser.add_argument("--shape", nargs="+", default=SHAPES, help="LAYERSxHIDDEN:ROWSxLENGTH")
    parser.add_argument("--kernel", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each shape")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    text = open_corpus(options.text).text()
    results = []
    for name in options.shape:
        result = compare(text, name, kernel=options.kernel, precision=options.precision, seconds=options.seconds)
        results.append(result)
        if not options.json:
            speeds, of_bf16 = result["chars_per_second"], result["ours_of_bf16"]
            print(
                f"{name:14} reference {speeds['reference']['best']:9,.0f}  ours {speeds['ours']['best']:9,.0f} "
                f"({result['kernel']['name']})  x{result['ratio']:.2f} (medians x{result['ratio_of_medians']:.2f})  "
                f"{result['ours_of_f32']:.0%} of float32 products, "
                f"{'none' if of_bf16 is None else format(of_bf16, '.0%')} of bfloat16",
                flush=True,
            )
    if options.json:
        print(json.dumps({"text": options.text, "machine": machine(), "shapes": results}))


if __name__ == "__main__":
    main()
