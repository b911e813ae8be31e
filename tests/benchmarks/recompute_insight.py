"""Recompute figures of ``cells``, ``influence`` and ``context`` in plain numpy, and compare them with the commands'.

    python tests/benchmarks/recompute_insight.py MODEL.safetensors TEXT [--chars 50000] [--json]

Nothing of charlstm is imported: the weights are read from the model file, the network is written out in float64 and
reads every character after the other, features are computed by definitions of its own, an AUC by counting pairs, and
the regression of a probe is fitted by another method. Only the other column of the table comes from the command. Exits
with 1 if a figure differs by more than its tolerance.

What the command does otherwise, and what the tolerances are for: it computes in float32, and reads a text of more than
20,000 characters in parts side by side, each after 512 characters of warm-up.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Ids = npt.NDArray[np.intp]

CHARS = 50_000
"""Characters that the commands read."""

PLACES = 10_000
"""Characters of each half at which ``cells`` compares, at most."""

BLOCKS = 40
"""Parts of a text: cells are chosen on every second one, and scored on the others."""

PENALTY = 0.003
"""Of the probe."""

BACK = 100
"""Characters that ``influence`` hides."""

WARM_UP = 512
"""Characters that ``influence`` reads before those."""

ENOUGH = 0.01
"""Nats within which a context is as good as the best one."""


@dataclass(frozen=True)
class Figure:
    """A figure by both ways of computing it."""

    name: str
    here: float
    command: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        return abs(self.here - self.command) <= self.tolerance


# -- the network -------------------------------------------------------------------------------------------------


class Network:
    """The LSTM of a model file: torch's order of gates i, f, g, o; characters are one-hot."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        about = json.loads(header.pop("__metadata__")["charlstm"])
        self.symbols: list[str] = about["vocabulary"]["symbols"]
        self.layers, self.hidden = about["config"]["num_layers"], about["config"]["hidden_size"]
        data = memoryview(content)[8 + size :]
        weights = {}
        for name, tensor in header.items():
            first, last = tensor["data_offsets"]
            weights[name] = np.frombuffer(data[first:last], "<f4").reshape(tensor["shape"]).astype(np.float64)
        self.inputs = [weights[f"lstm.weight_ih_l{layer}"] for layer in range(self.layers)]
        self.recurrent = [weights[f"lstm.weight_hh_l{layer}"] for layer in range(self.layers)]
        self.biases = [weights[f"lstm.bias_ih_l{n}"] + weights[f"lstm.bias_hh_l{n}"] for n in range(self.layers)]
        self.head, self.head_bias = weights["fc.weight"], weights["fc.bias"]

    def encode(self, text: str) -> tuple[str, Ids]:
        """The text without the characters that the model does not know, and their numbers."""
        numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
        known = "".join(char for char in text if char in numbers)
        return known, np.array([numbers[char] for char in known], np.intp)

    def empty(self, streams: int = 1) -> tuple[Doubles, Doubles]:
        """Outputs and cell states ``(L, B, H)`` before a text."""
        return np.zeros((self.layers, streams, self.hidden)), np.zeros((self.layers, streams, self.hidden))

    def step(self, shown: Doubles, outputs: Doubles, cells: Doubles) -> None:
        """Read ``shown`` ``(B, V)``, a one-hot character or a mixture of characters in each stream."""
        below = shown
        for layer in range(self.layers):
            gates = below @ self.inputs[layer].T + outputs[layer] @ self.recurrent[layer].T + self.biases[layer]
            i, f, g, o = np.split(gates, 4, axis=1)
            cells[layer] = logistic(f) * cells[layer] + logistic(i) * np.tanh(g)
            outputs[layer] = below = logistic(o) * np.tanh(cells[layer])

    def one_hot(self, ids: Ids) -> Doubles:
        shown = np.zeros((len(ids), len(self.symbols)))
        shown[np.arange(len(ids)), ids] = 1
        return shown

    def shares(self, outputs: Doubles) -> Doubles:
        """The probabilities of the next character in each stream, ``(B, V)``."""
        logits = outputs[-1] @ self.head.T + self.head_bias
        exponentials = np.exp(logits - logits.max(1, keepdims=True))
        shares: Doubles = exponentials / exponentials.sum(1, keepdims=True)
        return shares

    def states(self, ids: Ids) -> Iterator[Doubles]:
        """The cell states ``(L, H)`` after each character."""
        outputs, cells = self.empty()
        for shown in ids:
            self.step(self.one_hot(np.array([shown])), outputs, cells)
            yield cells[:, 0].copy()


