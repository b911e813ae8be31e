"""What a run's settings are based on: a preset, a settings file, another run; and which of them wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charlstm.runs.folder import find_run
from charlstm.training.presets import preset
from command_line import TEXT, TINY, ErrorOf, RunCli


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


def test_settings_file_goes_before_preset_and_after_options(workspace: Path, run_cli: RunCli) -> None:
    (workspace / "small.toml").write_text(SMALL, encoding="utf-8")
    words = ["train", "data/fox.txt", "--settings-file", "small.toml", "--name", "file"]
    run_cli(*words, "--lr", "0.03", "--set", "seq_length=8")
    found = record("file")
    expected = preset("standard", 1000, len(set(TEXT[:1000]))).with_changes(
        hidden_size=12, num_layers=1, batch_size=4, seq_length=8, max_steps=3, lr=0.03, kernel="nn", threads=1
    )
    assert found["settings"] == expected.to_dict()
    assert found["preset"] == "standard"
    assert found["corpus"]["chars"] == 1000
    assert found["corpus"]["options"]["clean"]


def test_options_go_before_the_settings_file(workspace: Path, run_cli: RunCli) -> None:
    (workspace / "small.toml").write_text(SMALL, encoding="utf-8")
    words = ["train", "data/fox.txt", "--settings-file", "small.toml", "--name", "options"]
    run_cli(*words, "--preset", "reference", "--max-chars", "500", "--no-clean")
    found = record("options")
    assert found["preset"] == "reference"
    assert (found["settings"]["optimizer"], found["settings"]["lr"]) == ("adam", 0.02)
    assert found["corpus"]["chars"] == 500
    assert not found["corpus"]["options"]["clean"]


def test_wrong_settings_file_starts_no_run(workspace: Path, error_of: ErrorOf) -> None:
    (workspace / "wrong.toml").write_text("lr = 1e-3\nn_layers = 2\n", encoding="utf-8")
    before = sorted(path.name for path in (workspace / "runs").iterdir())
    message = error_of("train", "data/fox.txt", *TINY, "--settings-file", "wrong.toml")
    assert "wrong.toml, line 2: n_layers is called num_layers here" in message
    assert sorted(path.name for path in (workspace / "runs").iterdir()) == before
