"""How a screen comes to rest after any resizes. It knows nothing of what screens show."""

from __future__ import annotations

from typing import Any

from textual.events import Resize
from textual.screen import Screen


def pass_over_old_sizes(screen: Screen[Any], event: Resize) -> None:
    """For a screen's own ``_on_resize``: keep a size that the terminal does not have any more from Textual's.

    Laying out tells a screen its own new size once more. When the terminal is resized twice in a moment, that old news
    comes after the second size, is taken for a third, and from then on the two would follow each other for ever.
    """
    if event.size != screen.app.size:
        event.stop()
        event.prevent_default()
