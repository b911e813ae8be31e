from __future__ import annotations

import pytest

from charlstm.errors import SettingsError
from charlstm.training.presets import PRESETS, preset


def test_reference_is_the_scripts_own() -> None:
    """As the script is known: nothing adapts, whatever the text."""
    settings = preset("reference", 5_000, 10)
    assert settings == preset("reference", 10**9, 4000)
    assert (settings.hidden_size, settings.num_layers, settings.init) == (512, 2, "torch")
    assert (settings.batch_size, settings.seq_length, settings.epochs) == (64, 100, 3)
    assert (settings.optimizer, settings.lr, settings.schedule, settings.clip) == ("adam", 1e-3, "constant", 5.0)
    assert (settings.dropout, settings.shared_masks, settings.weight_decay) == (0.5, False, 0.0)
    assert (settings.val_fraction, settings.split, settings.ema_decay) == (0.1, "tail", None)


@pytest.mark.parametrize(("name", "minutes"), [("quick", 1), ("standard", 10), ("best", 120)])
def test_ours_end_by_the_clock_and_shrink_with_the_text(name: str, minutes: float) -> None:
    large, small = preset(name, 2_000_000, 83), preset(name, 3_000, 40)
    assert large.max_minutes == small.max_minutes == minutes
    assert small.hidden_size < large.hidden_size


@pytest.mark.parametrize("name", ["quick", "standard", "best"])
def test_the_more_often_a_text_is_read_the_more_it_is_held_back(name: str) -> None:
    held = [preset(name, chars, 83) for chars in (10**9, 10**7, 2 * 10**6, 400_000, 100_000)]
    assert (held[0].dropout, held[0].weight_drop) == (0.0, 0.0)  # not read twice
    assert [settings.dropout for settings in held] == sorted(settings.dropout for settings in held)
    assert [settings.weight_drop for settings in held] == sorted(settings.weight_drop for settings in held)
    assert held[-1].dropout > 0.3
    assert held[-1].weight_drop > 0.1


def test_unknown_names_are_told_the_known() -> None:
    assert set(PRESETS) == {"reference", "quick", "standard", "best"}
    with pytest.raises(SettingsError, match="quick, standard, best, reference"):
        preset("slow")
