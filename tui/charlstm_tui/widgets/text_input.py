"""A line to type in: a name, a path, a figure. It knows nothing of what is typed."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import Input

LONGEST = 4096
"""Characters, as in the longest path. Textual measures a line anew with every key, so a book pasted into one by
mistake would keep the app busy."""


class TextInput(Input):
    """Textual's line with an end."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, max_length=LONGEST, **named)

    def on_key(self, event: events.Key) -> None:
        if has_alt(event):
            event.prevent_default()


def has_alt(event: events.Key) -> bool:
    """Whether Alt was held. Textual gives such a key its character too, as if it were typed."""
    return event.key.startswith("alt+")
