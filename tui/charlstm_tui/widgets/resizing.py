"""The sizes of a screen: its classes for the first one, and no outdated ones, so that it settles."""

from __future__ import annotations

from typing import Any

from textual.events import Resize
from textual.screen import Screen


def ignore_old_sizes(screen: Screen[Any], event: Resize) -> None:
    """For a screen's handler of ``Resize``: ignore a size that the terminal does not have any more.

    Laying out tells a screen its own new size once more. When the terminal is resized twice in a moment, that
    message comes after the second size and is handled as a third. From then on the two would alternate for ever.
    """
    if event.size != screen.app.size:
        event.stop()
        event.prevent_default()
