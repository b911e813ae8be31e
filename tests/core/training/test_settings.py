"""The settings of a training run, and the presets: those of the reference script, and how others adapt to a text."""

from typing import Any

import pytest

from charlstm.errors import SettingsError
from charlstm.model.file import ModelConfig
from charlstm.setting_fields import setting_fields
from charlstm.training.presets import preset, with_given
from charlstm.training.settings import Settings, parse_setting, write_setting


@pytest.mark.parametrize(
    ("recorded", "kernel", "precision"),
    [("fused-bf16", "fused", "bfloat16"), ("fused-f32", "fused", "float32"), ("nn", "nn", "auto")],
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


# ---- presets


def test_reference_has_the_settings_of_the_script_for_every_text() -> None:
    settings = preset("reference", 5_000, 10)
    assert settings == preset("reference", 10**9, 4000)
    assert (settings.hidden_size, settings.num_layers, settings.init) == (512, 2, "torch")
    assert (settings.batch_size, settings.seq_length, settings.epochs) == (64, 100, 3)
    assert (settings.optimizer, settings.lr, settings.schedule, settings.clip) == ("adam", 1e-3, "constant", 5.0)
    assert (settings.dropout, settings.shared_masks, settings.weight_decay) == (0.5, False, 0.0)
    assert (settings.val_fraction, settings.split, settings.ema_decay) == (0.1, "tail", None)


@pytest.mark.parametrize(("name", "minutes"), [("quick", 1), ("standard", 10), ("best", 120)])
def test_timed_presets_have_smaller_networks_for_small_texts(name: str, minutes: float) -> None:
    large, small = preset(name, 2_000_000, 83), preset(name, 3_000, 40)
    assert large.max_minutes == small.max_minutes == minutes
    assert small.hidden_size < large.hidden_size


@pytest.mark.parametrize("name", ["quick", "standard", "best"])
def test_presets_regularise_more_with_more_epochs(name: str) -> None:
    found = [preset(name, chars, 83) for chars in (10**9, 10**7, 2 * 10**6, 400_000, 100_000)]
    assert (found[0].dropout, found[0].weight_drop) == (0.0, 0.0)  # less than one epoch
    for rates, least in (([each.dropout for each in found], 0.3), ([each.weight_drop for each in found], 0.1)):
        assert rates == sorted(rates)
        assert rates[-1] > least


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        ({}, 1.0), ({"lr": 0.1}, 1.0), ({"max_steps": 5}, None), ({"epochs": 2.0}, None), ({"epochs": None}, 1.0),
        ({"epochs": 2.0, "max_minutes": 3.0}, 3.0),
    ],
)  # fmt: skip
def test_steps_or_epochs_that_are_given_lift_the_minutes(given: dict[str, Any], minutes: float | None) -> None:
    assert with_given(preset("quick"), given).max_minutes == minutes


def test_minutes_that_are_given_lift_the_epochs_of_a_timed_preset_and_of_no_other() -> None:
    from_model = preset("standard", 200_000, 60, ModelConfig(60, 512, 2))
    assert with_given(from_model, {"max_minutes": 30.0}).epochs is None
    assert with_given(from_model, {"max_steps": 7}).epochs is None
    assert with_given(from_model, {"lr": 0.1}).epochs == from_model.epochs
    assert with_given(preset("reference"), {"max_minutes": 30.0}).epochs == 3


def test_start_from_a_model_takes_few_epochs_and_little_dropout_the_fewer_the_smaller_the_text() -> None:
    shape = ModelConfig(83, 512, 2)
    found = [preset("standard", chars, 83, shape) for chars in (2_000_000, 1_300_000, 1_200_000, 1_000)]
    assert [each.epochs for each in found] == [5, 4, 2, 2]
    assert [(each.dropout, each.weight_drop) for each in found] == [(0.1, 0), (0.1, 0), (0.05, 0), (0.05, 0)]
    assert all(each.patience is None for each in found)  # it would end them before the rate is low
    assert preset("quick", 2_000_000, 83, shape).dropout == 0  # a minute is a fraction of an epoch
    assert all(each.lr < preset("standard").lr for each in found)
