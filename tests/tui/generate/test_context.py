"""Context in Generate: how far back the model looks, for all of a text and for the place at the cursor."""

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
    async with playing(model, paused=420) as app:
        await app.press("left", "left", "left", "g")
        view = app.screen.context
        await app.until(lambda: view.whole is not None and view.here is not None)
        assert view.text_view.text() == app.text
        place = view.text_view.cursor
        assert place == len(app.text) - 3
        whole = context(loaded, app.text)  # at the same places as the command and the library
        here = context(loaded, app.text[: place + 1], at=place)
        found = view.whole.context
        assert found.places == whole.places
        assert np.allclose(found.losses, whole.losses, atol=1e-4)
        assert np.allclose(view.here.losses, here.losses, atol=1e-4)
        low, high = found.used_range
        uses = f"uses about {plural(found.used, 'character')} ({low} to {high}, 95 %) · at the cursor {view.here.used}"
        char = quoted(app.text[place])
        await app.shows("[Context]", uses, f"loss of {char} in nats by characters read", f"{here.losses[4]:.2f}")
        assert view.text_view.scale == SCALE
        await app.press("u")
        in_bits = f"{here.losses[4] / math.log(2):.2f}"
        await app.shows(f"loss of {char} in bits by characters read", "MODEL loss in bits at", in_bits)
        await app.says("bits", "helps")
        await app.press("u")

        marks = [level(mark, SCALE) for mark in view.text_view.marks()]
        assert set(marks[: place - LENGTHS[-1]]) == {0}
        gain = here.losses[3] - here.losses[4]  # of the characters 6 to 8 before the cursor
        assert set(marks[place - 8 : place - 5]) == set(SCALE.levels(np.array([gain])).tolist())

        view.text_view.cursor = 3
        await app.press("left", until=lambda: view.here is not None and view.here.lengths == (1, 2))
        await app.press("left", "left", shows="The first character is not predicted.")
        await app.go("play", "escape")
        await app.paused(900)
        await app.press("g", shows=f"{context(loaded, app.text).places} places in this text")


async def test_a_text_that_is_too_short_says_so(model: Path) -> None:
    async with playing(model, (60, 24), paused=60) as app:
        await app.press("g", shows="a context of 300 characters", until=lambda: app.screen.context.here is not None)
        assert app.screen.context.here.lengths[-1] == 50


async def test_context_of_a_scored_text_and_of_a_part_of_it_which_reads_what_is_before(model: Path) -> None:
    async with scored(model) as (app, score):
        view = app.screen.context
        await app.press("enter", "g", until=lambda: view.here is not None)
        assert view.text_view.cursor == score.text_view.cursor
        await app.go("score", "escape")
        await app.score_part(20, 40)
        score.put_cursor(3)
        await app.press("g")
        expected = context(load_model(model), app.text, at=23, lengths=[each for each in LENGTHS if each <= 23])
        await app.until(lambda: view.here is not None and view.here.lengths == expected.lengths)
        assert (view.text_view.text(), view.text_view.cursor) == (app.text[:40], 23)
        assert np.allclose(view.here.losses, expected.losses, atol=1e-4)
        await app.go("score", "escape")
        await app.go("multiverse", "f")
        await app.go("context", "g")
        assert view.text_view.text() == app.text[:40]
