"""The text as an editor: the cursor stays in view, and keys move it and act on what is selected."""

from __future__ import annotations

from pathlib import Path

from charlstm_tui.dialogs import PromptDialog
from charlstm_tui.generate.branch_tree import BranchTree
from playing_app import Session, playing

LINES = "a line of text\n" * 60


def shows_cursor(it: Session) -> bool:
    text = it.screen.play.text_view
    row = text._text_layout.row_of(text.cursor)
    return bool(text.scroll_offset.y <= row < text.scroll_offset.y + text.size.height)


async def with_lines(it: Session) -> None:
    """Put 60 lines in."""
    await it.paused(5)
    it.screen.player.insert(LINES, 5)
    await it.until(lambda: it.text.count("\n") == 60)


async def test_the_cursor_is_in_view_after_every_change_of_it_or_of_the_panes(model: Path) -> None:
    async with playing(model, size=(100, 30)) as it:
        await with_lines(it)
        await it.pilot.press("up", "z")
        await it.until(lambda: it.screen.maximized is not None)
        await it.pilot.press("z")
        await it.until(lambda: it.screen.maximized is None and it.screen.play.text_view.size.width < 80)
        assert shows_cursor(it)

        text = it.screen.play.text_view
        text.scroll_to(y=0, animate=False)
        await it.pilot.press("i")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        await it.pilot.press(*"own", "enter")
        await it.until(lambda: it.text.endswith("own"))
        assert shows_cursor(it)

        it.screen.player.move_to(5)  # a branch near the start, then back by the list of branches
        await it.until(lambda: it.state.position == 5)
        assert shows_cursor(it)
        it.screen.player.choose("q", 5)
        await it.until(lambda: it.text.endswith("q"))
        await it.pilot.press("b")
        await it.until(lambda: it.screen.query_one(BranchTree).has_focus)
        await it.pilot.press("z")
        await it.until(lambda: it.screen.maximized is not None)
        await it.pilot.press(*["up"] * 5)
        await it.pilot.press("enter")
        await it.until(lambda: it.text.count("\n") >= 59 and it.screen.maximized is None)
        await it.until(lambda: shows_cursor(it))

        it.screen.player.move_to(20)
        await it.until(lambda: it.state.position == 20)
        await it.pilot.press("ctrl+z")
        await it.until(lambda: it.state.position > 100)
        assert shows_cursor(it)

        await it.pilot.press("w")
        await it.until(lambda: it.screen.view_name == "write")
        await it.pilot.resize_terminal(80, 24)
        await it.until(lambda: it.screen.size.width == 80)
        await it.until(lambda: shows_cursor(it))
