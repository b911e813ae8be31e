"""A text that is set again and again: what it takes to show another one."""

from textual.app import App, ComposeResult
from textual.content import Content

from charlstm_tui.widgets.changing_text import ChangingText


class Host(App[None]):
    CSS = "#wide { width: 20; } #auto { width: auto; } #fixed { height: 2; }"

    def compose(self) -> ComposeResult:
        for name in ("wide", "auto", "fixed"):
            yield ChangingText("one", id=name)


async def test_it_gets_the_size_that_another_text_takes() -> None:
    async with Host().run_test(size=(80, 24)) as pilot:
        for name, text, size in (
            ("wide", "one line and another", (20, 1)),
            ("wide", "one line and then another", (20, 2)),
            ("auto", "longer", (6, 1)),
            ("fixed", "one line\nand more\nand more", (80, 2)),
        ):
            shown = pilot.app.query_one(f"#{name}", ChangingText)
            shown.update(Content(text))
            await pilot.pause()
            assert tuple(shown.size) == size, text
