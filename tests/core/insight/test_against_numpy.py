"""Figures of ``cells``, ``influence`` and ``context`` are those of plain numpy.

What they are compared with uses nothing of charlstm: the weights are read from the model file, the network is written
out in float64 and reads every character after the other, pairs are counted for an AUC, and the regression of a probe is
fitted by another method. The commands compute in float32.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from charlstm.cli.main import run
from charlstm.model.file import Model, save_model
from plain_numpy import Doubles, PlainLSTM, sparse_regression

pytestmark = pytest.mark.numeric

Ids = npt.NDArray[np.intp]
Ask = Callable[..., Any]
"""``ask(command, *options)`` is what the command says of the model and the text."""

PENALTY = 0.003
"""Of the probe."""
BACK, WARM_UP = 100, 512
"""Characters that ``influence`` hides, and those that it reads before them."""
ENOUGH = 0.01
"""Nats within which a context is as good as the best one."""


class Network(PlainLSTM):
    """The LSTM of a model file; characters are one-hot."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        about = json.loads(header.pop("__metadata__")["charlstm"])
        self.symbols: list[str] = about["vocabulary"]["symbols"]
        self.hidden: int = about["config"]["hidden_size"]
        data = memoryview(content)[8 + size :]
        weights = {}
        for name, tensor in header.items():
            first, last = tensor["data_offsets"]
            weights[name] = np.frombuffer(data[first:last], "<f4").reshape(tensor["shape"])
        super().__init__(weights)

    def encode(self, text: str) -> Ids:
        return np.array([self.symbols.index(char) for char in text], np.intp)

    def empty(self, streams: int = 1) -> tuple[Doubles, Doubles]:
        """Outputs and cell states ``(L, B, H)`` before a text."""
        return np.zeros((self.layers, streams, self.hidden)), np.zeros((self.layers, streams, self.hidden))

    def one_hot(self, ids: Ids) -> Doubles:
        return np.eye(len(self.symbols))[ids]

    def read(self, shown: Doubles, outputs: Doubles, cells: Doubles) -> Doubles:
        """Read as :meth:`step`, and return the probabilities of the next character in each stream, ``(B, V)``."""
        logits = self.step(shown, outputs, cells)
        exponentials = np.exp(logits - logits.max(1, keepdims=True))
        shares: Doubles = exponentials / exponentials.sum(1, keepdims=True)
        return shares

    def states(self, ids: Ids) -> Iterator[Doubles]:
        """The cell states ``(L * H,)`` after each character."""
        outputs, cells = self.empty()
        for shown in ids:
            self.step(self.one_hot(np.array([shown])), outputs, cells)
            yield cells.ravel().copy()


def auc(states: Doubles, true: npt.NDArray[np.bool_]) -> float:
    """In which part of all pairs, of a character where the feature is true and one where it is not, the state is higher
    in the first; equal ones count half."""
    others = np.sort(states[~true])
    below = np.searchsorted(others, states[true], "left")
    up_to = np.searchsorted(others, states[true], "right")
    return float((below + up_to).sum() / 2 / (true.sum() * len(others)))


def margin(states: Doubles, true: npt.NDArray[np.bool_]) -> float:
    """Two standard errors of an AUC: 20 segments of the text are drawn again with repetition, 400 times."""
    random, parts = np.random.default_rng(1), np.array_split(np.arange(len(states)), 20)
    scores = []
    for _ in range(400):
        drawn = np.concatenate([parts[part] for part in random.integers(0, 20, 20)])
        if 0 < true[drawn].sum() < len(drawn):
            scores.append(auc(states[drawn], true[drawn]))
    return float(2 * np.std(scores) * np.sqrt(20 / 19))


