"""Context in Generate: how far back the model looks, for all of a text and for the place at the cursor."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from charlstm.display import plural, quoted
from charlstm.insight.context import LENGTHS, context
from charlstm.model.file import load_model
from charlstm_tui.clipboard import Copyable
from charlstm_tui.generate.context_view import SCALE, ContextCurve, ContextCurves
from charlstm_tui.player.marks import level
from playing_app import playing


async def test_how_far_back_the_model_looks_for_a_text_and_for_the_place_at_the_cursor(model: Path) -> None:
    loaded = load_model(model)
    async with playing(model) as it:
        await it.paused(420)
        await it.pilot.press("left", "left", "left", "g")
        view = it.screen.context
        await it.until(lambda: view.whole is not None and view.here is not None)
        assert "[Context]" in it.screen_text()
        assert view.text_view.text() == it.text
        assert it.screen.copyable() == Copyable("the text with its prime", it.text)
        place = view.text_view.cursor
        assert place == len(it.text) - 3
        whole = context(loaded, it.text)  # at the same places as the command and the library
        assert view.whole is not None
        assert view.whole.context.places == whole.places
        assert np.allclose(view.whole.context.losses, whole.losses, atol=1e-4)
        assert view.whole.context.used_range is not None
        low, high = view.whole.context.used_range
        here = context(loaded, it.text[: place + 1], at=place)
        assert view.here is not None
        assert np.allclose(view.here.losses, here.losses, atol=1e-4)
        assert (
            f"uses about {plural(view.whole.context.used, 'character')} ({low} to {high}, 95 %)"
            f" · at the cursor {view.here.used}" in it.screen_text()
        )
        assert f"loss of {quoted(it.text[place])} in nats by characters read" in it.screen_text()
        assert f"{here.losses[4]:.2f}" in it.screen_text()
        assert view.text_view.scale == SCALE
        await it.pilot.press("u")
        await it.until(lambda: f"loss of {quoted(it.text[place])} in bits by characters read" in it.screen_text())
        assert "MODEL loss in bits at" in " ".join(it.screen_text().split())
        assert f"{here.losses[4] / math.log(2):.2f}" in it.screen_text()
        assert "bits" in it.status()
        await it.pilot.press("u")
        assert "helps" in it.status()

        marks = [level(mark, SCALE) for mark in view.text_view.marks()]
        assert set(marks[: place - LENGTHS[-1]]) == {0}
        gain = here.losses[3] - here.losses[4]  # of the characters 6 to 8 before the cursor
        assert set(marks[place - 8 : place - 5]) == set(SCALE.levels(np.array([gain])).tolist())

        view.text_view.cursor = 3
        await it.pilot.press("left")
        await it.until(lambda: view.here is not None and view.here.lengths == (1, 2))
        await it.pilot.press("left", "left")
        await it.until(lambda: "The first character is not predicted." in it.screen_text())
        await it.pilot.press("escape")
        assert it.screen.view_name == "play"


async def test_the_bars_of_the_model_and_of_the_place_have_one_scale(model: Path) -> None:
    async with playing(model, (100, 45)) as it:
        await it.paused(420)
        await it.pilot.press("g")
        view = it.screen.context
        await it.until(lambda: view.whole is not None and view.here is not None)
        assert view.whole is not None
        twice = replace(view.whole.context, losses=tuple(2 * loss for loss in view.whole.context.losses))
        curves = view.query_one(ContextCurves)
        curves.show((ContextCurve("MODEL", "", view.whole.context), ContextCurve("HERE", "", twice)), 4, False)
        await it.pilot.pause()
        assert "█" not in "".join(curves.render_line(row).text for row in (1, 2)), "half as high as that below"
        assert "█" in "".join(curves.render_line(row).text for row in (7, 8))


async def test_a_text_that_is_too_short_says_so_and_the_place_is_measured(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(60)
        await it.pilot.resize_terminal(60, 24)
        await it.pilot.press("g")
        view = it.screen.context
        await it.until(lambda: view.here is not None and view.here.lengths[-1] == 50)
        assert view.here is not None
        shown = [name for name in view.query_one(ContextCurves).render_line(8).text.split() if name.isdigit()]
        assert shown == [str(length) for length in sorted({*LENGTHS[::2], view.here.used})]
        await it.until(lambda: "a context of 300 characters" in " ".join(it.screen_text().split()))


async def test_context_of_a_scored_text(model: Path) -> None:
    async with playing(model) as it:
        await it.score_shown(60)
        await it.pilot.press("enter", "g")
        view = it.screen.context
        await it.until(lambda: view.here is not None)
        assert view.text_view.cursor == it.screen.score.text_view.cursor
        await it.pilot.press("escape")
        assert it.screen.view_name == "score"


async def test_context_in_a_part_of_a_scored_text_reads_what_is_before_it(model: Path) -> None:
    loaded = load_model(model)
    async with playing(model) as it:
        score = await it.part_scored(60, 20, 40)
        score.put_cursor(3)
        await it.pilot.press("g")
        view = it.screen.context
        await it.until(lambda: view.here is not None)
        assert (view.text_view.text(), view.text_view.cursor) == (it.text[:40], 23)
        expected = context(loaded, it.text, at=23, lengths=[length for length in LENGTHS if length <= 23])
        assert view.here is not None
        assert np.allclose(view.here.losses, expected.losses, atol=1e-4)


async def test_the_model_is_measured_again_on_another_text_where_its_run_has_none(model: Path) -> None:
    loaded = load_model(model)
    async with playing(model) as it:
        await it.paused(60)
        await it.pilot.press("g")
        view = it.screen.context
        await it.until(lambda: "a context of 300 characters" in " ".join(it.screen_text().split()))
        await it.pilot.press("escape")
        for count in (420, 900):
            await it.paused(count)
            await it.pilot.press("g")
            expected = context(loaded, it.text)
            await it.until(lambda: view.whole is not None)
            assert view.whole is not None
            assert view.whole.context.places == expected.places
            assert np.allclose(view.whole.context.losses, expected.losses, atol=1e-4)
            assert f"{expected.places} places in this text" in " ".join(it.screen_text().split())
            whole = view.whole
            await it.pilot.press("escape", "g")
            assert view.whole is whole, "the text is the same"
            await it.pilot.press("escape")
