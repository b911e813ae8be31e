"""On a language with known hidden state, insight finds that state, and steering by it has the effect it should have."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.generation.clamp import Clamp
from charlstm.generation.generate import generate_many
from charlstm.generation.prime import prepare_prime
from charlstm.generation.recipe import DEFAULT
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from charlstm.insight.activations import activations
from charlstm.insight.cells import CellSample, name_cells, probe, sample_cells
from charlstm.insight.features import feature_starts, text_features
from charlstm.insight.holding import LENGTH, PAIRS, HoldEffect, hold_effects
from charlstm.insight.influence import influence
from charlstm.model.file import Model

pytestmark = pytest.mark.numeric

QUOTES = "inside quotes"


@pytest.fixture(scope="module")
def sample(nested_model: Model, held_out: str) -> CellSample:
    return sample_cells(nested_model, held_out)


def odds_of_closing_quote(model: Model, text: str, clamps: tuple[Clamp, ...]) -> np.ndarray:
    """Odds of ” after each character of ``text``."""
    stepper = Stepper(model)
    stepper.clamps = clamps
    ids = prepare_prime(model, text).ids
    logits = np.concatenate([stepper.head(tops) for _, tops in stepper.outputs(ids, stepper.zero_state())])
    share = softmax(logits)[:, model.vocabulary.encode("”")[0][0]]
    return share / (1 - share)


def inside_quotes(text: str) -> np.ndarray:
    return next(each for each in text_features(text) if each.name == QUOTES).values > 0


def test_a_cell_or_a_probe_finds_inside_quotes(sample: CellSample) -> None:
    named = next(each for each in name_cells(sample) if each.feature == QUOTES)
    found = probe(sample, QUOTES)
    assert max(named.score, 1 - named.score, found.score) > 0.95
    assert named.above_chance
    assert named.chance < 0.8


def test_clamping_the_cell_of_quotes_raises_the_odds_of_a_closing_quote_and_random_cells_do_not(
    nested_model: Model, held_out: str, sample: CellSample
) -> None:
    """Each cell is held where it is, on average, inside quotes; the odds are averaged over places outside quotes."""
    text = held_out[:3000]
    named = next(each for each in name_cells(sample) if each.feature == QUOTES)
    states = activations(nested_model, text).cells
    outside = ~inside_quotes(text)
    free = odds_of_closing_quote(nested_model, text, ())[outside]

    def effect(layer: int, cell: int) -> float:
        value = float(states[~outside, layer - 1, cell - 1].mean())
        clamped = odds_of_closing_quote(nested_model, text, (Clamp(layer, cell, value=value),))[outside]
        return float(clamped.mean() / free.mean())

    assert effect(*named.cell) > 5
    others = [cell for cell in range(1, 49) if (1, cell) != named.cell]
    random = np.random.default_rng(0).permutation(others)[:12]
    assert np.mean([effect(1, int(cell)) for cell in random]) < 1.5


def test_a_distant_opening_bracket_is_the_strongest_influence_on_the_closing_one(nested_model: Model) -> None:
    for opener, closer in ("[]", "()"):
        text = f"ab cd {opener}" + "abc dab cad " + closer
        result = influence(nested_model, text, len(text) - 1)
        assert result.strongest == text.index(opener)
        assert result.changes[result.strongest - result.start] > 0.5


def test_holding_the_cell_of_quotes_ends_in_a_sentence_and_another_cell_changes_nothing_that_can_be_told(
    nested_model: Model, held_out: str, sample: CellSample
) -> None:
    named = next(each for each in name_cells(sample) if each.feature == QUOTES)

    def effect(layer: int, cell: int, value: float) -> HoldEffect:
        clamp = Clamp(layer, cell, value=value)
        [found] = hold_effects(nested_model, [QUOTES], [clamp], prime=held_out[:300], recipe=DEFAULT)
        return found

    free = effect(*named.cell, value=0).free
    texts = generate_many(nested_model, held_out[:300], LENGTH, DEFAULT, samples=PAIRS, threads=1)
    assert free == pytest.approx(np.mean([1000 * feature_starts(QUOTES, held_out[:300], each) / 500 for each in texts]))
    outside = named.high if named.follows_low else named.low
    held = effect(*named.cell, value=named.end_of_range), effect(*named.cell, value=outside)
    assert any(each.tells and each.sentence.startswith("It writes ") for each in held)
    same = HoldEffect(QUOTES, 4.0, 4.5, 0.3, 32_000)
    assert same.sentence == (
        "Holding it changes nothing that can be told from chance: “inside quotes” 4.5 times in 1,000 characters, "
        "not 4.0 (+0.50 ±0.60)."
    )
