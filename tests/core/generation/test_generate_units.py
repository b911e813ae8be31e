"""Whole units: names, tunes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from charlstm.errors import GenerationError
from charlstm.generation.generate import MOST_DRAWN, generate_units
from charlstm.generation.prime import prepare_prime
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.model.file import Model
from charlstm.text.reading import TextOptions


@pytest.fixture
def names(make_model) -> Model:
    """Writes a or b, or ends the unit."""
    model = make_model("\nab", scale=0.3)
    return replace(model, text_options=TextOptions(units="lines"))


def test_units_are_whole_and_known_or_repeated_ones_are_left_out(names: Model) -> None:
    some = generate_units(names, 30, 40)
    assert len(some) == 30
    assert all(set(unit) <= set("ab") for unit in some)
    assert len(set(some)) < 30
    new = generate_units(names, 10, 40, known={"a", "b"}, unique=True)
    assert len(set(new)) == 10
    assert not {"a", "b"} & set(new)


def test_search_for_new_units_ends(names: Model) -> None:
    every = [a + b + c for a in ("", "a", "b") for b in ("", "a", "b") for c in ("", "a", "b")]
    progress: list[int] = []
    assert generate_units(names, 3, 2, known=every, progress=progress.append) == []
    assert len(progress) <= MOST_DRAWN


def test_unit_begins_with_the_prefix(make_model) -> None:
    model = replace(make_model("\nX:ab", scale=0.3), text_options=TextOptions(units="X:"))
    assert all(unit.startswith("X:") and "\nX:" not in unit for unit in generate_units(model, 20, 60))


def test_model_without_units_is_refused(make_model) -> None:
    with pytest.raises(GenerationError, match="--split-units"):
        generate_units(make_model(), 3)


def test_reading_goes_back_into_a_unit_as_it_was_read(make_model) -> None:
    """A separator may stand across the place of a stored state."""
    model = replace(make_model("\nab"), text_options=TextOptions(units="blank-lines"))
    prime = prepare_prime(model, "")
    reading = Reading(model, prime, Recipe(3))
    for _ in range(200):
        reading.draw()
    before = [reading.distribution(at).entropy for at in range(200)]
    again = Reading(model, prime, Recipe(3))
    again.follow(reading.text)
    again.read(200)
    assert [again.distribution(at).entropy for at in reversed(range(200))] == pytest.approx(before[::-1], abs=1e-4)
    assert np.ptp(before) > 0
