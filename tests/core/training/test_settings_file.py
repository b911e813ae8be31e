"""Settings read from a TOML file."""

from __future__ import annotations

from pathlib import Path

import pytest

import charlstm
from charlstm.errors import SettingsError
from charlstm.training.presets import PRESETS, preset
from charlstm.training.settings import Settings, setting_names
from charlstm.training.settings_file import load_settings


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "small.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_settings_file_changes_its_preset(tmp_path: Path) -> None:
    content = (
        'preset = "standard"\nhidden_size = 64  # small\nlr = 3e-3\nepochs = 5\nmax_minutes = "none"\n'
        'shared_masks = false\nsplit = "blocks"\n\n[text]\nclean = true\nmax_chars = 5000\n'
    )
    found = charlstm.load_settings(written(tmp_path, content))
    expected = preset("standard", 20_000, 50).with_changes(
        hidden_size=64, lr=0.003, epochs=5.0, max_minutes=None, shared_masks=False, split="blocks"
    )
    assert found.settings(20_000, 50) == expected
    assert found.preset == "standard"
    assert found.text_options == charlstm.TextOptions(clean=True, max_chars=5000)


def test_empty_settings_file_is_the_preset_quick(tmp_path: Path) -> None:
    found = load_settings(written(tmp_path, ""))
    assert (found.preset, found.changes, found.text_options) == (None, {}, charlstm.TextOptions())
    assert found.settings(5000, 60) == preset("quick", 5000, 60)


def test_every_setting_can_be_in_the_file(tmp_path: Path) -> None:
    """A file with all values of one Settings gives these settings back."""
    settings = Settings(epochs=3, max_steps=7, patience=2, clip=None, seed=2**62, weight_drop=0.1, shared_masks=False)

    def toml(value: object) -> str:
        if value is None:
            return '"none"'
        return str(value).lower() if isinstance(value, bool) else repr(value)

    lines = [f"{name} = {toml(value)}" for name, value in settings.to_dict().items()]
    assert len(lines) == len(setting_names())
    assert load_settings(written(tmp_path, "\n".join(lines))).settings() == settings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("clip = 1\n\nlearning_rate = 5", "line 3: learning_rate is called lr here: write lr="),
        ("hidden_sise = 5", "line 1: There is no setting 'hidden_sise'; did you mean hidden_size?"),
        ("# a\nhidden_size = 0", "line 2: hidden_size takes a whole number from 1 to 8,192, not 0"),
        ("dropout = true", "line 1: dropout takes a number from 0 to 0.95, not 'true'"),
        ("lr = 1\r\nseed = [1]", "line 2: A setting is a number, a word in quotes, true or false"),
        ("[network]\nhidden_size = 5", "line 1: This is a table, and the settings are at the top of the file"),
        ("preset = 'quickest'", f"line 1: There is no preset 'quickest'; the presets are {', '.join(PRESETS)}"),
        ("[text]\nclean = 1", "line 2: clean takes true or false, not 1"),
        ("clean = true", "line 1: There is no setting 'clean'"),
        ("[text]\nlr = 1", "line 2: There is no text option 'lr'"),
        ("text = 1", "line 1: text is a table: write [text], and the text options below it"),
        ("text.clean = 1", "small.toml: clean takes true or false, not 1"),
        ("lr = 1\nlr = 2\n", "is not valid TOML: Cannot overwrite a value (at line 2, column 7)"),
        ("lr 1", "is not valid TOML: Expected '=' after a key in a key/value pair (at line 1"),
        (b"lr = 1 # \xe9", "is not UTF-8 text"),
        (b"#\n" * 50_001, "longer than 100,000 bytes"),
    ],
)
def test_wrong_settings_file_is_one_sentence_with_its_place(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_settings_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder, not a file"):
        load_settings(tmp_path)
