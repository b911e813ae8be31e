"""On a language with known hidden state, insight finds that state, and steering by it has the effect it should have."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.generation.clamp import Clamp
from charlstm.generation.generate import generate_many
from charlstm.generation.recipe import DEFAULT
from charlstm.insight.cells import NamedCell, name_cells, sample_cells
from charlstm.insight.features import feature_starts
from charlstm.insight.holding import LENGTH, PAIRS, HoldEffect, hold_effects
from charlstm.insight.influence import influence
from charlstm.model.file import Model

pytestmark = pytest.mark.numeric

QUOTES = "inside quotes"


@pytest.fixture(scope="module")
def named(nested_model: Model, held_out: str) -> NamedCell:
    """The cell that tells quotes."""
    return next(each for each in name_cells(sample_cells(nested_model, held_out)) if each.feature == QUOTES)


def test_a_cell_finds_inside_quotes(named: NamedCell) -> None:
    assert named.above_chance
    assert named.strength() > 0.75


def test_a_distant_opening_bracket_is_the_strongest_influence_on_the_closing_one(nested_model: Model) -> None:
    for opener, closer in ("[]", "()"):
        text = f"ab cd {opener}" + "abc dab cad " + closer
        result = influence(nested_model, text, len(text) - 1)
        assert result.strongest == text.index(opener)
        assert result.changes[result.strongest - result.start] > 0.5


def test_holding_the_cell_of_quotes_changes_what_is_written_and_ends_in_a_sentence(
    nested_model: Model, held_out: str, named: NamedCell
) -> None:
    prime = held_out[:300]

    def effect(value: float) -> HoldEffect:
        clamp = Clamp(*named.cell, value=value)
        [found] = hold_effects(nested_model, [QUOTES], [clamp], prime=prime, recipe=DEFAULT)
        return found

    held = effect(named.end_of_range), effect(named.high if named.follows_low else named.low)
    assert any(each.tells and each.sentence.startswith("It writes ") for each in held)
    texts = generate_many(nested_model, prime, LENGTH, DEFAULT, samples=PAIRS, threads=1)
    assert held[0].free == pytest.approx(np.mean([1000 * feature_starts(QUOTES, prime, each) / 500 for each in texts]))
    same = HoldEffect(QUOTES, 4.0, 4.5, 0.3, 32_000)
    assert same.sentence == (
        "Holding it changes nothing that can be told from chance: “inside quotes” 4.5 times in 1,000 characters, "
        "not 4.0 (+0.50 ±0.60)."
    )
