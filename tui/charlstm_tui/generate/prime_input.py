"""The prime: the text that generation starts from, edited in place. The focus selects the prime, so that typing
replaces it. Enter plays the prime, Ctrl+J starts a new line. Text that was typed and not played is there again at the
next focus."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from charlstm.display import visible
from charlstm_tui.widgets.text_input import has_alt
from charlstm_tui.widgets.textual_repairs import SteadyTextArea

EMPTY = "none: the text begins as a line does"


class PrimeInput(SteadyTextArea):
    """A few lines of literal text."""

    DEFAULT_CSS = """
    PrimeInput {
        height: 1; border: none; padding: 0; background: $background; scrollbar-size: 0 0;
        &:focus { height: auto; min-height: 1; max-height: 6; border: none; background: $cursor-line; }
        & .text-area--cursor-line { background: transparent; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+home", "to_start", show=False),
        Binding("ctrl+end", "to_end", show=False),
    ]

    class Submitted(Message):
        """Enter was pressed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """It lost the focus, and what was typed was not played."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            "",
            id=id,
            compact=True,
            soft_wrap=True,
            highlight_cursor_line=False,
            tab_behavior="focus",
            show_line_numbers=False,
        )
        self._played = ""
        self._typed = ""  # and not played

    def show(self, text: str) -> None:
        """Show the prime that is played; what is being typed is left alone."""
        self._played = text
        if not self.has_focus:
            self.load_text(text)

    def render_line(self, y: int) -> Strip:
        """While it is not edited, one literal line of it with its line ends made visible."""
        if self.has_focus:
            strip = super().render_line(y)
            return Strip([Segment(_harmless(text), style) for text, style, _ in strip], strip.cell_length)
        style = self.rich_style
        if y == 0 and not self.text:
            empty = Segment(EMPTY, style + Style(dim=True, italic=True))
            return Strip([empty]).adjust_cell_length(self.size.width, style)
        words = visible(self.text[: self.size.width], keep="") if y == 0 else ""
        return Strip([Segment(words, style)]).adjust_cell_length(self.size.width, style)

    def on_key(self, event: events.Key) -> None:
        """Before the text area's own keys."""
        if event.key in ("enter", "ctrl+j"):
            event.stop()
            event.prevent_default()
            if event.key == "enter":
                self._played, self._typed = self.text, ""
                self.post_message(self.Submitted(self.text))
            else:
                self.insert("\n")
        elif has_alt(event):
            event.prevent_default()

    def action_to_start(self) -> None:
        self.move_cursor((0, 0))

    def action_to_end(self) -> None:
        self.move_cursor(self.document.end)

    def action_cursor_word_right(self, select: bool = False) -> None:
        """As of Textual, which at the end of the text leaves what is selected."""
        if self.cursor_at_end_of_text and not select:
            self.action_to_end()
        else:
            super().action_cursor_word_right(select)

    def on_focus(self, event: events.Focus) -> None:
        if not event.from_app_focus:
            if self._typed:
                self.load_text(self._typed)
            self.select_all()  # so that typing replaces the prime

    def on_blur(self) -> None:
        if not self.app.app_focus:
            return  # another window has the keyboard; what is being typed waits
        self._typed = "" if self.text == self._played else self.text
        if self.text != self._played:
            self.load_text(self._played)
            self.post_message(self.Left())
        self.scroll_home(animate=False)


def _harmless(text: str) -> str:
    """``text`` without characters of no width that act on the terminal: controls, changes of the writing direction."""
    if text.isprintable():
        return text
    return "".join(char for char in text if char.isprintable() or char == "\u200d" or cell_len(char))
