"""The examples of docs/insight.md hold for the model in the box."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from charlstm.generation.clamp import parse_clamp
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from charlstm.insight.influence import influence
from charlstm.insight.multiverse import read_text
from charlstm.model.file import Model, load_model

pytestmark = pytest.mark.numeric

ROOT = Path(__file__).parents[3]
PAGE = " ".join((ROOT / "docs" / "insight.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def demo() -> Model:
    return load_model(ROOT / "checkpoints" / "demo.safetensors")


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
