"""The text as an editor: the cursor stays in view, keys move it and act on what is selected, and clicks hit the row and
the character that are under the pointer."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from textual.geometry import Offset
from textual.selection import Selection
from textual.widget import Widget

from charlstm.display import symbol
from charlstm.generation.scoring import score
from charlstm.model.file import load_model
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.continuations_dialog import ContinuationsDialog
from charlstm_tui.player.model_thread import Batch, ModelThread
from charlstm_tui.player.opening import PlayRequest
from playing_app import PRIME, Session, at, playing
from stepped_player import SteppedPlayer

LINES = "a line of text\n" * 60


async def with_words(it: Session) -> str:
    """Put four words in, and begin to write. Gives the text."""
    await it.paused(2)
    it.player.insert_at("one two three four", at(2))
    await it.until(lambda: it.text.endswith("four"))
    await it.go("write", "w")
    return it.text


def shows_cursor(it: Session) -> bool:
    text = it.screen.play.text_view
    row = text._text_layout.row_of(text.cursor)
    return bool(text.scroll_offset.y <= row < text.scroll_offset.y + text.size.height)


async def with_lines(it: Session) -> None:
    """Put 60 lines in."""
    await it.paused(5)
    it.player.insert_at(LINES, at(5))
    await it.until(lambda: it.text.count("\n") == 60)


async def test_the_cursor_is_in_view_after_every_change_of_it_or_of_the_panes(model: Path) -> None:
    async with playing(model, size=(100, 30)) as it:
        await with_lines(it)
        await it.press("up", "z", "z")
        await it.until(lambda: it.screen.maximized is None and it.screen.play.text_view.size.width < 80)
        assert shows_cursor(it)

        it.screen.play.text_view.scroll_to(y=0, animate=False)
        await it.enter("i", "own")
        await it.until(lambda: it.text.endswith("own"))
        assert shows_cursor(it)

        it.player.move(at(20))
        await it.until(lambda: it.position == 20)
        await it.press("ctrl+z")
        await it.until(lambda: it.position > 100)
        assert shows_cursor(it)

        await it.go("write", "w")
        await it.resize(80, 24)
        await it.until(lambda: shows_cursor(it))


async def test_in_write_what_is_selected_is_erased_replaced_and_cut(model: Path) -> None:
    async with playing(model, size=(100, 30)) as it:
        before, text = await with_words(it), it.screen.play.text_view
        start = it.text.index("two")  # the mouse selects "two ", far from the cursor
        it.screen.selections = {text: Selection(Offset(start, 0), Offset(start + 4, 0))}
        await it.press("delete", gives=before.replace("two ", ""))
        assert text.selected is None
        await it.press("ctrl+z")
        await it.until(lambda: it.text == before and it.state.position == it.state.size)

        await it.burst(*["shift+left"] * 4)
        await it.until(lambda: text.selected == (len(before) - 4, len(before)))
        await it.burst("x", "y", gives=before.replace("four", "xy"))
        await it.press("ctrl+z", gives=before)

        keys = ("ctrl+end", "ctrl+shift+left", "ctrl+shift+left", "shift+right", "ctrl+x")
        await it.press(*keys, gives=before.replace("hree four", ""))
        assert it.app.clipboard == "hree four"
        await it.press("ctrl+left", "backspace", "ctrl+r", says="Ctrl+Z brings them back")
        assert it.text.endswith("two")
        await it.press("shift+home", "T", says="The prime is part of the text now", gives="T")
        await it.press("shift+left", "right", "x", gives="Tx")


async def test_keys_act_in_their_order_and_where_those_before_have_put_the_cursor(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the thread computes comes as late as on a busy machine, where "←←← r" regenerated from the end of the
    text."""
    post = ModelThread._post

    def post_late(thread: ModelThread, number: int, batch: Batch) -> None:
        time.sleep(0.02)
        post(thread, number, batch)

    monkeypatch.setattr(ModelThread, "_post", post_late)
    async with playing(model, size=(100, 30)) as it:
        before, copied = await with_words(it), list[str]()
        monkeypatch.setattr(it.app, "copy_to_clipboard", copied.append)
        await it.burst("ctrl+end", *["shift+left"] * 4, "x", "y", gives=before.replace("four", "xy"))
        keys = ("ctrl+shift+left", "ctrl+c", "home", "end", "shift+left", "ctrl+x", "ctrl+z", "z")
        await it.burst(*keys, gives=before.replace("four", "xzy"))
        assert copied == ["xy", "y"]
        await it.go("play", "escape", "escape")
        before = it.text
        await it.burst("ctrl+end", "left", "left", "left", "n")
        await it.opens(ContinuationsDialog)
        await it.shows(f"{before[-6:-3]}”")
        await it.press("escape")
        for key in ("full_stop", "r"):
            await it.burst("ctrl+end", "left", "left", "left", key)
            await it.until(lambda: it.text != before)
            assert it.text[: len(before) - 3] == before[:-3]
            assert it.text[len(before) - 3] != before[-3]
            await it.until(lambda: it.state.is_current and not it.state.running)
            await it.press("ctrl+z", gives=before)
        text = it.screen.play.text_view
        text.post_message(text.CursorMoved(len(PRIME) + 5))  # by a click
        text.cursor = None  # as by a state that comes before the message is handled
        await it.until(lambda: it.position == 5)


