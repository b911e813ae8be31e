"""Measure whether an average of the weights predicts better than the weights at the end of a run.

    python tests/benchmarks/averaging.py TEXT … [--preset standard] [--from-nothing] [--seeds N] [--set KEY=VALUE …]

Trains a run and keeps averages of its weights beside it, which do not change it: exponential ones with the decays
``DECAYS``, and the mean of the last steps, for the parts ``TAILS`` of the run. All losses are those at its end, on all
held-out text. The steps are fixed, so other work on the machine does not change the results. They are appended to
``--results``, and runs that are there already are not repeated.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from _common import RESULTS, known_results, machine
from torch import Tensor

from charlstm import Corpus, Settings, Trainer, open_corpus
from charlstm.cli.training import settings_from_options
from charlstm.engine.evaluation import evaluate
from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.model.file import load_model
from charlstm.runs.models import find_model
from charlstm.runs.start_models import preset_from, try_model
from charlstm.training.events import Started
from charlstm.training.presets import preset

DECAYS = (0.99, 0.995, 0.998, 0.999)
TAILS = (0.05, 0.1, 0.25, 0.5)
LAST = "last weights"


class Averages:
    """Averages of a network's weights, by name, in a run of ``steps``."""

    def __init__(self, network: CharLSTM, steps: int) -> None:
        self.network, self.steps = network, steps
        self.found: dict[str, list[Tensor]] = {f"decay {decay:g}": self._weights() for decay in DECAYS}
        self._counted: defaultdict[float, int] = defaultdict(int)

    def _weights(self) -> list[Tensor]:
        return [each.detach().clone() for each in self.network.parameters()]

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Take the weights after ``step`` into each average."""
        weights: list[Tensor] = [each.detach() for each in self.network.parameters()]
        for decay in DECAYS:  # faster in the first steps, as in TrainStep
            torch._foreach_lerp_(self.found[f"decay {decay:g}"], weights, 1 - min(decay, (1 + step) / (10 + step)))
        for tail in TAILS:
            if self.steps - step <= tail * self.steps:
                self._counted[tail] += 1
                mean = self.found.setdefault(f"mean of the last {100 * tail:g} %", self._weights())
                torch._foreach_lerp_(mean, weights, 1 / self._counted[tail])

    def networks(self) -> Iterator[tuple[str, CharLSTM]]:
        """The network with its own weights and with each average."""
        network = copy.deepcopy(self.network)
        yield LAST, network
        for name, weights in self.found.items():
            for parameter, average in zip(network.parameters(), weights, strict=True):
                parameter.data.copy_(average)
            yield name, network


@contextmanager
def averaging(kept: list[Averages], planned: list[int]) -> Iterator[None]:
    """Put averages of the run that is trained meanwhile into ``kept``, once its number of steps is in ``planned``."""

    def add(train_step: TrainStep, step: int) -> None:
        if planned:
            if not kept:
                kept.append(Averages(train_step.network, planned[0]))
            kept[0].add(step)

    with mock.patch.object(TrainStep, "_update_average", add):
        yield


def losses(corpus: Corpus, settings: Settings, model: Path | None) -> dict[str, float]:
    """Train a run; the loss on all held-out text, with the weights of its end and with each average."""
    kept: list[Averages] = []
    planned: list[int] = []
    trainer = Trainer(corpus, settings, start_from=None if model is None else load_model(model))
    with averaging(kept, planned):
        for event in trainer.events():
            if isinstance(event, Started):
                planned.append(trainer.plan.planned_steps)
    held_out = corpus.split(settings.val_fraction, settings.split).held_out
    ids, _ = corpus.encoded_for(trainer.best.vocabulary)
    return {name: evaluate(network, ids, held_out).loss for name, network in kept[0].networks()}


def settings_of(corpus: Corpus, options: argparse.Namespace, seed: int) -> Settings:
    chars, symbols = corpus.text_chars, len(corpus.vocabulary)
    settings = preset(options.preset, chars, symbols)
    if options.model is not None:
        tried = try_model("demo", options.model, corpus, corpus.split(settings.val_fraction))
        settings = preset_from(tried, options.preset, chars, symbols)
    fixed: dict[str, Any] = {
        "max_minutes": None,
        "patience": None,
        "ema_decay": None,
        "calibrate": False,
        "threads": 1,
        "seed": seed,
    }
    return settings.with_changes(**fixed, val_chars=20_000, **settings_from_options(tuple(options.set), {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", help="files or built-in texts")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--from-nothing", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path, default=RESULTS / "averaging.jsonl")
    options = parser.parse_args()
    options.model = None if options.from_nothing else find_model("demo")
    torch.set_num_threads(1)
    for source in options.texts:
        corpus = open_corpus(source)
        found: defaultdict[str, list[float]] = defaultdict(list)
        for seed in range(options.seeds):
            settings = settings_of(corpus, options, seed)
            start = None if options.model is None else load_model(options.model).info.get("step")
            wanted = {"text": corpus.name, "model_step": start, "settings": settings.to_dict()}
            known = known_results(options.results)
            result = next((each for each in known if wanted.items() <= each.items()), None)
            if result is None:
                result = wanted | {"losses": losses(corpus, settings, options.model), **machine()}
                with options.results.open("a") as file:
                    file.write(json.dumps(result) + "\n")
            for name, loss in result["losses"].items():
                found[name].append(loss)
        means = {name: statistics.mean(each) for name, each in found.items()}
        rows = [f"{name} {mean:.4f} ({mean - means[LAST]:+.4f})" for name, mean in means.items()]
        print(f"{corpus.name}, {options.seeds} seeds: {'; '.join(rows)}", flush=True)


if __name__ == "__main__":
    main()
