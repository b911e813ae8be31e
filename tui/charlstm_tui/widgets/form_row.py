"""One setting in a form: its name, its field, and what it does or why its value cannot be.

Which settings there are, and how their values are read and written, is the business of who derives from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from charlstm.errors import CharLSTMError
from charlstm_tui.widgets.text_input import TextInput


class FormRow(Horizontal):
    """``usual`` is the value that counts as unchanged. ``error`` is a sentence, empty while ``value`` is what stands
    in the field."""

    SELECT = False
    """Whether coming into the field selects what stands in it."""
    DEFAULT_CSS = """
    FormRow { height: 1; }
    FormRow > .form--name { width: 22; padding: 0 1; text-wrap: nowrap; }
    FormRow > Input { width: 14; background: $foreground 8%; }
    FormRow > Input:focus { background: $primary 30%; }
    FormRow > .form--about { width: 1fr; padding: 0 1; color: $quiet; text-wrap: nowrap; text-overflow: ellipsis; }
    FormRow.-wrong > .form--about { color: $error; }
    FormRow.-changed > .form--name { color: $accent; text-style: bold; }
    """

    def __init__(self, name: str, value: Any, usual: Any, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.setting, self.value, self.usual = name, value, usual
        self.error = ""

    # ---- what a form fills in
    def read(self, text: str) -> Any:
        """The value that ``text`` stands for. Raises :class:`CharLSTMError` for what the setting cannot be."""
        raise NotImplementedError

    def write(self, value: Any) -> str:
        """The inverse of :meth:`read`."""
        raise NotImplementedError

    def about(self) -> str:
        """What the setting does, or what it takes while there is an error."""
        raise NotImplementedError

    @property
    def caption(self) -> str:
        """The setting's name on the screen."""
        return self.setting

    # ---- the row
    def compose(self) -> ComposeResult:
        yield Static(classes="form--name", markup=False)
        yield TextInput(self.write(self.value), compact=True, select_on_focus=self.SELECT)
        yield Static(classes="form--about", markup=False)

    def on_mount(self) -> None:
        self.judge()

    @on(Input.Changed)
    def judge(self) -> None:
        """Read the field; keep its value, or say what is wrong with it."""
        try:
            self.value, self.error = self.read(self.query_one(Input).value), ""
        except CharLSTMError as error:
            self.error = str(error)
        changed = not self.error and self.value != self.usual
        self.set_class(bool(self.error), "-wrong")
        self.set_class(changed, "-changed")
        self.query_one(".form--name", Static).update(Content(f"{'*' if changed else ' '} {self.caption}"))
        self.query_one(".form--about", Static).update(Content(self.about()))

    def reset(self) -> None:
        """Back to the usual value."""
        self.query_one(Input).value = self.write(self.usual)


def values(rows: Iterable[FormRow]) -> dict[str, Any] | None:
    """What the fields say, by setting; where one is wrong ``None``, and the cursor is in it."""
    found = {}
    for row in rows:
        row.judge()
        if row.error:
            row.query_one(Input).focus()
            return None
        found[row.setting] = row.value
    return found
