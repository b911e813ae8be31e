"""Measure training speed in comparison with the reference script, in turns, on the same text and shapes.

    python tests/benchmarks/train_speed.py [--json] [--text FILE] [--shape 2x512:64x100 …] [--seconds S]

A step is all that training does with a batch: reading it, forward, backward, clipping, update; ours also draws dropout
masks. Each side has its own process: the script's as Python starts it, ours prepared as a run's worker is. Prints the
characters per second of each, their ratio, and the fraction of the measured speed of matrix products that each reaches
(for bfloat16 only if the processor has instructions for it, since emulation takes minutes). The fastest of many steps
counts; medians are printed too. The machine should be idle.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from _common import SeparateProcess, default_text, machine, matrix_product, rates, read_text, take_turns
from reference_script import CharRNN, Training
from reference_script import batches as reference_batches

from charlstm.engine.kernels import candidates, choose_kernel, fast_bfloat16
from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.text.batches import Batches
from charlstm.training.settings import Settings

SHAPES = ("2x512:64x100", "2x512:16x50", "2x512:32x64", "2x256:64x100", "1x64:64x100")
REQUIRED_RATIO = {"2x512:64x100": 2.5, "2x512:16x50": 1.6, "2x256:64x100": 2.0, "1x64:64x100": 1.0}
"""The ratio that each shape must reach."""


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
    settings = Settings(
        hidden_size=hidden,
        num_layers=layers,
        batch_size=rows,
        seq_length=length,
        dropout=0.5,
        max_steps=1,
        kernel=kernel,
        precision=precision,
    )
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--text", default=default_text(), help="a file or a built-in corpus")
    parser.add_argument("--shape", nargs="+", default=SHAPES, help="LAYERSxHIDDEN:ROWSxLENGTH")
    parser.add_argument("--kernel", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each shape")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    text = read_text(options.text)
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
