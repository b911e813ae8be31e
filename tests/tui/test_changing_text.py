"""A text that is set again and again: what it takes to show another one."""

from __future__ import annotations

from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.content import Content

from charlstm_tui.widgets.changing_text import ChangingText


class Host(App[None]):
    CSS = "#wide { width: 20; } #auto { width: auto; } #fixed { height: 2; }"

    def compose(self) -> ComposeResult:
        for name in ("wide", "auto", "fixed"):
            yield ChangingText("one", id=name)


@pytest.mark.parametrize(
    ("name", "text", "laid_out", "size"),
    [
        ("wide", "two", False, (20, 1)),
        ("wide", "one line and another", False, (20, 1)),
        ("wide", "one line and then another", True, (20, 2)),
        ("auto", "longer", True, (6, 1)),
        ("fixed", "one line\nand more\nand more", False, (80, 2)),
    ],
)
async def test_the_screen_is_laid_out_where_the_size_may_change(
    name: str, text: str, laid_out: bool, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Host().run_test(size=(80, 24)) as pilot:
        shown = pilot.app.query_one(f"#{name}", ChangingText)
        asked, refresh = [], shown.refresh

        def watched(*regions: Any, **changes: Any) -> ChangingText:
            asked.append(changes.get("layout", False))
            return refresh(*regions, **changes)

        monkeypatch.setattr(shown, "refresh", watched)
        shown.update(Content(text))
        assert any(asked) == laid_out
        await pilot.pause()
        assert tuple(shown.size) == size
        asked.clear()
        shown.update(Content(text))
        assert asked == []
