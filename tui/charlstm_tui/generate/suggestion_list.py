"""The suggestions of Write to choose from, one a line."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from charlstm.display import visible
from charlstm_tui.widgets.textual_repairs import SteadyOptionList


class SuggestionList(SteadyOptionList, can_focus=False):
    """The one that stands in the text is highlighted; a click shows another there."""

    DEFAULT_CSS = """
    SuggestionList {
        height: auto; max-height: 8; border: none; padding: 0; background: $background; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis;
        & > .option-list--option-highlighted {
            background: $cursor-line; color: $foreground; text-style: $block-cursor-text-style;
        }
    }
    """

    class Picked(Message):
        """A suggestion was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True)
        self._shown: tuple[str, ...] = ()

    def show(self, suggestions: Sequence[str], place: int) -> None:
        """Show these; the one at ``place`` stands in the text."""
        if tuple(suggestions) != self._shown:
            self._shown = tuple(suggestions)
            self.clear_options()
            self.add_options(Option(Content(visible(text, keep=""))) for text in self._shown)
        self.highlighted = place if self._shown else None

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Picked(event.option_index))
