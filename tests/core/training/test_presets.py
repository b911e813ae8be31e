"""Presets: the settings of the reference script, and how the timed presets adapt to the text."""

from __future__ import annotations

from typing import Any

import pytest

from charlstm.model.file import ModelConfig
from charlstm.training.presets import preset, with_given


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
    assert [settings.dropout for settings in found] == sorted(settings.dropout for settings in found)
    assert [settings.weight_drop for settings in found] == sorted(settings.weight_drop for settings in found)
    assert found[-1].dropout > 0.3
    assert found[-1].weight_drop > 0.1


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        ({}, 1.0),
        ({"lr": 0.1}, 1.0),
        ({"max_steps": 5}, None),
        ({"epochs": 2.0}, None),
        ({"epochs": None}, 1.0),
        ({"epochs": 2.0, "max_minutes": 3.0}, 3.0),
    ],
)
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
    found = [preset("standard", chars, 83, shape) for chars in (2_000_000, 600_000, 60_000, 1_000)]
    assert [each.epochs for each in found] == [5, 3, 2, 2]
    assert [(each.dropout, each.weight_drop) for each in found] == [(0.1, 0), (0.1, 0), (0.05, 0), (0.05, 0)]
    assert all(each.patience is None for each in found)  # it would end them before the rate is low
    assert preset("quick", 2_000_000, 83, shape).dropout == 0  # a minute is a fraction of an epoch
    assert all(each.lr < preset("standard").lr for each in found)
