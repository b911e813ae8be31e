"""All settings of a run as a form, generated from ``charlstm.training.settings``."""

from __future__ import annotations

from collections.abc import Mapping

from charlstm.setting_fields import setting_fields
from charlstm.training.ending import risk_words
from charlstm.training.settings import Settings
from charlstm_tui.setting_form import SettingForm


class SettingsDialog(SettingForm):
    """Returns the settings, or ``None``. ``usual`` are those of the preset ``name``; ``without_effect`` says of some
    settings why they have no effect on the run."""

    def __init__(self, name: str, settings: Settings, usual: Settings, without_effect: Mapping[str, str]) -> None:
        super().__init__(
            f"ALL SETTINGS · preset {name}",
            setting_fields(Settings),
            settings.to_dict(),
            usual.to_dict(),
            usual_is=f"Preset {name}",
            off="none",
            without_effect=without_effect,
        )
        self._settings, self._preset_rate = settings, usual.lr

    def result(self) -> Settings:
        return self._settings.with_changes(**self.values)

    def warning(self) -> str:
        risk = risk_words(self.values["lr"], self._preset_rate)
        return f"! {risk}" if risk else ""
