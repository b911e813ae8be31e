"""A line to type in: a name, a path, a figure."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import Input

LONGEST = 4096
"""Characters, as in the longest path. Textual measures a line anew with every key, so a book pasted into one by
mistake would keep the app busy."""


FILTER_KEYS = (("Enter", "to the list"), ("Esc", "show all"))
"""The keys of a line that filters a list, for the key bar."""
LINE_BREAK = "↵"
"""What stands for a line break in a line in which one can be typed."""


class TextInput(Input):
    """Textual's line with an end. ``typing_keys`` are the input's own keys with their help, for the key bar."""

    def __init__(self, *args: Any, typing_keys: tuple[tuple[str, str], ...] = (), **named: Any) -> None:
        super().__init__(*args, max_length=LONGEST, **named)
        self.typing_keys = typing_keys

    def on_key(self, event: events.Key) -> None:
        if has_alt(event):
            event.prevent_default()


class LinesInput(TextInput):
    """A line in which :data:`LINE_BREAK`, typed by Ctrl+J, stands for a line break; one that is pasted becomes one."""

    def __init__(self, text: str = "", **named: Any) -> None:
        super().__init__(text.replace("\n", LINE_BREAK), **named)

    @property
    def text(self) -> str:
        """The input with its line breaks."""
        return self.value.replace(LINE_BREAK, "\n")

    def on_key(self, event: events.Key) -> None:
        super().on_key(event)
        if event.key == "ctrl+j":
            event.stop()
            event.prevent_default()
            self.insert_text_at_cursor(LINE_BREAK)

    def on_paste(self, event: events.Paste) -> None:
        """Textual's takes the first line alone."""
        event.stop()
        event.prevent_default()
        self.replace(LINE_BREAK.join(event.text.splitlines()), *self.selection)


def has_alt(event: events.Key) -> bool:
    """Whether Alt was held. Textual gives such a key its character too, as if it were typed."""
    return event.key.startswith("alt+")