async def test_in_play_the_cursor_moves_by_words_lines_pages_and_to_the_ends(model: Path) -> None:
    async with playing(model, size=(100, 30)) as it:
        await with_lines(it)
        text, end = it.screen.play.text_view, len(it.text)
        await it.press("slash", *"text")
        await it.until(lambda: text.cursor == it.text.index("text"))
        await it.press("z")  # a search without a match goes back to where it began
        await it.until(lambda: text.cursor == end and shows_cursor(it))
        await it.press("escape")
        for key, place in (
            ("up", end - 15), ("end", end - 1), ("ctrl+left", end - 5), ("home", end - 15), ("ctrl+a", end - 15),
            ("ctrl+right", end - 14), ("ctrl+home", len(PRIME)), ("G", end),
        ):  # fmt: skip
            await it.press(key)
            await it.until(lambda place=place: text.cursor == place == len(PRIME) + it.position)
            assert shows_cursor(it)
        await it.press("pageup")
        page = 15 * (text.size.height - 1)
        await it.until(lambda: len(PRIME) + it.position == end - page)
        await it.press("w", "pagedown")
        await it.until(lambda: it.state.position == it.state.size)


def test_the_mean_is_of_all_of_the_text_before_the_cursor(model: Path) -> None:
    player, loaded = SteppedPlayer(), load_model(model)
    player.open(PlayRequest(str(model)))
    player.stream(1200)
    player.finish()
    for position in (1200, 100):
        player.move(at(position))
        text = player.document.text.read(0, at(position))
        mean = score(loaded, text).nats[len(PRIME) :].mean() / np.log(2)
        assert player.finish().bits_per_char == pytest.approx(mean, rel=1e-4)


# ---- the mouse


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


async def test_click_in_the_text_puts_the_cursor_on_that_character(model: Path) -> None:
    async with playing(model, paused=1500) as it:
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


async def test_click_on_a_candidate_chooses_it(model: Path) -> None:
    async with playing(model, paused=20) as it:
        candidates = it.screen.query_one(Candidates)
        for size in ((80, 24), (120, 36)):
            await it.resize(*size)
            for number in (1, len(candidates.shown[:9]), 3):
                char = candidates.shown[number - 1].char
                wanted = it.text + char
                await it.pilot.click(offset=row_of(it, char))
                await it.until(lambda wanted=wanted: it.text == wanted and it.state.is_current)
