"""The last line of every screen: as many keys as fit, the most important first, and always the way to help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from charlstm_tui.actions import Action


class KeyBar(Widget):
    """Keys with their labels, each of which a click sets off too."""

    DEFAULT_CSS = "KeyBar { height: 1; width: 100%; }"
    COMPONENT_CLASSES: ClassVar = {"key-bar--key", "key-bar--label"}

    def __init__(self) -> None:
        super().__init__()
        self._items: tuple[tuple[str, str, str], ...] = ()

    def show_actions(
        self, actions: Sequence[Action], labels: dict[str, str], help_hint: bool = True, first: str = ""
    ) -> None:
        """Show these actions; ``labels`` (by action id) replaces a label, as "licence: kept" does for "licence", and
        ``first`` is the id of one that matters most now."""
        shown = (action for action in actions if action.footer)
        chosen = sorted(shown, key=lambda action: (action.id != first, action.footer))
        items = [(action.id, action.key_label, labels.get(action.id, action.label)) for action in chosen]
        self._items = (*items, ("app.help_key" if help_hint else "app.help", "?" if help_hint else "F1", "help"))
        self.refresh()

    def render(self) -> Content:
        width = self.size.width - 1
        if not self._items:
            return Content("")
        *items, help_item = self._items
        right = self._entry(*help_item)
        line = Content(" ")
        for index, item in enumerate(items):
            entry = Content.assemble("  " if index else "", self._entry(*item))
            if line.cell_length + entry.cell_length + right.cell_length + 2 > width:
                break
            line = line + entry
        return Content.assemble(line, " " * max(1, width - line.cell_length - right.cell_length), right).truncate(
            width + 1
        )

    async def on_click(self, event: events.Click) -> None:
        if action := event.style.meta.get("do"):
            await self.run_action(f"screen.do({action!r})")

    def _entry(self, action: str, key: str, label: str) -> Content:
        click = Style.from_meta({"do": action})
        return Content.assemble(
            (key, self.get_visual_style("key-bar--key") + click),
            (f" {label}", self.get_visual_style("key-bar--label") + click),
        )