def logistic(values: Doubles) -> Doubles:
    shares: Doubles = 1 / (1 + np.exp(-values))
    return shares


# -- features, as docs/insight.md defines them -------------------------------------------------------------------


def matches(pattern: str) -> Callable[[str], Doubles]:
    def compute(text: str) -> Doubles:
        values = np.zeros(len(text))
        for match in re.finditer(pattern, text, re.MULTILINE):
            values[match.start() : match.end()] = 1
        return values

    return compute


FEATURES: dict[str, Callable[[str], Doubles]] = {
    "blank": matches(r"\s"),
    "digit": matches(r"[0-9]"),
    "capital letter": lambda text: np.array([float(char.isupper()) for char in text]),
    "capitalised word": lambda text: capitalised(text),
    "after a sentence": lambda text: after_sentence(text),
    "tune header": matches(r"^[A-Za-z]:[^\n]*"),
}


def capitalised(text: str) -> Doubles:
    """From an upper-case letter to the last letter or apostrophe after it."""
    values, inside = np.zeros(len(text)), False
    for at, char in enumerate(text):
        inside = char.isupper() or (inside and (char.isalpha() or char in "'’"))
        values[at] = inside
    return values


def after_sentence(text: str) -> Doubles:
    """From the last mark of a sentence, before white space, to the next letter or digit."""
    values, waiting = np.zeros(len(text)), False
    ends = {match.end() - 1 for match in re.finditer(r"""[.!?]+["'”’)\]]*(?=\s)""", text)}
    for at, char in enumerate(text):
        waiting = at in ends or (waiting and not char.isalnum())
        values[at] = waiting
    return values


# -- cells -------------------------------------------------------------------------------------------------------


