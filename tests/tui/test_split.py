"""Two panes whose border is moved by the mouse or by keys, beside and below one another."""

from __future__ import annotations

from pathlib import Path

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.reactive import var
from textual.widgets import Static

from charlstm_tui.app_state import load_state
from charlstm_tui.runs.screen import RunsScreen
from charlstm_tui.widgets.split import LEAST_BELOW, LEAST_BESIDE, Split
from driven_app import driven, until
from recorded_run import record


class TwoPanes(App[None]):
    CLICK_CHAIN_TIME_THRESHOLD = 60.0  # a double click is one on a slow machine too
    CSS = """
    #first { width: 1fr; height: 100%; }
    #second { width: 31; height: 100%; border-left: solid white; }
    .below #split { layout: vertical; }
    .below #first { width: 100%; height: 1fr; }
    .below #second { width: 100%; height: 6; max-height: 8; border-left: none; border-top: solid white; }
    .auto #second { height: auto; }
    """
    pane_shares: var[dict[str, float]] = var({})

    def compose(self) -> ComposeResult:
        with Split("#second", id="split"):
            yield Static("words\n" * 50, id="first")
            yield Static("more words\n" * 5, id="second")

    def on_split_moved(self, event: Split.Moved) -> None:
        self.pane_shares = {} if event.share is None else {event.name: event.share}

    @property
    def sizes(self) -> tuple[int, int]:
        """Of the two panes in the direction of the split, with their borders."""
        split = self.query_one(Split)
        first, second = (self.query_one(name).outer_size for name in ("#first", "#second"))
        return (first.width, second.width) if split.beside else (first.height, second.height)


async def drag(pilot: Pilot[None], start: tuple[int, int], end: tuple[int, int]) -> None:
    await pilot.mouse_down(offset=start)
    await pilot.hover(offset=end)
    await pilot.mouse_up(offset=end)
    await pilot.pause()


async def test_the_border_is_dragged_and_a_double_click_gives_the_usual_size_again() -> None:
    app = TwoPanes()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.sizes == (49, 31))
        await drag(pilot, (49, 10), (40, 3))
        assert app.sizes == (40, 40)
        assert app.pane_shares.keys() == {"split-beside"}
        await drag(pilot, (40, 3), (79, 3))
        assert app.sizes == (80 - LEAST_BESIDE, LEAST_BESIDE)
        await drag(pilot, (80 - LEAST_BESIDE, 3), (0, 3))
        assert app.sizes == (LEAST_BESIDE, 80 - LEAST_BESIDE)
        await pilot.resize_terminal(160, 24)  # the share is kept
        await until(pilot, lambda: app.sizes == (2 * LEAST_BESIDE, 160 - 2 * LEAST_BESIDE))
        await pilot.click(offset=(2 * LEAST_BESIDE, 5), times=2)
        await until(pilot, lambda: app.sizes == (129, 31))
        await drag(pilot, (10, 3), (60, 3))
        assert app.sizes == (129, 31)
        assert not app.pane_shares


async def test_panes_below_one_another_have_a_share_of_their_own() -> None:
    app = TwoPanes()
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.add_class("below")
        await until(pilot, lambda: app.sizes == (18, 6))
        await drag(pilot, (30, 18), (30, 12))
        assert app.sizes == (12, 12)  # beyond the largest height of the style sheet
        app.query_one(Split).move(1)
        await until(pilot, lambda: app.sizes == (14, 10))
        app.query_one(Split).move(20)
        await until(pilot, lambda: app.sizes == (24 - LEAST_BELOW, LEAST_BELOW))
        app.screen.remove_class("below")
        await until(pilot, lambda: app.sizes == (49, 31))
        app.screen.add_class("below")
        await until(pilot, lambda: app.sizes == (24 - LEAST_BELOW, LEAST_BELOW))
        app.query_one("#first").display = False
        await until(pilot, lambda: app.query_one("#second").outer_size.height == 6)
        app.query_one("#first").display = True
        app.screen.add_class("auto")
        await until(pilot, lambda: app.query_one("#second").outer_size.height == 6)
        assert app.query_one(Split).pane is None


async def test_keys_move_the_border_which_is_remembered(places: Path) -> None:
    record(places, "finished").close()
    async with driven(places, (160, 45)) as app:
        await app.go("runs")
        pane = app.mode.query_one("#runs-details")
        await app.until(lambda: pane.display and pane.region)
        before = pane.outer_size
        await app.press("<", "<")
        await app.until(lambda: pane.outer_size == (before.width + 8, before.height))
        await app.press(">")
        moved = (before.width + 4, before.height)
        await app.until(lambda: pane.outer_size == moved)
        await app.press("tab", "z")
        await app.until(lambda: app.mode.maximized is pane and pane.outer_size.width == 160)
        await app.press("z")
        await app.until(lambda: pane.outer_size == moved)
        await app.press("1", mode="corpus")  # where the first pane is the one that is resized
        texts = app.mode.query_one("#texts")
        width = texts.outer_size.width
        await app.press(">")
        await app.until(lambda: texts.outer_size.width == width + 4)
        await drag(app.pilot, (texts.region.right, 20), (texts.region.right - 9, 20))
        await app.until(lambda: texts.outer_size.width == width - 5)
    assert load_state().pane_shares.keys() == {"runs-split-beside", "corpus-split-beside"}
    async with driven(places, (160, 45)) as app:
        await app.go("runs")
        assert isinstance(app.mode, RunsScreen)
        pane = app.mode.query_one("#runs-details")
        await app.until(lambda: pane.outer_size == moved)
        await app.press("*")
        await app.until(lambda: pane.outer_size == before)