@pytest.fixture
def story(random_model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Network, str, Ask]:
    """A network, a text and the commands about both."""
    model, file = tmp_path / "random.safetensors", tmp_path / "words.txt"
    save_model(model, random_model)
    words = np.random.default_rng(2).choice(["a", "bad", "face", "hid", "cab", "jig", "beach\n"], 1200)
    file.write_text(" ".join(words))

    def ask(name: str, *options: str) -> Any:
        assert run([name, str(model), str(file), "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    return Network(model), " ".join(words), ask


def test_cells_and_their_probe(story: tuple[Network, str, Ask]) -> None:
    network, text, ask = story
    states, true = np.array(list(network.states(network.encode(text)))), np.array([char.isspace() for char in text])
    # cells are chosen on every second block of the text, and scored on the others
    edges = np.linspace(0, len(text), len(text) // 500 * 2 + 1).astype(np.intp)
    blocks = [np.arange(start, stop) for start, stop in pairwise(edges)]
    first, second = ((states[half], true[half]) for half in map(np.concatenate, (blocks[::2], blocks[1::2])))

    row = next(row for row in ask("cells") if row["feature"] == "blank")
    scores = np.array([auc(column, first[1]) for column in first[0].T])
    best = int(np.argmax(np.abs(scores - 0.5)))
    assert [best // network.hidden + 1, best % network.hidden + 1] == row["cell"]
    assert row["score"] == pytest.approx(auc(second[0][:, best], second[1]), abs=1e-3)
    two_errors = margin(second[0][:, best], second[1])
    assert row["margin"] == pytest.approx(two_errors, abs=0.2 * two_errors + 1e-3)

    probe = ask("cells", "--probe", "blank")
    theirs = np.zeros(states.shape[1])
    for each in probe:
        theirs[(each["cell"][0] - 1) * network.hidden + each["cell"][1] - 1] = each["weight"]
    deviation = first[0].std(0)
    weights, _ = sparse_regression((first[0] - first[0].mean(0)) / deviation, first[1].astype(np.float64), PENALTY)
    assert np.count_nonzero(weights) == len(probe)
    assert np.abs(weights - theirs * deviation).max() < 0.02 * np.abs(weights).max()


def test_influence(story: tuple[Network, str, Ask]) -> None:
    network, text, ask = story
    ids, at = network.encode(text), WARM_UP + BACK  # so that the command begins to read at the start of the text
    # Stream 0 reads the text, and stream n has the n-th of the hidden characters replaced by what was expected there.
    (outputs, cells), shares = network.empty(1 + BACK), np.zeros((1 + BACK, len(network.symbols)))
    for place in range(at):
        shown = network.one_hot(np.full(1 + BACK, ids[place]))
        if place >= at - BACK:
            shown[1 + place - (at - BACK)] = shares[0]
        shares = network.read(shown, outputs, cells)
    losses = -np.log(shares[:, ids[at]])
    changes = [row["change"] for row in ask("influence", "--at", str(at))]
    assert changes == pytest.approx(losses[1:] - losses[0], abs=1e-3)


def test_context(story: tuple[Network, str, Ask]) -> None:
    network, text, ask = story
    ids, rows = network.encode(text), ask("context")
    places = np.unique(np.linspace(rows[-1]["context"], len(ids) - 1, 200).astype(np.intp))
    losses = []
    for row in rows:
        outputs, cells = network.empty(len(places))
        for back in range(row["context"], 0, -1):
            shares = network.read(network.one_hot(ids[places - back]), outputs, cells)
        losses.append(-np.log(shares[np.arange(len(places)), ids[places]]))
    table = np.array(losses)
    assert [row["loss"] for row in rows] == pytest.approx(table.mean(1), abs=1e-3)
    random = np.random.default_rng(12345)
    drawn = np.array([table[:, random.integers(0, len(places), len(places))].mean(1) for _ in range(4000)])
    shortest = np.argmax(drawn <= drawn.min(1, keepdims=True) + ENOUGH, axis=1)
    enough = [(shortest <= place).mean() for place in range(len(rows))]
    assert [row["enough"] for row in rows] == pytest.approx(enough, abs=0.05)
