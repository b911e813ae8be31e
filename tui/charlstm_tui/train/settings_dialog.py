"""All settings of a run as an editable form, generated from ``charlstm.training.settings``.

A row is a name, a field and what it does. A row whose value is not accepted says what the setting takes. Values that
differ from the preset are marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.message import Message
from textual.widgets import Input, Static

from charlstm.errors import SettingsError
from charlstm.training.settings import Settings, about, parse_setting, setting_names, takes
from charlstm_tui.dialogs import Dialog
from charlstm_tui.train.run_plan import setting_words
from charlstm_tui.widgets.form_row import FormRow, values

GROUPS = {
    "hidden_size": "Network",
    "batch_size": "Batches",
    "epochs": "Length",
    "optimizer": "Optimiser",
    "dropout": "Regularisation",
    "val_fraction": "Validation and log",
    "seed": "Machine and checkpoints",
}
"""Captions of groups, by the first setting of each."""


class SettingRow(FormRow):
    """A row for a setting of training. ``without_effect`` is why it has none, or empty."""

    def __init__(self, name: str, value: Any, usual: Any, without_effect: str = "") -> None:
        super().__init__(name, value, usual, id=f"setting-{name}")
        self.without_effect = without_effect

    def read(self, text: str) -> Any:
        return parse_setting(self.setting, text)

    def write(self, value: Any) -> str:
        return setting_words(value)

    def about(self) -> str:
        if self.error:
            return f"✗ takes {takes(self.setting)}"
        return f"no effect: {self.without_effect}" if self.without_effect else about(self.setting)


class SettingsForm(VerticalScroll, can_focus=False):
    """The form. ``settings`` are the values at first, ``usual`` those of the preset; ``without_effect`` says of some
    settings why they have no effect on the text."""

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
        """Enter was pressed, and all values are accepted."""

        def __init__(self, settings: Settings) -> None:
            super().__init__()
            self.settings = settings

    def __init__(self, settings: Settings, usual: Settings, without_effect: Mapping[str, str]) -> None:
        super().__init__()
        self.settings, self.usual, self.without_effect = settings, usual, without_effect

    def compose(self) -> ComposeResult:
        now, usual = self.settings.to_dict(), self.usual.to_dict()
        for number, name in enumerate(setting_names()):
            if name in GROUPS:
                first = " -first" if number == 0 else ""
                yield Static(GROUPS[name].upper(), classes=f"settings--group{first}", markup=False)
            yield SettingRow(name, now[name], usual[name], self.without_effect.get(name, ""))

    def on_mount(self) -> None:
        for field in self.query(Input)[:1]:  # there is none while the app exits
            field.focus()

    def reset(self) -> None:
        """Back to the preset's values."""
        for row in self.query(SettingRow):
            row.reset()

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        if (found := values(self.query(SettingRow))) is None:
            return
        try:
            settings = self.settings.with_changes(**found)
        except SettingsError as error:  # each value is accepted, but not together
            self.notify(str(error), severity="error", markup=False)
        else:
            self.post_message(self.Submitted(settings))


class SettingsDialog(Dialog):
    """All settings as a form. Returns them, or ``None`` after Esc. ``usual`` are those of the preset ``name``, and
    ``validation`` names the text to validate on, if it is a separate one."""

    BINDINGS = [("ctrl+r", "reset", "values of the preset")]  # noqa: RUF012

    def __init__(self, name: str, settings: Settings, usual: Settings, validation: str = "") -> None:
        super().__init__()
        self._preset, self._settings, self._usual = name, settings, usual
        why = f"validation is on {validation}, not on a part of the text"
        self._without_effect = {"val_fraction": why} if validation else {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog settings"):
            yield Static(Content(f"ALL SETTINGS · preset {self._preset}"), classes="dialog-title")
            yield SettingsForm(self._settings, self._usual, self._without_effect)
            yield Static(id="setting-help", markup=False)
            yield Static(
                Content("Enter accept   ↑↓ rows   Ctrl+R preset's values   * changed   Esc cancel"),
                classes="dialog-keys",
            )

    @on(DescendantFocus)
    def _explain(self, event: DescendantFocus) -> None:
        row = event.widget.parent
        if isinstance(row, SettingRow):
            usual = f"Preset {self._preset}: {setting_words(row.usual)}."
            effect = f" Here it has no effect: {row.without_effect}." if row.without_effect else ""
            words = f"{row.setting}: {about(row.setting)}. Takes {takes(row.setting)}. {usual}{effect}"
            self.query_one("#setting-help", Static).update(Content(words))

    @on(SettingsForm.Submitted)
    def _submitted(self, event: SettingsForm.Submitted) -> None:
        self.dismiss(event.settings)

    def action_reset(self) -> None:
        self.query_one(SettingsForm).reset()
