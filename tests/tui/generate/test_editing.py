"""The text as an editor: the cursor stays in view, and keys move it and act on what is selected."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from textual.geometry import Offset
from textual.selection import Selection

from charlstm_tui.generate.continuations_dialog import ContinuationsDialog
from charlstm_tui.player.model_thread import Batch, ModelThread
from playing_app import PRIME, Session, at, playing

LINES = "a line of text\n" * 60


async def with_words(it: Session) -> str:
    """Put four words in, and begin to write. Gives the text."""
    await it.paused(2)
    it.desk.insert_at("one two three four", at(2))
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
    it.desk.insert_at(LINES, at(5))
    await it.until(lambda: it.text.count("\n") == 60)


async def test_the_cursor_is_in_view_after_every_change_of_it_or_of_the_panes(model: Path) -> None:
    async with playing(model, size=(100, 30)) as it:
        await with_lines(it)
        await it.press("up", "z")
        await it.until(lambda: it.screen.maximized is not None)
        await it.press("z")
        await it.until(lambda: it.screen.maximized is None and it.screen.play.text_view.size.width < 80)
        assert shows_cursor(it)

        it.screen.play.text_view.scroll_to(y=0, animate=False)
        await it.enter("i", "own")
        await it.until(lambda: it.text.endswith("own"))
        assert shows_cursor(it)

        it.desk.move(at(20))
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

        await it.press("ctrl+end", "ctrl+shift+left", "ctrl+shift+left", "shift+right", "ctrl+x")
        await it.until(lambda: it.text == before.replace("hree four", ""))
        assert it.app.clipboard == "hree four"
        await it.press("ctrl+left", "backspace", "ctrl+r")
        await it.until(lambda: it.text.endswith("two"))
        await it.says("Ctrl+Z brings them back")
        await it.press("shift+home", "T")
        await it.until(lambda: it.text == "T")  # a writer's text begins with the prime
        await it.says("The prime is part of the text now")
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
        await it.burst("ctrl+shift+left", "ctrl+c", "home", "end", "shift+left", "ctrl+x", "ctrl+z", "z")
        await it.until(lambda: it.text == before.replace("four", "xzy"))
        assert copied == ["xy", "y"]
        await it.go("play", "escape", "escape")
        before = it.text
        await it.burst("ctrl+end", "left", "left", "left", "n")
        await it.until(lambda: isinstance(it.app.screen, ContinuationsDialog))
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


async def test_the_mean_is_of_all_of_the_text_before_the_cursor(model: Path) -> None:
    async with playing(model, size=(120, 30)) as it:
        it.app.bits = True
        await it.paused(1200)
        reading, first = it.screen.model_thread._works[0].readings[0], len(PRIME)

        def mean(position: int) -> float:
            probabilities = reading.rows(first, first + position)["probability"].astype(np.float64)
            return float(-np.log2(probabilities).mean())

        assert it.state.bits_per_char == pytest.approx(mean(1200))
        await it.says(f"mean {mean(1200):.2f} bits")
        it.desk.insert_at("own text", at(100))
        await it.until(lambda: it.state.length == 108 and it.state.read_to == it.state.size)
        assert it.state.bits_per_char == pytest.approx(mean(108))
