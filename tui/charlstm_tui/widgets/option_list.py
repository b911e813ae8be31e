"""A list of options that may change under the mouse. It knows nothing of what they mean."""

from __future__ import annotations

from textual.events import Click
from textual.widgets import OptionList


class SteadyOptionList(OptionList):
    """Textual's list, for keys and clicks that come before it is laid out or after it was filled anew."""

    async def _on_click(self, event: Click) -> None:
        """Pass over a click on a line that was still drawn but holds no option any more."""
        clicked = event.style.meta.get("option")
        if clicked is not None and clicked >= self.option_count:
            event.prevent_default()

    def action_page_up(self) -> None:
        """Only once the list is laid out: Textual's would look for lines that are not there yet."""
        if self.scrollable_content_region.height:
            super().action_page_up()

    def action_page_down(self) -> None:
        """See :meth:`action_page_up`."""
        if self.scrollable_content_region.height:
            super().action_page_down()
