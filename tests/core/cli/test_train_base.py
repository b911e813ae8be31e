"""What a run's settings are based on: a preset, a settings file, another run; and which of them wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import charlstm
from charlstm.runs.folder import find_run
from charlstm.training.presets import preset
from command_line import TEXT, TINY, Cli


def record(name: str) -> Any:
    return json.loads((find_run(name).path / "run.json").read_text())


SMALL = """
preset = "standard"
hidden_size = 12
num_layers = 1
batch_size = 4
seq_length = 16
max_steps = 3
lr = 0.02
kernel = "nn"
threads = 1

[text]
max_chars = 1000
clean = true
"""


def test_options_go_before_the_settings_file_and_that_before_the_preset(workspace: Path, cli: Cli) -> None:
    (workspace / "small.toml").write_text(SMALL, encoding="utf-8")
    words = ["train", "data/fox.txt", "--settings-file", "small.toml", "--name", "file"]
    cli(*words, "--lr", "0.03", "--set", "seq_length=8")
    found = record("file")
    expected = preset("standard", 1000, len(set(TEXT[:1000]))).with_changes(
        hidden_size=12, num_layers=1, batch_size=4, seq_length=8, max_steps=3, max_minutes=None, lr=0.03,
        kernel="nn", threads=1,
    )  # fmt: skip
    assert found["settings"] == expected.to_dict()
    assert found["preset"] == "standard"
    assert found["corpus"]["chars"] == 1000
    assert found["corpus"]["options"]["clean"]
    cli(*words[:-1], "options", "--preset", "reference", "--max-chars", "500", "--no-clean")
    found = record("options")
    assert (found["preset"], found["settings"]["optimizer"], found["settings"]["lr"]) == ("reference", "adam", 0.02)
    assert found["corpus"]["chars"] == 500
    assert not found["corpus"]["options"]["clean"]


def weights(name: str) -> dict[str, Any]:
    return charlstm.load_model(find_run(name).model_path).weights


def test_run_like_another_trains_to_the_same_weights(workspace: Path, cli: Cli) -> None:
    cli("train", "--like", "fox", "--name", "again")
    assert record("again")["settings"] == record("fox")["settings"]
    assert record("again")["corpus"] == record("fox")["corpus"]
    assert record("again")["preset"] == record("fox")["preset"] == "quick"
    for name, array in weights("fox").items():
        assert np.array_equal(array, weights("again")[name])


def test_options_go_before_settings_file_and_that_before_the_run(workspace: Path, cli: Cli) -> None:
    (workspace / "other.txt").write_text("another text, with other words in it. " * 200, encoding="utf-8")
    (workspace / "like.toml").write_text("lr = 0.02\nseed = 7\n[text]\nmax_chars = 2000", encoding="utf-8")
    words = ["train", "other.txt", "--like", "fox", "--settings-file", "like.toml", "--name", "mixed"]
    cli(*words, "--seed", "8", "--max-steps", "5")
    found, base = record("mixed"), record("fox")["settings"]
    assert found["settings"] == base | {"lr": 0.02, "seed": 8, "max_steps": 5}
    assert (found["corpus"]["name"], found["corpus"]["chars"]) == ("other.txt", 2000)


def test_text_options_of_the_run_are_kept_and_can_be_changed(workspace: Path, cli: Cli) -> None:
    (workspace / "soft.txt").write_text("soft\u00adhyphens and spaces. " * 200, encoding="utf-8")
    cli("train", "soft.txt", *TINY, "--clean", "--fold-rare", "3", "--name", "soft")
    cli("train", "data/fox.txt", "--like", "soft", "--max-steps", "2", "--name", "kept")
    assert record("kept")["corpus"]["options"] == record("soft")["corpus"]["options"]
    cli("train", "--like", "soft", "--max-steps", "2", "--no-clean", "--name", "changed")
    assert record("changed")["corpus"]["options"] == record("soft")["corpus"]["options"] | {"clean": False}
    assert "\u00ad" in record("changed")["corpus"]["vocabulary"]["symbols"]
    assert "\u00ad" not in record("soft")["corpus"]["vocabulary"]["symbols"]


def test_other_network_than_that_of_the_start_is_refused_with_what_helps(workspace: Path, cli: Cli) -> None:
    cli("train", "data/fox.txt", *TINY[4:], "--from", "fox", "--name", "on")
    for words in (["--like", "on"], ["data/fox.txt", *TINY[4:], "--from", "fox"]):  # `--like` names no start
        message = cli.error("train", *words, "--hidden-size", "9")
        assert "leave hidden_size out, or start from nothing with --from none" in message
        assert "init has no effect where training starts" in cli.error("train", *words, "--set", "init=torch")
    cli("train", "--like", "on", "--hidden-size", "9", "--set", "init=torch", "--from", "none", "--name", "own")
    settings = record("own")["settings"]
    assert (settings["hidden_size"], settings["init"], record("own")["lineage"]) == (9, "torch", None)
