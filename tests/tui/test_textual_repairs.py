"""Each repair of Textual is needed: without it these tests end with an error, or never."""

import sys
import time
from pathlib import Path

import pytest
from rich.style import Style
from textual.events import Click, MouseDown
from textual.notifications import Notification
from textual.renderables.background_screen import BackgroundScreen
from textual.widgets import OptionList
from textual.widgets._toast import Toast, ToastHolder

from charlstm_tui.widgets.textual_repairs import SteadyTextArea, SteadyToast
from driven_app import driven, question
from hosted_widget import hosted


async def test_dialogs_above_each_other_are_drawn_when_one_of_them_changes(tmp_path: Path) -> None:
    """The lowest took the one above it for its background, and drawing them ended the app."""
    async with driven(tmp_path) as app:
        await app.in_mode("corpus")
        dialogs = [question(title) for title in ("lowest", "middle", "highest")]
        for dialog in dialogs:
            await app.app.push_screen(dialog)
            app.text()
        for changed in dialogs:
            changed.refresh()  # which alone is drawn anew
            assert "highest" in app.text()
        for dialog, below in zip(dialogs, [app.mode, *dialogs], strict=False):
            background = dialog.render()
            assert isinstance(background, BackgroundScreen)
            assert background.screen is below


async def test_a_click_on_an_option_that_is_gone_and_a_page_down_before_the_layout_do_nothing(tmp_path: Path) -> None:
    async with driven(tmp_path) as app:
        await app.in_mode("corpus")
        await app.press("colon")
        await app.until(lambda: app.screen.query(OptionList) and app.screen.query_one(OptionList).option_count)
        options = app.screen.query_one(OptionList)
        stale = Style.from_meta({"option": options.option_count + 3})
        options.post_message(Click(options, 0, 0, 0, 0, 1, False, False, False, style=stale))
        await app.press("escape", until=lambda: app.screen is app.mode)
        dialog = question("first")
        await app.app.push_screen(dialog)
        options = dialog.query_one(OptionList)
        options.styles.height = 0
        options.action_page_down()
        options.action_page_up()
        await app.until(lambda: not options.scrollable_content_region.height)
        options.action_page_down()
        assert options.highlighted == 0


async def test_a_line_is_undone_where_the_text_fits_again_without_it() -> None:
    async with hosted(SteadyTextArea(compact=True), (30, 1)) as (area, pilot):
        area.insert("line")
        area.history.checkpoint()
        area.insert("\n")
        await pilot.pause()
        assert area.show_vertical_scrollbar
        area.undo()
        await pilot.pause()
        assert (area.text, area.cursor_location) == ("line", (0, 4))


async def test_a_press_on_what_is_being_taken_away_does_nothing(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with driven(places) as app:
        app.app.notify("a remark", timeout=600)  # on a busy machine its usual time may be over too soon
        await app.shows("a remark")
        toast = app.app.screen.query_one(Toast)
        at = toast.region.center
        with monkeypatch.context() as patch:
            patch.setattr(toast, "_parent", None)
            app.app.post_message(MouseDown(None, int(at[0]), int(at[1]), 0, 0, 1, False, False, False))
            await app.pilot.pause()
        await app.press("4", mode="runs")


async def test_toast_of_a_notification_whose_time_is_over_goes(tmp_path: Path) -> None:
    """A timer with a negative delay held the event loop for ever."""
    late = Toast(Notification("late", timeout=-0.001))
    assert isinstance(late, SteadyToast)  # else the app would hang below
    async with driven(tmp_path) as app:
        await app.in_mode("corpus")
        await app.mode.mount(ToastHolder(late))
        await app.until(lambda: not late.is_attached)


async def test_timer_of_the_app_calls_although_it_came_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal got another size, and the app stayed as it was for good: the timer that draws it anew never
    called."""

    def late() -> float:
        if sys._getframe(1).f_locals.get("_repeat") == 0:  # a timer that calls once
            time.sleep(0.02)
        return time.monotonic()

    async with driven(tmp_path) as app:
        await app.in_mode("corpus")
        monkeypatch.setattr("textual._time.get_time", late)
        await app.resize(100, 30)
