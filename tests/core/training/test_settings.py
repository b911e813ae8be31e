"""The settings of a training run: precision and the kernel names that runs record."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from charlstm.errors import SettingsError
from charlstm.setting_fields import setting_fields
from charlstm.training import settings as settings_module
from charlstm.training.settings import KERNELS, WITHOUT_EFFECT_ON_LOSS, Settings, parse_setting, write_setting


@pytest.mark.parametrize(
    ("recorded", "kernel", "precision"),
    [
        ("fused-bf16", "fused", "bfloat16"),
        ("fused-f32", "fused", "float32"),
        ("nn", "nn", "auto"),
    ],
)
def test_recorded_kernel_names_stand_for_kernel_and_precision(recorded: str, kernel: str, precision: str) -> None:
    settings = Settings().with_changes(kernel=parse_setting("kernel", recorded))
    assert (settings.kernel, settings.precision) == (kernel, precision)
    assert Settings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": "fused-f32", "precision": "bfloat16"}, "kernel=fused-f32 computes in float32, not in bfloat16"),
        ({"kernel": "nn", "precision": "bfloat16"}, "kernel=nn computes in float32: use kernel=fused with"),
        ({"precision": "float16"}, "precision takes auto or float32 or bfloat16, not 'float16'"),
        ({"kernel": "warp"}, "kernel takes auto or .*, not 'warp'"),
    ],
)
def test_kernel_and_precision_that_do_not_exist_are_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings().with_changes(**changes)


def test_every_setting_is_in_a_group() -> None:
    groups = [each.group for each in setting_fields(Settings).values()]
    assert groups[0]
    assert len(set(groups) - {""}) == len([group for group in groups if group])


def test_every_setting_acts_somewhere() -> None:
    core = Path(settings_module.__file__).parents[1]
    modules = [path for path in core.glob("*/*.py") if path.name not in ("settings.py", "presets.py", "prediction.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in modules if path.parent.name != "cli")
    assert [each.name for each in fields(Settings) if not re.search(rf"settings\.{each.name}\b", text)] == []


def test_precision_that_a_kernel_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # a copy, as an entry that is put back would come last, and the order of the kernels matters to other tests
    kernels = {name: kind for name, kind in KERNELS.items() if name != "fused-f32"}
    monkeypatch.setattr("charlstm.training.settings.KERNELS", kernels)
    with pytest.raises(SettingsError, match="kernel=fused computes in bfloat16: use kernel=nn with precision=float32"):
        Settings(kernel="fused", precision="float32")


def test_settings_without_effect_on_the_loss_may_change_at_a_resume() -> None:
    declared = setting_fields(Settings)
    assert all(not declared[name].fixed for name in WITHOUT_EFFECT_ON_LOSS)


@pytest.mark.parametrize(("word", "value"), [("10,000", 10_000), ("1,234,567", 1_234_567), ("1_000", 1000)])
def test_whole_numbers_are_read_with_signs_between_thousands(word: str, value: int) -> None:
    assert parse_setting("max_steps", word) == value


@pytest.mark.parametrize("word", ["1,5", "1,50", "12,3456", "1000,000", ",100", "1,", "1,000,5"])
def test_other_commas_in_whole_numbers_are_refused(word: str) -> None:
    with pytest.raises(SettingsError, match="max_steps takes a whole number of at least 1 or none, not"):
        parse_setting("max_steps", word)


@pytest.mark.parametrize(
    ("value", "word"), [(0.003, "0.003"), (2.0, "2"), (1e-5, "1e-05"), (0.00123456789, "0.00123456789"), (None, "off")]
)
def test_a_setting_is_written_as_it_is_read(value: float | None, word: str) -> None:
    field = setting_fields(Settings)["max_minutes"]
    assert field.write(value) == word
    assert field.parse(word) == value
    assert write_setting("max_minutes", value) == ("none" if value is None else word)