def compared(count: int) -> tuple[Ids, Ids]:
    """The characters of both halves of a text at which cells are compared with features: those of every second block,
    and those of the others."""
    edges = np.linspace(0, count, max(2, min(BLOCKS, count // 500 * 2)) + 1).astype(np.intp)
    blocks = [np.arange(start, stop) for start, stop in pairwise(edges)]
    halves = np.concatenate(blocks[::2]), np.concatenate(blocks[1::2])
    first, second = (half[np.linspace(0, len(half) - 1, min(PLACES, len(half))).astype(np.intp)] for half in halves)
    return first, second


def margin(states: Doubles, true: npt.NDArray[np.bool_]) -> float:
    """Two standard errors of an AUC: 20 segments of the text are drawn again with repetition, 400 times."""
    random, parts = np.random.default_rng(1), np.array_split(np.arange(len(states)), 20)
    scores = []
    for _ in range(400):
        drawn = np.concatenate([parts[part] for part in random.integers(0, 20, 20)])
        if 0 < true[drawn].sum() < len(drawn):
            scores.append(auc(states[drawn], true[drawn]))
    return float(2 * np.std(scores) * np.sqrt(20 / 19))


def auc(states: Doubles, true: npt.NDArray[np.bool_]) -> float:
    """In which part of all pairs, of a character where the feature is true and one where it is not, the state is higher
    in the first; equal ones count half."""
    others = np.sort(states[~true])
    below = np.searchsorted(others, states[true], "left")
    up_to = np.searchsorted(others, states[true], "right")
    return float((below + up_to).sum() / 2 / (true.sum() * len(others)))


def sparse_regression(columns: Doubles, targets: Doubles) -> tuple[Doubles, float, float]:
    """The L1-penalised logistic regression, by accelerated proximal gradient steps over a growing set of columns, until
    no column outside violates its condition; weights ``(C,)``, bias, and by how much of the loss without any weight it
    may be improved at most (the duality gap)."""
    count = len(columns)
    weights, bias = np.zeros(columns.shape[1]), float(np.log(targets.mean() / (1 - targets.mean())))
    alone = entropy(targets.mean())
    taking = np.zeros(columns.shape[1], bool)
    while True:
        errors = logistic(columns @ weights + bias) - targets
        slopes = columns.T @ errors / count
        margins = columns @ weights + bias
        loss = float((np.logaddexp(0, margins) - targets * margins).mean()) + PENALTY * np.abs(weights).sum()
        dual = targets + min(1, PENALTY / np.abs(slopes).max()) * errors
        gap = (loss - entropy(dual).mean()) / alone
        worst = np.argsort(-np.where(taking, 0, np.abs(slopes)))[:20]
        outside = worst[~taking[worst] & (np.abs(slopes[worst]) > PENALTY)]
        if gap < 1e-6 or not len(outside):
            return weights, bias, float(gap)
        taking[outside] = True
        weights[taking], bias = descend(columns[:, taking], targets, weights[taking], bias)


def entropy(shares: Any) -> Any:
    """Of a yes/no variable, in nats."""
    inside = np.clip(shares, 1e-300, 1 - 1e-16)
    return -(inside * np.log(inside) + (1 - inside) * np.log1p(-inside))


def descend(columns: Doubles, targets: Doubles, weights: Doubles, bias: float) -> tuple[Doubles, float]:
    """Beck and Teboulle's FISTA with the restart of O'Donoghue and Candès, until the weights stand still."""
    both = np.column_stack([columns, np.ones(len(columns))])
    rate = 4 * len(both) / np.linalg.norm(both, 2) ** 2
    values = momentum = np.append(weights, bias)
    pace = 1.0
    for _ in range(100_000):
        slopes = both.T @ (logistic(both @ momentum) - targets) / len(both)
        stepped = momentum - rate * slopes
        stepped[:-1] = np.sign(stepped[:-1]) * np.maximum(np.abs(stepped[:-1]) - rate * PENALTY, 0)
        if (momentum - stepped) @ (stepped - values) > 0:
            pace = 1.0
        following = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        momentum = stepped + (pace - 1) / following * (stepped - values)
        change = np.abs(stepped - values).max()
        values, pace = stepped, following
        if change < 1e-9:
            break
    return values[:-1], float(values[-1])


def cells_and_probe(network: Network, text: str, ids: Ids, ask: Callable[..., Any]) -> Iterator[Figure]:
    """Two cells that follow yes/no features, and the probe of the first of these features."""
    first, second = compared(len(ids))
    wanted = np.zeros(len(ids), bool)
    wanted[first] = wanted[second] = True
    kept = np.array([states.ravel() for at, states in enumerate(network.states(ids)) if wanted[at]])
    read = np.flatnonzero(wanted)
    on_first, on_second = kept[np.searchsorted(read, first)], kept[np.searchsorted(read, second)]
    rows = [row for row in ask("cells") if row["feature"] in FEATURES][:2]
    for row in rows:
        true = FEATURES[row["feature"]](text) > 0
        scores = np.array([auc(column, true[first]) for column in on_first.T])
        best = int(np.argmax(np.abs(scores - 0.5)))
        layer, cell = row["cell"]
        name = f"“{row['feature']}”: "
        yield Figure(f"{name}number of the best of all cells", best, (layer - 1) * network.hidden + cell - 1, 0)
        yield Figure(f"{name}AUC of cell {layer}:{cell}", auc(on_second[:, best], true[second]), row["score"], 1e-3)
        own = margin(on_second[:, best], true[second])
        yield Figure(f"{name}two standard errors of it", own, row["margin"], 0.2 * own + 1e-3)
    feature = rows[0]["feature"]
    true = FEATURES[feature](text) > 0
    mean, deviation = on_first.mean(0), on_first.std(0)
    weights, _, gap = sparse_regression((on_first - mean) / deviation, true[first].astype(np.float64))
    probe = ask("cells", "--probe", feature)
    theirs = np.zeros(kept.shape[1])
    for row in probe:
        theirs[(row["cell"][0] - 1) * network.hidden + row["cell"][1] - 1] = row["weight"]
    own = weights / deviation
    name = f"probe of “{feature}”: "
    yield Figure(f"{name}cells", np.count_nonzero(weights), len(probe), 0)
    largest = int(np.argmax(np.abs(weights)))
    size = abs(own[largest])
    yield Figure(f"{name}weight of the first", float(own[largest]), float(theirs[largest]), 0.01 * size)
    difference = float(np.abs((own - theirs) * deviation).max() / np.abs(weights).max())
    yield Figure(f"{name}largest difference of any weight, of the largest weight", difference, 0, 0.02)
    yield Figure(f"{name}AUC", auc(on_second @ own, true[second]), auc(on_second @ theirs, true[second]), 1e-3)
    yield Figure(f"{name}duality gap, as part of the loss without cells", gap, 0, 1e-5)


# -- influence and context ---------------------------------------------------------------------------------------


def influence(network: Network, ids: Ids, ask: Callable[..., Any]) -> Iterator[Figure]:
    """How much the loss of one character rises when an earlier one is replaced by what was expected there."""
    at = min(len(ids) - 1, WARM_UP + BACK)  # so that the command begins to read at the start of the text
    rows = ask("influence", "--at", str(at))
    # Stream 0 reads the text, and stream n has the n-th character of those hidden.
    outputs, cells = network.empty(1 + BACK)
    for place in range(at):
        shown = network.one_hot(np.full(1 + BACK, ids[place]))
        if place >= at - BACK:
            shown[1 + place - (at - BACK)] = network.shares(outputs)[0]
        network.step(shown, outputs, cells)
    losses = -np.log(network.shares(outputs)[:, ids[at]])
    rises = losses[1:] - losses[0]
    theirs = np.array([row["change"] for row in rows])
    strongest = int(np.argmax(np.abs(rises)))
    name = f"influence on character {at}: "
    yield Figure(
        f"{name}position of the strongest", at - BACK + strongest, rows[int(np.argmax(np.abs(theirs)))]["position"], 0
    )
    yield Figure(f"{name}rise of the loss without it, nats", float(rises[strongest]), float(theirs[strongest]), 1e-3)
    yield Figure(f"{name}largest difference of any of {BACK}", float(np.abs(rises - theirs).max()), 0, 1e-3)


def context(network: Network, ids: Ids, ask: Callable[..., Any]) -> Iterator[Figure]:
    """The loss after the last k characters alone, at evenly spaced places."""
    rows = ask("context")
    lengths = [row["context"] for row in rows]
    places = np.unique(np.linspace(lengths[-1], len(ids) - 1, 200).astype(np.intp))
    losses = []
    for length in lengths:
        outputs, cells = network.empty(len(places))
        for back in range(length, 0, -1):
            network.step(network.one_hot(ids[places - back]), outputs, cells)
        losses.append(-np.log(network.shares(outputs)[np.arange(len(places)), ids[places]]))
    table = np.array(losses)
    means = table.mean(1)
    for wanted in (8, 50):
        at = lengths.index(wanted)
        yield Figure(f"context: loss after {wanted} characters, nats", float(means[at]), rows[at]["loss"], 1e-3)
    used = next(k for k, loss in zip(lengths, means, strict=True) if loss <= means.min() + ENOUGH)
    said = min(row["loss"] for row in rows) + ENOUGH
    yield Figure("context: characters used", used, next(row["context"] for row in rows if row["loss"] <= said), 0)
    random = np.random.default_rng(12345)
    drawn = np.array([table[:, random.integers(0, len(places), len(places))].mean(1) for _ in range(4000)])
    shortest = np.argmax(drawn <= drawn.min(1, keepdims=True) + ENOUGH, axis=1)
    enough = np.array([(shortest <= place).mean() for place in range(len(lengths))])
    at = int(np.argmin(np.abs(enough - 0.5)))
    yield Figure(f"context: share of draws where {lengths[at]} suffice", float(enough[at]), rows[at]["enough"], 0.05)


# -- the table ---------------------------------------------------------------------------------------------------


def figures(model: Path, text_file: Path, chars: int, command: Sequence[str]) -> Iterator[Figure]:
    network = Network(model)
    text = text_file.read_text(encoding="utf-8-sig", errors="strict").replace("\r\n", "\n").replace("\r", "\n")
    text, ids = network.encode(unicodedata.normalize("NFC", text)[:chars])

    def ask(name: str, *options: str) -> Any:
        words = [*command, name, str(model), str(text_file), "--max-chars", str(chars), "--json", *options]
        return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)

    yield from cells_and_probe(network, text, ids, ask)
    yield from influence(network, ids, ask)
    yield from context(network, ids, ask)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a .safetensors file of charlstm")
    parser.add_argument("text", type=Path, help="a text in UTF-8")
    parser.add_argument("--chars", type=int, default=CHARS, help="characters of the text that are read")
    parser.add_argument("--command", default=f"{shlex.quote(sys.executable)} -P -m charlstm", help="charlstm")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = list(figures(options.model, options.text, options.chars, shlex.split(options.command)))
    if options.json:
        rows = [
            {"name": each.name, "here": float(each.here), "command": float(each.command), "agrees": each.agrees}
            for each in found
        ]
        print(json.dumps(rows, indent=1))
    else:
        print(f"{'figure':<76} {'recomputed':>12} {'command':>12}")
        for each in found:
            print(f"{each.name:<76} {each.here:>12.6g} {each.command:>12.6g}{'' if each.agrees else '  DIFFERS'}")
    return 0 if all(each.agrees for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
