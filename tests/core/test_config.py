"""The configuration file: what it may say, and what a wrong entry leads to."""

import tomllib
from pathlib import Path

import pytest

from charlstm.cli.main import run
from charlstm.config import ENTRIES, Config, example_config, load_config, written
from charlstm.model.file import ModelConfig
from charlstm.paths import config_path
from charlstm.runs.start_models import starts_from_model
from charlstm.training.presets import PRESETS, preset, preset_table, presets


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("CHARLSTM_CONFIG", str(path))
    return path


def test_without_a_file_everything_has_its_default(path: Path) -> None:
    assert config_path() == path
    assert load_config() == (Config(), ())


def test_entries_are_read(path: Path) -> None:
    path.write_text(
        'theme = "nord"\nloss_unit = "bits"\nstart_folder = "~/texts"\npreset = "standard"\ncolouring = "rank"\n'
        'speed = 0\nmouse = false\n[keys]\n"train.pause" = "p"\n"runs.play" = ["g", "ctrl+g"]\n'
    )
    config, problems = load_config()
    assert problems == ()
    given = {name: value for name, value in config.values.items() if value != Config().values[name]}
    assert given == {
        "theme": "nord", "loss_unit": "bits", "start_folder": "~/texts", "preset": "standard", "colouring": "rank",
        "speed": 0.0, "mouse": False,
    }  # fmt: skip
    assert dict(config.keys) == {"train.pause": ("p",), "runs.play": ("g", "ctrl+g")}


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ('theme = "nord"\nloss_units = "bits"\n', 2, "did you mean loss_unit"),
        ('loss_unit = "octets"\n', 1, "loss_unit is nats or bits, not 'octets'"),
        ("\nspeed = true\n", 2, "a number from 0"),
        ('preset = "quik"\n', 1, "quick"),
        ("mouse = 1\n", 1, "true or false"),
        ("theme = 1\n", 1, "in quotes"),
        ('keys = "p"\n', 1, "[keys]"),
        ('[keys]\n"train.pause" = 1\n', 2, "a key in quotes"),
        ('presets = "small"\n', 1, "write [presets.NAME]"),
        ("[presets]\nsmall = 1\n", 2, "write [presets.small]"),
        ("[presets.quick]\n", 1, "quick cannot name a preset of your own"),
        ("[presets.small]\nlearning_rate = 64\n", 2, "learning_rate is called lr here"),
        ('[presets.small]\npreset = "smal"\n', 2, "preset is quick or standard"),
        ("[presets.small]\nval_fraction = 0.6\ntest_fraction = 0.6\n", 1, "there has to be text to train on"),
    ],
)
def test_a_wrong_entry_is_a_sentence_with_its_place(path: Path, content: str, line: int, says: str) -> None:
    path.write_text(content)
    config, problems = load_config()
    assert len(problems) == 1
    assert problems[0].startswith(f"{path}, line {line}: ")
    assert says in problems[0]
    assert config in (Config(), Config(theme="nord"))


def test_a_preset_of_ones_own_is_one_of_the_presets(path: Path) -> None:
    before = preset("quick", 5000, 40)
    path.write_text('preset = "small"\n[presets.small]\nhidden_size = 48\nmax_steps = 70\nclip = "none"\n')
    config, problems = load_config()
    assert (config.preset, problems) == ("small", ())
    assert list(presets()) == [*PRESETS, "small"]
    assert presets()["small"].about == "quick with hidden_size=48, max_steps=70, clip=none"
    expected = before.with_changes(hidden_size=48, max_steps=70, clip=None, max_minutes=None)
    assert preset("small", 5000, 40) == expected
    assert not starts_from_model(None, "small")  # it has a network of its own
    [own] = config.presets
    path.write_text(preset_table(own.name, own.base, dict(own.changes)))
    assert load_config()[0].presets[0].changes == own.changes
    path.unlink()
    assert list(presets()) == list(PRESETS)


def test_preset_of_ones_own_keeps_its_settings_and_its_limit_where_training_starts_from_a_model(path: Path) -> None:
    path.write_text("[presets.slow]\nlr = 0.0007\n[presets.long]\nmax_steps = 5000\n")
    quick, slow, long = (preset(name, 5000, 40, ModelConfig(40, 64, 2)) for name in ("quick", "slow", "long"))
    assert starts_from_model(None, "slow")
    assert slow == quick.with_changes(lr=0.0007)
    assert quick.epochs == 2
    assert (long.max_steps, long.epochs, long.max_minutes) == (5000, None, None)


def test_a_file_that_is_no_toml_or_missing_is_said(path: Path, tmp_path: Path) -> None:
    path.write_text("theme = \n")
    assert "not valid TOML" in load_config()[1][0]
    assert "cannot be read" in load_config(tmp_path / "none.toml")[1][0]


def test_the_example_has_every_entry_and_changes_nothing(path: Path) -> None:
    path.write_text(example_config())
    assert load_config() == (Config(), ())
    path.write_text(example_config().replace("# theme", "theme").replace("# speed =", "speed ="))
    assert load_config() == (Config(), ())
    lines = example_config().splitlines(keepends=True)
    uncommented = "".join(line.removeprefix("# ") for line in lines if " = " in line or line.startswith("["))
    assert set(tomllib.loads(uncommented)) == set(ENTRIES)


@pytest.mark.parametrize(("value", "word"), [(60.0, "60"), (12.3456789, "12.3456789")])
def test_a_number_is_written_with_all_of_its_digits(value: float, word: str) -> None:
    assert written(value) == word
    assert tomllib.loads(f"speed = {word}") == {"speed": value}


def test_the_command_writes_it_once(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "init"]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert path.read_text() == example_config()
    path.write_text("mouse = 1\n")
    assert run(["config", "init"]) == 1
    assert path.read_text() == "mouse = 1\n"


def test_init_names_a_parent_that_is_not_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It said that the configuration exists already."""
    (tmp_path / "file").write_text("")
    for name, why in (("file/x.toml", "it is not a folder"), ("file/folder/x.toml", "Not a directory")):
        assert run(["config", "init", "--config", str(tmp_path / name)]) == 1
        assert f"The folder {(tmp_path / name).parent} cannot be created ({why})" in capsys.readouterr().err
