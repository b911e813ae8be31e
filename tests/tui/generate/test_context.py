"""Context in Generate: how far back the model looks, for all of a text and for the place at the cursor."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from charlstm.display import plural, quoted
from charlstm.insight.context import LENGTHS, context
from charlstm.model.file import load_model
from charlstm_tui.generate.context_view import SCALE
from charlstm_tui.player.marks import level
from playing_app import playing, scored


async def test_how_far_back_the_model_looks_for_a_text_and_for_the_place_at_its_cursor(model: Path) -> None:
    loaded = load_model(model)
    async with playing(model, paused=420) as it:
        await it.press("left", "left", "left", "g")
        view = it.screen.context
        await it.until(lambda: view.whole is not None and view.here is not None)
        assert view.text_view.text() == it.text
        place = view.text_view.cursor
        assert place == len(it.text) - 3
        whole = context(loaded, it.text)  # at the same places as the command and the library
        here = context(loaded, it.text[: place + 1], at=place)
        found = view.whole.context
        assert found.places == whole.places
        assert np.allclose(found.losses, whole.losses, atol=1e-4)
        assert np.allclose(view.here.losses, here.losses, atol=1e-4)
        low, high = found.used_range
        uses = f"uses about {plural(found.used, 'character')} ({low} to {high}, 95 %) · at the cursor {view.here.used}"
        char = quoted(it.text[place])
        await it.shows("[Context]", uses, f"loss of {char} in nats by characters read", f"{here.losses[4]:.2f}")
        assert view.text_view.scale == SCALE
        await it.press("u")
        in_bits = f"{here.losses[4] / math.log(2):.2f}"
        await it.shows(f"loss of {char} in bits by characters read", "MODEL loss in bits at", in_bits)
        await it.says("bits", "helps")
        await it.press("u")

        marks = [level(mark, SCALE) for mark in view.text_view.marks()]
        assert set(marks[: place - LENGTHS[-1]]) == {0}
        gain = here.losses[3] - here.losses[4]  # of the characters 6 to 8 before the cursor
        assert set(marks[place - 8 : place - 5]) == set(SCALE.levels(np.array([gain])).tolist())

        view.text_view.cursor = 3
        await it.press("left")
        await it.until(lambda: view.here is not None and view.here.lengths == (1, 2))
        await it.press("left", "left", shows="The first character is not predicted.")
        await it.go("play", "escape")
        await it.paused(900)
        await it.press("g", shows=f"{context(loaded, it.text).places} places in this text")


async def test_a_text_that_is_too_short_says_so(model: Path) -> None:
    async with playing(model, (60, 24), paused=60) as it:
        await it.press("g", shows="a context of 300 characters")
        await it.until(lambda: it.screen.context.here is not None)
        assert it.screen.context.here.lengths[-1] == 50


async def test_context_of_a_scored_text_and_of_a_part_of_it_which_reads_what_is_before(model: Path) -> None:
    loaded = load_model(model)
    async with scored(model) as (it, score):
        view = it.screen.context
        await it.press("enter", "g")
        await it.until(lambda: view.here is not None)
        assert view.text_view.cursor == score.text_view.cursor
        await it.go("score", "escape")
        await it.score_part(20, 40)
        score.put_cursor(3)
        await it.press("g")
        expected = context(loaded, it.text, at=23, lengths=[length for length in LENGTHS if length <= 23])
        await it.until(lambda: view.here is not None and view.here.lengths == expected.lengths)
        assert (view.text_view.text(), view.text_view.cursor) == (it.text[:40], 23)
        assert np.allclose(view.here.losses, expected.losses, atol=1e-4)
        await it.go("score", "escape")
        await it.go("multiverse", "f")
        await it.go("context", "g")
        assert view.text_view.text() == it.text[:40]
