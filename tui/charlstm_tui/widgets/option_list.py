"""A list of options beside a text."""

from __future__ import annotations

from charlstm_tui.widgets.textual_repairs import SteadyOptionList


class SideList(SteadyOptionList):
    """Textual's list, as high as there is space, without a border, and with a stronger cursor in focus."""

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
