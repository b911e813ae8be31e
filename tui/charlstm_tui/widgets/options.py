"""A list of options that may change under the mouse. It knows nothing of what they mean."""

from __future__ import annotations

from textual.events import Click
from textual.widgets import OptionList


class Options(OptionList):
    """Textual's list, for options that are filled in anew while one types."""

    async def _on_click(self, event: Click) -> None:
        """Pass over a click on a line that was still drawn but holds no option any more."""
        clicked = event.style.meta.get("option")
        if clicked is not None and clicked >= self.option_count:
            event.prevent_default()
