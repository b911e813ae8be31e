"""The parts of a run's text: validation, test, training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.runs.folder import find_run
from command_line import TINY, ErrorOf, RunCli, RunJson
from small_training import words


@pytest.fixture(scope="module")
def tested(workspace: Path, request: pytest.FixtureRequest) -> Path:
    """The run `tested`, which keeps the last fifth of its text for a test."""
    from charlstm.cli.main import run

    (workspace / "words.txt").write_text(words(1000), encoding="utf-8")
    assert (
        run(["train", "words.txt", *TINY, "--name", "tested", "--test-fraction", "0.2", "--val-fraction", "0.1"]) == 0
    )
    return workspace


def test_eval_reads_the_test_part(tested: Path, run_json: RunJson, run_cli: RunCli, tmp_path: Path) -> None:
    text = words(1000)
    found = run_json("eval", "tested", "--part", "test")
    (tmp_path / "end.txt").write_text(text[int(len(text) * 0.8) :], encoding="utf-8")
    assert found == run_json("eval", "tested", str(tmp_path / "end.txt"))
    out, err = run_cli("eval", "tested", "--part", "test")
    assert "of the test part of words.txt" in out
    assert "trained on" not in err


def test_parts_of_a_text_add_up(tested: Path, run_json: RunJson) -> None:
    chars = {
        part: run_json("eval", "tested", "--part", part)["chars"] for part in ("train", "validation", "test", "all")
    }
    assert chars["train"] + chars["validation"] + chars["test"] + 2 == chars["all"]
    assert run_json("eval", "tested", "--part", "training") == run_json("eval", "tested", "--part", "train")


def test_test_fraction_is_recorded_and_shown(tested: Path, run_cli: RunCli) -> None:
    record = json.loads((find_run("tested").path / "run.json").read_text())
    assert record["settings"]["test_fraction"] == 0.2
    log = run_cli("watch", "tested", "--plain")[0] + run_cli("watch", "tested", "--plain")[1]
    assert f"{len(words(1000)) - int(len(words(1000)) * 0.8):,} in the test part" in log


def test_eval_of_a_test_part_that_is_not_there_is_one_sentence(workspace: Path, error_of: ErrorOf) -> None:
    assert "no test part, because test_fraction was 0: use --part validation" in error_of(
        "eval", "fox", "--part", "test"
    )


def test_fractions_that_leave_nothing_to_train_on_are_refused(workspace: Path, error_of: ErrorOf) -> None:
    message = error_of("train", "data/fox.txt", *TINY, "--val-fraction", "0.5", "--test-fraction", "0.5")
    assert "val_fraction and test_fraction are 0.9 together at most, not 0.5 and 0.5" in message
