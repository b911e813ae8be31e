"""The text as an editor: the cursor stays in view, keys move it and act on what is selected, and clicks hit the row and
the character that are under the pointer."""

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
from playing_app import PRIME, PlayingApp, at, playing
from stepped_player import SteppedPlayer

LINES = "a line of text\n" * 60


async def with_words(app: PlayingApp) -> str:
    """Put four words in, and begin to write. Gives the text."""
    await app.paused(2)
    app.player.insert_at("one two three four", at(2))
    await app.until(lambda: app.text.endswith("four"))
    await app.go("write", "w")
    return app.text


def shows_cursor(app: PlayingApp) -> bool:
    text = app.screen.play.text_view
    row = text._text_layout.row_of(text.cursor)
    return bool(text.scroll_offset.y <= row < text.scroll_offset.y + text.size.height)


async def with_lines(app: PlayingApp) -> None:
    """Put 60 lines in."""
    await app.paused(5)
    app.player.insert_at(LINES, at(5))
    await app.until(lambda: app.text.count("\n") == 60)


async def test_the_cursor_is_in_view_after_every_change_of_it_or_of_the_panes(model: Path) -> None:
    async with playing(model, size=(100, 30)) as app:
        await with_lines(app)
        await app.press("up", "z", "z")
        await app.until(lambda: app.screen.maximized is None and app.screen.play.text_view.size.width < 80)
        assert shows_cursor(app)

        app.screen.play.text_view.scroll_to(y=0, animate=False)
        await app.enter("i", "own", until=lambda: app.text.endswith("own"))
        assert shows_cursor(app)

        app.player.move(at(20))
        await app.until(lambda: app.position == 20)
        await app.press("ctrl+z", until=lambda: app.position > 100)
        assert shows_cursor(app)

        await app.go("write", "w")
        await app.resize(80, 24)
        await app.until(lambda: shows_cursor(app))


async def test_in_write_what_is_selected_is_erased_replaced_and_cut(model: Path) -> None:
    async with playing(model, size=(100, 30)) as app:
        before, text = await with_words(app), app.screen.play.text_view
        start = app.text.index("two")  # the mouse selects "two ", far from the cursor
        app.screen.selections = {text: Selection(Offset(start, 0), Offset(start + 4, 0))}
        await app.press("delete", gives=before.replace("two ", ""))
        assert text.selected is None
        await app.press("ctrl+z", until=lambda: app.text == before and app.state.position == app.state.size)

        await app.burst(*["shift+left"] * 4)
        await app.until(lambda: text.selected == (len(before) - 4, len(before)))
        await app.burst("x", "y", gives=before.replace("four", "xy"))
        await app.press("ctrl+z", gives=before)

        keys = ("ctrl+end", "ctrl+shift+left", "ctrl+shift+left", "shift+right", "ctrl+x")
        await app.press(*keys, gives=before.replace("hree four", ""))
        assert app.app.clipboard == "hree four"
        await app.press("ctrl+left", "backspace", "ctrl+r", says="Ctrl+Z brings them back")
        assert app.text.endswith("two")
        await app.press("shift+home", "T", says="The prime is part of the text now", gives="T")
        await app.press("shift+left", "right", "x", gives="Tx")


