"""Each repair of Textual is needed: without it these tests end with an error, or never."""

from __future__ import annotations

from pathlib import Path

from textual.app import App, ComposeResult
from textual.renderables.background_screen import BackgroundScreen

from charlstm_tui.dialogs import Choice, ChoiceDialog
from charlstm_tui.widgets.textual_repairs import SteadyTextArea
from driven_app import driven


def question(title: str) -> ChoiceDialog:
    return ChoiceDialog(title, "", [Choice("y", "yes", True), Choice("n", "no", False)])


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


async def test_a_line_is_undone_where_the_text_fits_again_without_it() -> None:
    class Editor(App[None]):
        CSS = "SteadyTextArea { height: 1; border: none; padding: 0; }"

        def compose(self) -> ComposeResult:
            yield SteadyTextArea(compact=True)

    app = Editor()
    async with app.run_test() as pilot:
        area = app.query_one(SteadyTextArea)
        area.insert("line")
        area.history.checkpoint()
        area.insert("\n")
        await pilot.pause()
        assert area.show_vertical_scrollbar
        area.undo()
        await pilot.pause()
        assert (area.text, area.cursor_location) == ("line", (0, 4))
