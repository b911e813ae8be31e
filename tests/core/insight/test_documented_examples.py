"""The examples of docs/insight.md hold for the model in the box."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from charlstm.generation.clamp import parse_clamp
from charlstm.generation.recipe import DEFAULT
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from charlstm.insight.cells import name_cells, sample_cells
from charlstm.insight.holding import HoldEffect, hold_effects
from charlstm.insight.influence import influence
from charlstm.insight.multiverse import read_text
from charlstm.model.file import Model, load_model

pytestmark = pytest.mark.numeric

ROOT = Path(__file__).parents[3]
PAGE = " ".join((ROOT / "docs" / "insight.md").read_text(encoding="utf-8").split())

SPEECHES = ("I do not know", "It is a cold day", "We shall see", "He will come back", "That is what I think", "Go home")
OTHERS = (
    "The old man went to the window and looked at the garden for a while.",
    "Nobody in the house had heard the carriage, and the fire was almost out.",
    "It was late in the evening, and the road to the village was dark.",
)


@pytest.fixture(scope="module")
def demo() -> Model:
    return load_model(ROOT / "checkpoints" / "demo.safetensors")


def dialogue(lines: int) -> str:
    random = np.random.default_rng(0)
    said = ("said she", "he answered", "said the old man", "she asked")
    return "\n\n".join(
        f'"{random.choice(SPEECHES)}," {random.choice(said)}. "{random.choice(SPEECHES)}."'
        if random.random() < 0.5
        else str(random.choice(OTHERS))
        for _ in range(lines)
    )


def test_the_cell_of_quotes_is_the_documented_one(demo: Model) -> None:
    named = next(each for each in name_cells(sample_cells(demo, dialogue(160))) if each.feature == "inside quotes")
    assert named.verdict == "follows"
    assert named.cell == (2, 424)
    assert named.turned() > 0.97
    assert named.follows_low
    assert '`2:424` follows "inside quotes"' in PAGE


def test_probabilities_of_a_closing_quote_with_the_cell_held_are_the_documented_ones(demo: Model) -> None:
    stepper, [prime] = Stepper(demo), set(re.findall(r"--prime '(He came home[^']*)'", PAGE))
    for words, clamp, share in (
        ("10.0 % when nothing is held", None, 0.100),
        ("10.3 % with `--clamp 2:424=-2`", "2:424=-2", 0.103),
        ("1.4 % with `2:424=0`", "2:424=0", 0.014),
        ("0.1 % with `2:424=2`", "2:424=2", 0.001),
    ):
        assert words in PAGE
        stepper.clamps = () if clamp is None else (parse_clamp(clamp),)
        found = softmax(read_text(demo, prime, stepper=stepper).logits)[0, demo.vocabulary.index('"')]
        assert float(found) == pytest.approx(share, abs=0.0006)


def test_what_holding_a_cell_changes_is_what_is_documented(demo: Model) -> None:
    quoted = re.findall(r"^> ?(.*)$", (ROOT / "docs" / "insight.md").read_text(encoding="utf-8"), re.MULTILINE)
    prime = "\n".join(quoted) + "\n\n"

    def effect(clamp: str) -> HoldEffect:
        return hold_effects(demo, ["inside quotes"], [parse_clamp(clamp)], prime=prime, recipe=DEFAULT)[0]

    inside, other = effect("2:424=1.5"), effect("2:425=1.5")
    assert (inside.held, inside.free) == (pytest.approx(3.6, abs=0.9), pytest.approx(8, abs=1.2))
    assert inside.sentence.startswith("It writes fewer")
    assert other.sentence.startswith("Holding it changes nothing that can be told from chance")
    assert "quotes begin 4 times in 1,000 characters with `2:424=1.5` and 8 times with nothing held" in PAGE


def test_the_character_that_counts_most_is_the_documented_one(demo: Model) -> None:
    [sentence] = re.findall(r"at the end of `([^`]*)` the opening quote", PAGE)
    found = influence(demo, sentence, len(sentence) - 1)
    assert found.strongest == 0
    assert len(sentence) - 1 == 36
    assert math.exp(-found.loss) == pytest.approx(0.69, abs=0.01)
    assert math.exp(-found.loss - float(found.changes[0])) == pytest.approx(0.01, abs=0.004)
    assert float(found.changes[0]) == pytest.approx(4.3, abs=0.05)
    assert "36 characters before" in PAGE
    assert "falls from 69 % to 1 % (+4.3 nats)" in PAGE
