"""Clicks in Generate hit the row and the character that are under the pointer on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widget import Widget

from charlstm.display import symbol
from charlstm_tui.generate.candidates import Candidates
from playing_app import Session, playing


def place_of(it: Session, words: str, widget: Widget) -> tuple[int, int]:
    """Where ``words`` stand on the screen, within ``widget``."""
    region = widget.content_region
    for y, line in enumerate(it.screen_text().splitlines()):
        x = line.find(words, region.x, region.right)
        if x >= 0 and region.contains(x, y):
            return x, y
    raise AssertionError(f"{words!r} is not in the widget:\n{it.screen_text()}")


def row_of(it: Session, char: str) -> tuple[int, int]:
    """Where the candidate ``char`` stands on the screen."""
    left = it.screen.query_one(Candidates).content_region.x
    rows = [line[left:] for line in it.screen_text().splitlines()]
    return left + 4, next(y for y, row in enumerate(rows) if row.startswith(f"  {symbol(char)} "))


@pytest.mark.parametrize("count", [60, 1500])
async def test_click_in_the_text_puts_the_cursor_on_that_character(model: Path, count: int) -> None:
    async with playing(model, paused=count) as it:
        line = it.text.replace("\n", " ")
        words = next(line[at : at + 6] for at in range(len(line) - 12, 0, -1) if " " not in line[at : at + 6])
        position = it.text.rindex(words)
        for size in ((80, 24), (120, 36), (200, 60)):
            await it.resize(*size)
            await it.press("ctrl+end")
            x, y = place_of(it, words, it.screen.play.text_view)
            await it.pilot.click(offset=(x + 2, y))
            await it.until(lambda: it.position == position + 2 - len(it.prime))
            assert it.screen.play.text_view.cursor == position + 2


async def test_click_on_a_candidate_chooses_it_and_in_write_leaves_what_follows(model: Path) -> None:
    async with playing(model, paused=20) as it:
        candidates = it.screen.query_one(Candidates)
        for size in ((80, 24), (120, 36)):
            await it.resize(*size)
            for number in (1, len(candidates.shown[:9]), 3):
                char = candidates.shown[number - 1].char
                wanted = it.text + char
                await it.pilot.click(offset=row_of(it, char))
                await it.until(lambda wanted=wanted: it.text == wanted and it.state.is_current)
        before, place = it.text, it.position - 5
        await it.press("w", *["left"] * 5)
        await it.until(lambda: it.position == place and len(candidates.shown) > 2)
        char = candidates.shown[1].char
        await it.pilot.click(offset=row_of(it, char))
        await it.until(lambda: it.text == before[:-5] + char + before[-5:])
        assert it.position == place + 1
        await it.press("ctrl+z", gives=before)