async def test_keys_act_in_order_where_the_last_put_the_cursor(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the thread computes comes as late as on a busy machine, where "←←← r" regenerated from the end of the
    text."""
    post = ModelThread._post

    def post_late(thread: ModelThread, number: int, batch: Batch) -> None:
        time.sleep(0.02)
        post(thread, number, batch)

    monkeypatch.setattr(ModelThread, "_post", post_late)
    async with playing(model, size=(100, 30)) as app:
        before, copied = await with_words(app), list[str]()
        monkeypatch.setattr(app.app, "copy_to_clipboard", copied.append)
        await app.burst("ctrl+end", *["shift+left"] * 4, "x", "y", gives=before.replace("four", "xy"))
        keys = ("ctrl+shift+left", "ctrl+c", "home", "end", "shift+left", "ctrl+x", "ctrl+z", "z")
        await app.burst(*keys, gives=before.replace("four", "xzy"))
        assert copied == ["xy", "y"]
        await app.go("play", "escape", "escape")
        before = app.text
        await app.burst("ctrl+end", "left", "left", "left", "n")
        await app.opens(ContinuationsDialog)
        await app.shows(f"{before[-6:-3]}”")
        await app.press("escape")
        for key in ("full_stop", "r"):
            await app.burst("ctrl+end", "left", "left", "left", key)
            await app.until(lambda: app.text != before)
            assert app.text[: len(before) - 3] == before[:-3]
            assert app.text[len(before) - 3] != before[-3]
            await app.until(lambda: app.state.is_current and not app.state.running)
            await app.press("ctrl+z", gives=before)
        text = app.screen.play.text_view
        text.post_message(text.CursorMoved(len(PRIME) + 5))  # by a click
        text.cursor = None  # as by a state that comes before the message is handled
        await app.until(lambda: app.position == 5)


async def test_in_play_the_cursor_moves_by_words_lines_pages_and_to_the_ends(model: Path) -> None:
    async with playing(model, size=(100, 30)) as app:
        await with_lines(app)
        text, end = app.screen.play.text_view, len(app.text)
        await app.press("slash", *"text", until=lambda: text.cursor == app.text.index("text"))
        await app.press("z")  # a search without a match goes back to where it began
        await app.until(lambda: text.cursor == end and shows_cursor(app))
        await app.press("escape")
        for key, place in (
            ("up", end - 15), ("end", end - 1), ("ctrl+left", end - 5), ("home", end - 15), ("ctrl+a", end - 15),
            ("ctrl+right", end - 14), ("ctrl+home", len(PRIME)), ("G", end),
        ):  # fmt: skip
            await app.press(key, until=lambda place=place: text.cursor == place == len(PRIME) + app.position)
            assert shows_cursor(app)
        await app.press("pageup", until=lambda: len(PRIME) + app.position == end - 15 * (text.size.height - 1))
        await app.press("w", "pagedown", until=lambda: app.state.position == app.state.size)


def test_the_mean_is_of_all_of_the_text_before_the_cursor(model: Path) -> None:
    player, loaded = SteppedPlayer(), load_model(model)
    player.play(model)
    player.generate(1200)
    for position in (1200, 100):
        text = player.document.text.read(0, at(position))
        mean = score(loaded, text).nats[len(PRIME) :].mean() / np.log(2)
        assert player.after(player.move, at(position)).bits_per_char == pytest.approx(mean, rel=1e-4)


# ---- the mouse


def place_of(app: PlayingApp, words: str, widget: Widget) -> tuple[int, int]:
    """Where ``words`` stand on the screen, within ``widget``."""
    region = widget.content_region
    for y, line in enumerate(app.screen_text().splitlines()):
        x = line.find(words, region.x, region.right)
        if x >= 0 and region.contains(x, y):
            return x, y
    raise AssertionError(f"{words!r} is not in the widget:\n{app.screen_text()}")


def row_of(app: PlayingApp, char: str) -> tuple[int, int]:
    """Where the candidate ``char`` stands on the screen."""
    left = app.screen.query_one(Candidates).content_region.x
    rows = [line[left:] for line in app.screen_text().splitlines()]
    return left + 4, next(y for y, row in enumerate(rows) if row.startswith(f"  {symbol(char)} "))


async def test_click_in_the_text_puts_the_cursor_on_that_character(model: Path) -> None:
    async with playing(model, paused=1500) as app:
        line = app.text.replace("\n", " ")
        words = next(line[at : at + 6] for at in range(len(line) - 12, 0, -1) if " " not in line[at : at + 6])
        position = app.text.rindex(words)
        for size in ((80, 24), (120, 36), (200, 60)):
            await app.resize(*size)
            await app.press("ctrl+end")
            x, y = place_of(app, words, app.screen.play.text_view)
            await app.pilot.click(offset=(x + 2, y))
            await app.until(lambda: app.position == position + 2 - len(app.prime))
            assert app.screen.play.text_view.cursor == position + 2


async def test_click_on_a_candidate_chooses_it(model: Path) -> None:
    async with playing(model, paused=20) as app:
        candidates = app.screen.query_one(Candidates)
        for size in ((80, 24), (120, 36)):
            await app.resize(*size)
            for number in (1, len(candidates.shown[:9]), 3):
                char = candidates.shown[number - 1].char
                wanted = app.text + char
                await app.pilot.click(offset=row_of(app, char))
                await app.until(lambda wanted=wanted: app.text == wanted and app.state.is_current)
