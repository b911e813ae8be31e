"""Measure the speed of generation with a 2 × 512 model, in comparison with the sampling of the reference script.

    python tests/benchmarks/generate_speed.py

Prints one JSON object: characters per second of one stream on one core, statistics and session included; of 64 streams
on two cores; both for the script as well; and the fraction of the measured matrix product speed that the streams reach.
The machine should be idle.
"""

import json
import os
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from _common import parser_of
from reference_script import CharRNN, sample

from charlstm.generation.generate import generate_many
from charlstm.generation.session import Session
from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads
from recorded_run import tiny_model

STREAMS = 64


def pin(cores: Iterable[int]) -> None:
    """Restrict all threads of this process, and those that it starts later, to ``cores``, if the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        for task in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(task), cores)


def rate(play: Callable[[], int], seconds: float) -> float:
    """Characters per second of ``play``: the best of several calls, so that short disturbances do not count."""
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        best = max(best, play() / (time.perf_counter() - start))
    return best


def sgemm(threads: int) -> float:
    """Floating-point operations per second of a large float32 product."""
    a = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    out = np.empty_like(a)

    def product() -> int:
        np.dot(a, a, out=out)
        return 2 * 2048**3

    with blas_threads(threads):
        return rate(product, 1.5)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="spent on each figure")
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--num-layers", type=int, default=2)
    arguments = parser.parse_args()
    # The speed does not depend on the weights.
    symbols, sizes = "\n" + "".join(map(chr, range(32, 114))), (arguments.hidden_size, arguments.num_layers)
    model = tiny_model(symbols=symbols, hidden_size=sizes[0], num_layers=sizes[1], scale=0.08)
    script, stepper = CharRNN(model.vocabulary.symbols, *sizes), Stepper(model)
    script.load_state_dict({name: torch.from_numpy(array) for name, array in model.weights.items()})
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [0, 1]

    def reference() -> int:
        return len(sample(script, 50, prime="\n", top_k=5)) - 1

    session = Session(model, "\n", stepper=stepper)

    @blas_threads(1)  # as the app and the command line do
    def one_stream() -> int:
        chars = sum(1 for step in session.stream(500) if step.char)
        rows = session.rows(len(session) - 500)
        assert np.isfinite(rows["probability"]).all()
        return chars

    def many_streams() -> int:
        return sum(map(len, generate_many(model, "\n", 32, samples=STREAMS, threads=len(cores), stepper=stepper)))

    pin(cores[:1])
    torch.set_num_threads(1)
    # In turns, so that the load of the machine is the same for both.
    speeds = [(rate(reference, arguments.seconds / 4), rate(one_stream, arguments.seconds / 4)) for _ in range(4)]
    one_reference, one_ours = map(max, zip(*speeds, strict=True))
    pin(cores)
    torch.set_num_threads(len(cores))
    speeds = [(rate(reference, arguments.seconds / 4), rate(many_streams, arguments.seconds / 4)) for _ in range(4)]
    two_reference, many = map(max, zip(*speeds, strict=True))
    # A character needs all weights but the first layer's input weights, which are looked up.
    operations = 2 * sum(array.size for name, array in model.weights.items() if array.ndim == 2)
    operations -= 2 * model.weights["lstm.weight_ih_l0"].size
    peak = sgemm(len(cores))
    report = {
        "reference_one_core": round(one_reference), "one_stream_one_core": round(one_ours),
        "one_stream_ratio": round(one_ours / one_reference, 1), "reference_two_cores": round(two_reference),
        "streams": STREAMS, "streams_two_cores": round(many), "streams_ratio": round(many / two_reference, 1),
        "sgemm_gflops": round(peak / 1e9, 1), "streams_share_of_sgemm": round(many * operations / peak, 3),
        "cores": cores, "torch": torch.__version__, "numpy": np.__version__,
    }  # fmt: skip
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
