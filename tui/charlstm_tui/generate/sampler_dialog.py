"""Every sampler setting as a form in a dialog, as ``charlstm.generation.sampler_settings`` declares them."""

from __future__ import annotations

from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.setting_fields import setting_fields
from charlstm_tui.player.preferences import Preferences
from charlstm_tui.setting_form import SettingForm

COPIED = "copied"
DECLARED = {**setting_fields(SamplerSettings), COPIED: setting_fields(Preferences)[COPIED]}
"""The settings of the form: those of the sampler, and from how many characters on a passage counts as copied."""
Chosen = tuple[SamplerSettings, int | None]


class SamplerDialog(SettingForm):
    """Returns the settings and ``copied``, or ``None``. ``copied`` of ``None`` leaves that row out."""

    def __init__(self, title: str, settings: SamplerSettings, copied: int | None = None) -> None:
        values = {name: getattr(settings, name) for name in setting_fields(SamplerSettings)}
        if copied is not None:
            values[COPIED] = copied
        declared = {name: DECLARED[name] for name in values}
        super().__init__(title, declared, values, {name: each.default for name, each in declared.items()})

    def result(self) -> Chosen:
        """What the dialog returns."""
        values = dict(self.values)
        copied = values.pop(COPIED, None)
        return SamplerSettings(**values), copied
