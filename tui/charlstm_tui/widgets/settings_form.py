"""All settings of a run as an editable form, generated from ``charlstm.training.config``.

A row is a name, a field and what it does; a value that is not accepted says so in its own row. Changes from the preset
carry a mark. The form edits; what is done with the result is the screen's business.
"""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from charlstm.errors import SettingsError
from charlstm.training.config import Settings, about, parse_setting, setting_names, takes
from charlstm_tui.widgets.line import Line

GROUPS = {
    "hidden_size": "The network",
    "batch_size": "The batches",
    "epochs": "How long",
    "optimizer": "The optimiser",
    "dropout": "Against learning by heart",
    "val_fraction": "What is held out",
    "seed": "The machine",
}
"""Captions, each above the setting that begins its group."""


def written(value: Any) -> str:
    """A value as a person writes it in the form: ``none``, ``true``, ``0.003``."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


class SettingRow(Horizontal):
    """One setting: its name, its field, and what it does or why its value cannot be."""

    DEFAULT_CSS = """
    SettingRow { height: 1; }
    SettingRow > .setting--name { width: 22; padding: 0 1; }
    SettingRow > Input { width: 14; background: $foreground 8%; }
    SettingRow > Input:focus { background: $primary 30%; }
    SettingRow > .setting--about {
        width: 1fr; padding: 0 1; color: $foreground 60%; text-wrap: nowrap; text-overflow: ellipsis;
    }
    SettingRow.-wrong > .setting--about { color: $error; }
    SettingRow.-changed > .setting--name { color: $accent; text-style: bold; }
    """

    def __init__(self, name: str, value: Any, usual: Any) -> None:
        super().__init__(id=f"setting-{name}")
        self.setting, self.usual, self.value = name, usual, value
        self.error: str | None = None

    def compose(self) -> ComposeResult:
        yield Static(classes="setting--name", markup=False)
        yield Line(written(self.value), compact=True, select_on_focus=False)
        yield Static(classes="setting--about", markup=False)

    def on_mount(self) -> None:
        self.judge(written(self.value))

    def judge(self, text: str) -> None:
        """Read ``text``; keep its value or say what is wrong with it."""
        try:
            self.value, self.error = parse_setting(self.setting, text), None
        except SettingsError as error:
            self.error = str(error)
        changed = self.error is None and self.value != self.usual
        self.set_class(self.error is not None, "-wrong")
        self.set_class(changed, "-changed")
        self.query_one(".setting--name", Static).update(Content(f"{'*' if changed else ' '} {self.setting}"))
        told = f"✗ takes {takes(self.setting)}" if self.error else about(self.setting)
        self.query_one(".setting--about", Static).update(Content(told))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.judge(event.value)


class SettingsForm(VerticalScroll, can_focus=False):
    """The form. ``presets`` are the values that count as unchanged, ``settings`` those to begin with."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Row above", show=False),
        Binding("down", "app.focus_next", "Row below", show=False),
    ]
    DEFAULT_CSS = """
    SettingsForm { scrollbar-size-vertical: 1; }
    SettingsForm > .settings--group { height: 2; padding: 1 1 0 1; color: $foreground 60%; text-style: bold; }
    SettingsForm > .settings--group.-first { height: 1; padding: 0 1; }
    """

    class Submitted(Message):
        """Enter in a form without mistakes."""

        def __init__(self, settings: Settings) -> None:
            super().__init__()
            self.settings = settings

    def __init__(self, settings: Settings, usual: Settings, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.settings, self.usual = settings, usual

    def compose(self) -> ComposeResult:
        values, usual = self.settings.to_dict(), self.usual.to_dict()
        for number, name in enumerate(setting_names()):
            if name in GROUPS:
                first = " -first" if number == 0 else ""
                yield Static(GROUPS[name].upper(), classes=f"settings--group{first}", markup=False)
            yield SettingRow(name, values[name], usual[name])

    def on_mount(self) -> None:
        self.query(Input).first().focus()

    def reset(self) -> None:
        """Back to the preset's values."""
        for row in self.query(SettingRow):
            row.query_one(Input).value = written(row.usual)

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        rows = list(self.query(SettingRow))
        for row in rows:
            row.judge(row.query_one(Input).value)
            if row.error:
                row.query_one(Input).focus()
                return
        self.post_message(self.Submitted(self.settings.with_changes(**{row.setting: row.value for row in rows})))
