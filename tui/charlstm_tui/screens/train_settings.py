"""All settings in a dialog around the form, with what the setting in focus does and takes."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import DescendantFocus
from textual.widgets import Static

from charlstm.training.settings import Settings, about, takes
from charlstm_tui.widgets.dialogs import Dialog
from charlstm_tui.widgets.settings_form import SettingRow, SettingsForm


class SettingsScreen(Dialog):
    """All settings; returns them, or ``None`` when left by Esc."""

    BINDINGS = [("ctrl+r", "reset", "preset's values")]  # noqa: RUF012

    def __init__(self, name: str, settings: Settings, usual: Settings) -> None:
        super().__init__()
        self._name, self._settings, self._usual = name, settings, usual

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog settings"):
            yield Static(Content(f"All settings, beginning with {self._name}"), classes="dialog-title")
            yield SettingsForm(self._settings, self._usual)
            yield Static(id="setting-help", markup=False)
            yield Static(
                Content("Enter take   ↑↓ rows   Ctrl+R the preset's   * changed   Esc cancel"), classes="dialog-keys"
            )

    @on(DescendantFocus)
    def _explain(self, event: DescendantFocus) -> None:
        row = event.widget.parent
        if isinstance(row, SettingRow):
            words = f"{row.setting}: {about(row.setting)}. Takes {takes(row.setting)}."
            self.query_one("#setting-help", Static).update(Content(words))

    @on(SettingsForm.Submitted)
    def _submitted(self, event: SettingsForm.Submitted) -> None:
        self.dismiss(event.settings)

    def action_reset(self) -> None:
        self.query_one(SettingsForm).reset()
