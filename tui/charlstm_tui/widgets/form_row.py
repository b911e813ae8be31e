"""A row of a form: a setting's name, the field for its value, and what it does or why the value is not accepted.

A subclass says how values are read and written, and what the setting does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rich.segment import Segment
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.strip import Strip
from textual.widgets import Input

from charlstm.errors import CharLSTMError
from charlstm_tui.widgets.painted import Painted
from charlstm_tui.widgets.text_input import TextInput


class FormRow(Painted, Horizontal):
    """A setting and its value. Entering the field selects its content, so that typing replaces it.

    ``usual`` is the value that counts as unchanged. ``value`` is the last value that was accepted. ``error`` is a
    sentence, empty while the field's content is accepted. The row draws what stands before and after its field itself:
    a form of forty rows opens in half the time.
    """

    INDENT: ClassVar[int] = 1
    """Columns before the name."""
    PARTS: ClassVar[Mapping[str, str]] = {"changed": "bold $accent", "about": "$quiet", "wrong": "$error"}
    DEFAULT_CSS = """
    FormRow { height: 1; }
    FormRow > Input { width: 14; margin-left: 22; background: $foreground 8%; }
    FormRow > Input:focus { background: $primary 30%; }
    """

    def __init__(self, name: str, value: Any, usual: Any, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.setting, self.value, self.usual = name, value, usual
        self.error = ""

    # ---- what a subclass defines
    def read(self, text: str) -> Any:
        """The value that ``text`` stands for. Raises :class:`CharLSTMError` for what the setting cannot be."""
        raise NotImplementedError

    def write(self, value: Any) -> str:
        """The inverse of :meth:`read`."""
        raise NotImplementedError

    def about(self) -> str:
        """What the setting does; while there is an error, what it takes."""
        raise NotImplementedError

    @property
    def caption(self) -> str:
        """The setting's name on the screen."""
        return self.setting

    # ---- the row
    def compose(self) -> ComposeResult:
        yield TextInput(self.write(self.value), compact=True)

    def on_mount(self) -> None:
        self.check()

    def on_click(self) -> None:
        """The whole row is the field's label."""
        self.query_one(Input).focus()

    @on(Input.Changed)
    def check(self) -> None:
        """Read the field, and show whether its content is accepted and whether it is changed."""
        try:
            self.value, self.error = self.read(self.query_one(Input).value), ""
        except CharLSTMError as error:
            self.error = str(error)
        self.repaint()

    @property
    def changed(self) -> bool:
        """Whether the value is accepted and not the usual one."""
        return not self.error and self.value != self.usual

    def draw(self) -> list[Strip]:
        plain, field = self.look(), self.query_one(Input).virtual_region
        mark, look = ("*", self.look("changed")) if self.changed else (" ", plain)
        name = Strip([Segment(" " * self.INDENT, plain), Segment(f"{mark} {self.caption}", look)])
        words = Content(self.about()).truncate(max(0, self.size.width - field.right - 2), ellipsis=True).plain
        about = Strip([Segment(f" {words}", self.look("wrong" if self.error else "about"))])
        line = Strip.join([name.adjust_cell_length(field.right, plain), about])
        return [line.adjust_cell_length(self.size.width, plain)]

    def reset(self) -> None:
        """Back to the usual value."""
        self.query_one(Input).value = self.write(self.usual)


def values(rows: Iterable[FormRow]) -> dict[str, Any] | None:
    """The values by setting. If one is not accepted, ``None``, and its field gets the focus."""
    found = {}
    for row in rows:
        row.check()
        if row.error:
            row.query_one(Input).focus()
            return None
        found[row.setting] = row.value
    return found
