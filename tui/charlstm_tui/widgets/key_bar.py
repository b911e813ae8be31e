"""The last line of every screen: as many keys as fit, the most important first, and always the way to help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice

from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from charlstm_tui.actions import Action
from charlstm_tui.widgets.text_input import TextInput

MOST_KEYS = 7
"""Keys on the line besides that of the help, at most: of more, nobody finds the one that is looked for."""


class KeyBar(Widget):
    """The keys of the actions with a ``footer`` in the action table; a click on one acts too.

    Textual's Footer shows all bindings in the order of the code and scrolls sideways; here the most important ones come
    first, and what does not fit is left to the help. ``actions`` gives the actions that would act now, and ``labels``
    the labels that differ from the table's now, by action id, as "licence: kept" does from "licence". An action with an
    empty label is left out. The keys of a line that is typed in come first, without what the same keys do elsewhere.
    """

    DEFAULT_CSS = "KeyBar { height: 1; width: 100%; }"

    def __init__(self, actions: Callable[[], Sequence[Action]], labels: Callable[[], Mapping[str, str]]) -> None:
        super().__init__()
        self._actions, self._labels = actions, labels
        self._drawn: object = None

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def _bindings_updated(self, screen: Screen[object]) -> None:
        if (self.items(), self._typing_keys()) != self._drawn:
            self.refresh()

    def items(self) -> list[tuple[str, str, str]]:
        """Id, key and label of each action to show, the most important first, help last."""
        labels, acting = self._labels(), {action.id: action for action in self._actions()}
        first = "app.zoom" if self.screen.maximized is not None else ""
        shown = sorted(
            (each for each in acting.values() if each.footer), key=lambda each: (each.id != first, each.footer)
        )
        helps = [acting[name] for name in ("app.help_key", "app.help") if name in acting][:1]
        items = [(each.id, each.key_label, labels.get(each.id, each.label)) for each in (*shown, *helps)]
        return [item for item in items if item[2]]

    def render(self) -> Content:
        width = self.size.width - 1
        items, typing = self.items(), self._typing_keys()
        self._drawn = (items, typing)
        if not items:
            return Content("")
        right = self._entry(*items[-1])
        keys = (Content.assemble((key, "bold $primary"), (f" {label}", "$quiet")) for key, label in typing)
        taken = {key for keys, _ in typing for key in keys.split()}
        own = (self._entry(*item) for item in items[:-1] if item[1] not in taken)
        entries = islice(chain(keys, own), MOST_KEYS)  # those that do not fit are not made
        line = Content(" ")
        for index, shown in enumerate(entries):
            entry = Content.assemble("  " if index else "", shown)
            if line.cell_length + entry.cell_length + right.cell_length + 2 > width:
                break
            line = line + entry
        return Content.assemble(line, " " * max(1, width - line.cell_length - right.cell_length), right).truncate(
            width + 1
        )

    def _typing_keys(self) -> tuple[tuple[str, str], ...]:
        """The keys of the line that is typed in, if one is."""
        focused = self.screen.focused
        return focused.typing_keys if isinstance(focused, TextInput) else ()

    async def on_click(self, event: events.Click) -> None:
        if action := event.style.meta.get("do"):
            await self.run_action(f"screen.do({action!r})")

    def _entry(self, action: str, key: str, label: str) -> Content:
        click = Style.from_meta({"do": action})
        return Content.assemble(
            (key, Style.parse("bold $primary") + click),
            (f" {label}", Style.parse("$quiet") + click),
        )
