"""How fast insight is on a network of 2 × 512, and how nearly a trace in streams equals a serial one.

    python tests/benchmarks/insight_speed.py [--hidden 512] [--chars 1000000]

The network has random weights of the size of trained ones, so that only time is measured on it; ``--model`` takes a
trained one, on which the deviation of a trace in streams and two kinds of occlusion are compared too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable

import numpy as np

from charlstm import load_model
from charlstm.generation.stepper import Stepper
from charlstm.insight.activations import deviation, iterate_activations
from charlstm.insight.context import context
from charlstm.insight.influence import influence
from charlstm.insight.lesions import estimate_lesions
from charlstm.insight.multiverse import multiverse, next_words
from charlstm.model.file import Model, ModelConfig
from charlstm.text.vocabulary import Vocabulary

SYMBOLS = tuple(sorted(set("\n abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'\"-()")))


def random_model(hidden: int) -> Model:
    config = ModelConfig(len(SYMBOLS), hidden, 2)
    random = np.random.default_rng(0)
    # Logits spread as those of a trained network, so that a multiverse has as many branches as a real one.
    scales = {"fc.weight": 8 / np.sqrt(hidden)}
    weights = {
        name: random.normal(0, scales.get(name, 1 / np.sqrt(hidden)), shape).astype(np.float32)
        for name, shape in config.shapes.items()
    }
    return Model(config, Vocabulary(SYMBOLS), weights)


def timed(job: Callable[[], object], times: int = 3) -> float:
    """The median of several runs, in seconds."""
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - begin)
    return sorted(seconds)[len(seconds) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--chars", type=int, default=1_000_000)
    parser.add_argument("--model", help="a trained model, instead of random weights")
    parser.add_argument("--text", help="a text for it")
    options = parser.parse_args()
    model = load_model(options.model) if options.model else random_model(options.hidden)
    random = np.random.default_rng(1)
    if options.text:
        with open(options.text, encoding="utf-8") as file:
            text = file.read()
        text = model.vocabulary.decode(model.vocabulary.encode(text)[0])
    else:
        text = "".join(random.choice(list(model.vocabulary.symbols), max(20_000, options.chars)))
    stepper = Stepper(model)
    ids = model.vocabulary.encode(text[: options.chars])[0].astype(np.intp)
    report: dict[str, object] = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "chars": len(ids)}

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    for _ in iterate_activations(stepper, ids):
        pass
    report["trace, characters/s"] = round(len(ids) / (time.perf_counter() - begin))
    report["trace, memory it added, MB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    report["influence of 100 characters, s"] = timed(lambda: influence(model, text, 2000, stepper=stepper))
    report["multiverse, depth 20 at 0.5 %, s"] = timed(lambda: multiverse(model, text[:200], stepper=stepper))
    report["next words, s"] = timed(lambda: next_words(model, text[:200], stepper=stepper))
    report["context, 200 places, s"] = timed(lambda: context(model, text[:20_000], stepper=stepper), 1)
    report["lesions to first order, 2,000 characters, s"] = timed(lambda: estimate_lesions(model, text[:2000]), 1)
    if options.model:
        report["deviation of h in streams: largest, median"] = deviation(stepper, ids[:16_000])
        places = random.integers(500, min(20_000, len(text) - 1), 30)
        for replacement in ("expectation", "blank"):
            far, near = [], []
            for place in places.tolist():
                changes = np.abs(influence(model, text, place, replacement=replacement, stepper=stepper).changes)  # type: ignore[arg-type]
                far.append(changes[:50].mean())
                near.append(changes[90:].mean())
            report[f"influence by {replacement}: 50 to 100 before, 1 to 10 before, nats"] = [
                float(np.mean(far)),
                float(np.mean(near)),
            ]
    print(json.dumps(report, indent=1, default=float))


if __name__ == "__main__":
    main()
