"""Lists of options that may change under the mouse."""

from __future__ import annotations

from textual import on
from textual.events import Click
from textual.style import Style
from textual.widgets import OptionList


class SteadyOptionList(OptionList):
    """Textual's list, for keys and clicks that come before it is laid out or after it was filled anew, and whose cursor
    may be reversed."""

    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        """The style of its parts. Textual leaves out what is reversed, which shows the cursor in few colours."""
        style = super().get_visual_style(*component_classes, partial=partial)
        styles = (self.get_component_styles(name) for name in component_classes)
        return style + Style(reverse=True) if any(each.text_style.reverse for each in styles) else style

    @on(Click)
    def _list_clicked(self, event: Click) -> None:
        """Ignore a click on a line that was still drawn but holds no option any more."""
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


class SideList(SteadyOptionList):
    """The same beside a text: as high as there is space, without a border, and with a stronger cursor in focus."""

    DEFAULT_CSS = """
    SideList {
        height: 1fr; border: none; padding: 0; background: $background; scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        & > .option-list--option-highlighted { background: $cursor-line; color: $foreground; text-style: none; }
        &:focus { background-tint: $foreground 0%; }
        &:focus > .option-list--option-highlighted {
            background: $cursor-line; color: $foreground; text-style: $block-cursor-text-style;
        }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True)
