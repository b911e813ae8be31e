"""The settings of a training run: precision and the kernel names that runs record."""

from __future__ import annotations

import pytest

from charlstm.errors import SettingsError
from charlstm.setting_fields import setting_fields
from charlstm.training.settings import Settings, parse_setting, write_setting


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
