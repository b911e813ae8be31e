"""Measure changes of the recipe that are no settings, against ``quick`` from nothing, on as many characters.

    python tests/benchmarks/recipe_ideas.py TEXT … [--ideas NAME …] [--seeds N] [--steps N]

Each idea of :data:`IDEAS` trains the network of ``quick`` for as many characters as ``--steps`` steps of 16 × 50 have,
on one thread. The result is the loss on the held-out tail and the seconds of the processor. The steps are fixed, so
other work on the machine does not change the losses. Results are appended to ``--results``, and runs that are there
already are not repeated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import RESULTS, known_results, machine
from torch import Tensor

from charlstm import Corpus, Settings, open_corpus
from charlstm.engine.evaluation import evaluate
from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.text.batches import Batch, Batches
from charlstm.training.presets import preset
from charlstm.training.schedule import LearningRate

TEMPERATURES = (0.9, 0.95, 0.975, 1.025, 1.05)
"""Factors of the logits that are tried on the network that ``quick`` gives."""


class Idea:
    """``quick`` as it is."""

    phases: tuple[tuple[float, int, int], ...] = ((1.0, 16, 50),)
    """Parts of the characters, with rows and length of the batches in which they are read."""
    unknown_symbol = False
    """Whether the network has one more input, for a character that is not told."""

    def prepare(self, network: CharLSTM, frequencies: Tensor) -> None:
        """Change the first weights; ``frequencies`` (V,) are those of the training part."""

    def changed(self, batch: Batch, step: int, seed: int, symbols: int) -> Batch:
        """What is read in the place of ``batch``."""
        return batch

    def train_step(self, *arguments: Any) -> TrainStep:
        return TrainStep(*arguments)

    def rate(self, rate: LearningRate, done: int, total: int, step: int, steps: int) -> float:
        """The learning rate of ``step`` after ``done`` of ``total`` characters; ``rate`` is the schedule over those."""
        return rate.rate(step if len(self.phases) == 1 else done)


class FrequentFirst(Idea):
    """The first biases of the output layer are the logarithms of the frequencies; the weights are small or zero."""

    def __init__(self, zero: bool) -> None:
        self.zero = zero

    @torch.no_grad()
    def prepare(self, network: CharLSTM, frequencies: Tensor) -> None:
        network.fc.bias.copy_(frequencies.log())
        if self.zero:
            network.fc.weight.zero_()


class InputDropout(Idea):
    """A part of the input characters is replaced by a symbol of its own."""

    unknown_symbol = True

    def __init__(self, part: float) -> None:
        self.part = part

    def changed(self, batch: Batch, step: int, seed: int, symbols: int) -> Batch:
        inputs, random = batch.inputs.copy(), np.random.default_rng((seed, step, 77))
        inputs[random.random(inputs.shape) < self.part] = symbols
        return Batch(inputs, batch.targets, batch.fresh)


class ChangedBatches(Batches):
    """Batches as an idea changes them."""

    def __init__(self, change: Callable[[Batch, int], Batch], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._change = change

    def batch(self, step: int) -> Batch:
        return self._change(super().batch(step), step)


class Phases(Idea):
    """Batches that change their shape on the way."""

    def __init__(self, *phases: tuple[float, int, int]) -> None:
        self.phases = phases


class Restarts(Idea):
    """Several cosines, one after another; those after the first begin at 0.7 of its peak."""

    def __init__(self, count: int) -> None:
        self.count = count

    def rate(self, rate: LearningRate, done: int, total: int, step: int, steps: int) -> float:
        length = steps / self.count
        cycle = int(step // length)
        part, climb = (step - cycle * length) / length, 0.05 if cycle else 0.1
        peak = rate.lr * (0.7 if cycle else 1.0)
        if part < climb:
            return peak * min(1.0, (part + 1e-3) / climb)
        return peak * 0.5 * (1 + math.cos(math.pi * (part - climb) / (1 - climb)))


class MuonStep(TrainStep):
    """A step with Muon for the square matrices of each gate, orthogonalised at each ``every``-th step in bfloat16."""

    def begin(self, settings: Settings, lr: float, every: int) -> None:
        layers = range(self.network.config.num_layers)
        inner = [self.network.layer(index)[1] for index in layers] + [
            self.network.layer(index)[0] for index in layers[1:]
        ]
        names = {id(weight) for weight in inner}
        for group in self._optimizer.param_groups:
            group["params"] = [each for each in group["params"] if id(each) not in names]
        self.inner, self.factor, self.every = inner, lr / settings.lr, every
        self.momentum = [torch.zeros_like(weight) for weight in inner]

    @torch.no_grad()
    def _update(self, step: int, rate: float) -> None:
        super()._update(step, rate)
        size = self.network.config.hidden_size
        gradients = [weight.grad for weight in self.inner if weight.grad is not None]
        for momentum, gradient in zip(self.momentum, gradients, strict=True):
            momentum.lerp_(gradient, 0.05)
        if step % self.every == 0:
            nesterov = [
                torch.lerp(gradient, momentum, 0.95).view(4, size, size)
                for momentum, gradient in zip(self.momentum, gradients, strict=True)
            ]
            self.direction = orthogonalised(torch.cat(nesterov))
        for index, weight in enumerate(self.inner):
            direction = self.direction[4 * index : 4 * index + 4].reshape(4 * size, size)
            weight.sub_(direction, alpha=self.factor * rate)


def orthogonalised(blocks: Tensor) -> Tensor:
    """Five steps of Newton and Schulz on ``blocks`` (N, H, H), with the coefficients of Muon."""
    found = blocks.bfloat16()
    found = found / (found.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = found @ found.transpose(1, 2)
        found = 3.4445 * found + (-4.7750 * square + 2.0315 * (square @ square)) @ found
    return found.float()


class Muon(Idea):
    def __init__(self, lr: float, every: int) -> None:
        self.lr, self.every = lr, every

    def train_step(self, *arguments: Any) -> TrainStep:
        step = MuonStep(*arguments)
        step.begin(arguments[2], self.lr, self.every)
        return step


THIRD = 1 / 3
IDEAS: dict[str, Idea] = {
    "base": Idea(),
    "letter frequencies as first bias": FrequentFirst(zero=False),
    "the same, and first output weights of zero": FrequentFirst(zero=True),
    "input dropout 0.05": InputDropout(0.05),
    "8, 16, 32 rows": Phases((THIRD, 8, 50), (THIRD, 16, 50), (THIRD, 32, 50)),
    "8, then 16 rows": Phases((0.4, 8, 50), (0.6, 16, 50)),
    "25, 50, 100 characters": Phases((THIRD, 16, 25), (THIRD, 16, 50), (THIRD, 16, 100)),
    "50, then 100 characters": Phases((0.7, 16, 50), (0.3, 16, 100)),
    "2 cosines": Restarts(2),
    "3 cosines": Restarts(3),
    "Muon at 0.02": Muon(0.02, 1),
    "Muon at 0.02, orthogonalised at every 4th step": Muon(0.02, 4),
}


def train(corpus: Corpus, idea: Idea, seed: int, steps: int) -> dict[str, Any]:
    """Train a network; its loss on the held-out part, and for ``quick`` as it is those at other temperatures."""
    split, symbols = corpus.split(0.1, "tail"), len(corpus.vocabulary)
    settings = preset("quick", corpus.text_chars, symbols).with_changes(seed=seed, threads=1)
    network = CharLSTM(
        symbols + idea.unknown_symbol,
        settings.hidden_size,
        settings.num_layers,
        settings.init,
        torch.Generator().manual_seed(seed),
    )
    counts = np.bincount(np.concatenate([corpus.ids[slice(*span)] for span in split.train]), minlength=symbols) + 0.5
    idea.prepare(network, torch.from_numpy(counts / counts.sum()))
    total = steps * 16 * 50
    counted = [round(part * total / (rows * length)) for part, rows, length in idea.phases]
    single = len(idea.phases) == 1
    planned, warmup = (sum(counted), settings.warmup) if single else (total, 0.1)
    rate = LearningRate(settings.lr, settings.schedule, round(warmup * planned), planned)
    began, done, number = time.process_time(), 0, itertools.count()
    optimizer = None
    for (_, rows, length), count in zip(idea.phases, counted, strict=True):
        change = partial(idea.changed, seed=seed, symbols=symbols)
        batches = ChangedBatches(change, corpus.ids, split.train, rows, length)
        changed = settings.with_changes(batch_size=rows, seq_length=length)
        train_step = idea.train_step(network, batches, changed, "fused-bf16")
        if optimizer is not None:
            train_step._optimizer.load_state_dict(optimizer)
        first = done // (rows * length)
        for step in range(count):
            train_step.step(first + step, idea.rate(rate, done, total, next(number), sum(counted)))
            done += rows * length
        optimizer = train_step._optimizer.state_dict()
    seconds = time.process_time() - began
    result: dict[str, Any] = {"loss": loss(network, corpus, split.held_out), "processor_seconds": round(seconds, 1)}
    if type(idea) is Idea:
        output = {name: weight.detach().clone() for name, weight in network.fc.named_parameters()}
        for factor in TEMPERATURES:
            network.fc.load_state_dict({name: factor * weight for name, weight in output.items()})
            result[f"loss, logits × {factor}"] = loss(network, corpus, split.held_out)
    return result


def loss(network: CharLSTM, corpus: Corpus, held_out: Any) -> float:
    """The loss of the network without an unknown symbol, in nats per character."""
    symbols = len(corpus.vocabulary)
    if network.config.vocab_size > symbols:
        weights = network.state_dict()
        weights["lstm.weight_ih_l0"] = weights["lstm.weight_ih_l0"][:, :symbols].contiguous()
        weights |= {name: weights[name][:symbols].contiguous() for name in ("fc.weight", "fc.bias")}
        network = CharLSTM(symbols, network.config.hidden_size, network.config.num_layers, "none")
        network.load_state_dict(weights)
    return evaluate(network, corpus.ids, held_out).loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", help="files or built-in texts")
    parser.add_argument("--ideas", nargs="+", default=list(IDEAS), choices=list(IDEAS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--results", type=Path, default=RESULTS / "recipe_ideas.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = known_results(options.results)
    for source in options.texts:
        corpus = open_corpus(source)
        for name in options.ideas:
            found = []
            for seed in range(options.seeds):
                wanted = {"text": corpus.name, "idea": name, "seed": seed, "steps": options.steps}
                result = next((each for each in known if wanted.items() <= each.items()), None)
                if result is None:
                    result = wanted | train(corpus, IDEAS[name], seed, options.steps) | machine()
                    with options.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")
                found.append(result["loss"])
            print(
                f"{corpus.name}, {name}: {statistics.mean(found):.4f}, seeds {', '.join(map('{:.4f}'.format, found))}"
            )


if __name__ == "__main__":
    main()
