"""The parts of a run's text: validation, test, training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charlstm.errors import RunError
from charlstm.runs.folder import find_run
from charlstm.runs.launch import NewRun, create_new_run
from charlstm.runs.own_text import held_out_text
from charlstm.runs.worker import run_foreground
from charlstm.training.events import Finished
from charlstm.training.settings import Settings
from command_line import TEXT, TINY, Cli
from small_training import words


@pytest.fixture(scope="module")
def validated(workspace: Path) -> Path:
    """The run `validated`, trained on words.txt and validated on other.txt."""
    from charlstm.cli.main import run

    (workspace / "words.txt").write_text(words(1000), encoding="utf-8")
    (workspace / "other.txt").write_text(words(200, seed=1) + " Ω", encoding="utf-8")
    assert run(["train", "words.txt", *TINY, "--name", "validated", "--val-file", "other.txt"]) == 0
    return workspace


def test_run_is_validated_on_another_file(validated: Path, cli: Cli) -> None:
    record = json.loads((find_run("validated").path / "run.json").read_text())
    other = (validated / "other.txt").read_text(encoding="utf-8")
    assert record["corpus"]["validation"] == {
        "name": "other.txt",
        "sources": [str(validated / "other.txt")],
        "chars": len(other),
    }
    assert record["corpus"]["name"] == "words.txt"
    assert "Ω" in record["corpus"]["vocabulary"]["symbols"]
    found = cli.json("eval", "validated", "--part", "validation")
    assert found == cli.json("eval", "validated") == cli.json("eval", "validated", "other.txt")
    assert found["chars"] == len(other) - 1
    assert found["loss"] == pytest.approx(find_run("validated").status().best_val)
    assert cli.json("eval", "validated", "--part", "train")["chars"] == len(words(1000)) - 1
    assert cli.json("eval", "validated", "--part", "all")["chars"] == len(words(1000)) + len(other) - 2
    assert "of the validation text other.txt of words.txt" in cli("eval", "validated")[0]


def test_train_says_that_the_vocabulary_is_that_of_both_texts(validated: Path, cli: Cli) -> None:
    note = cli("train", "words.txt", *TINY, "--max-steps", "1", "--val-file", "other.txt")[1]
    assert "Validation is on other.txt" in note
    assert "the vocabulary is that of both texts" in note


def test_held_out_text_is_named_as_the_validation_text(validated: Path) -> None:
    own = held_out_text(find_run("validated"), 100)
    assert own.words.startswith("the first 100 of ")
    assert own.words.endswith(" characters of the validation text other.txt")


def test_run_like_one_with_a_validation_text(validated: Path, cli: Cli) -> None:
    def corpus(name: str) -> Any:
        return json.loads((find_run(name).path / "run.json").read_text())["corpus"]

    cli("train", "--like", "validated", "--name", "same", "--max-steps", "2")
    assert corpus("same") == corpus("validated")
    cli("train", "--like", "validated", "--name", "short", "--max-steps", "2", "--max-chars", "900")
    assert corpus("short")["chars"] == 1800
    assert corpus("short")["validation"]["chars"] == 900
    cli("train", "--like", "validated", "--name", "another", "--max-steps", "2", "--val-file", "data/fox.txt")
    assert corpus("another")["name"] == "words.txt"
    assert corpus("another")["validation"]["name"] == "fox.txt"
    cli("train", "data/fox.txt", "--like", "validated", "--name", "text", "--max-steps", "2")
    assert "validation" not in corpus("text")


def test_worker_opens_a_validation_text_that_is_not_open_yet(workspace: Path) -> None:
    (workspace / "words.txt").write_text(words(1000), encoding="utf-8")
    settings = Settings(hidden_size=8, num_layers=1, batch_size=4, seq_length=16, max_steps=3, threads=1, kernel="nn")
    run = create_new_run(NewRun("words.txt", settings, validation="data/fox.txt", name="unopened"))
    assert run.spec().validation_sources == (str(workspace / "data" / "fox.txt"),)
    *_, last = run_foreground(run)
    assert isinstance(last, Finished)
    spec = run.spec()
    assert spec.validation_name == "fox.txt"
    assert spec.corpus["validation"]["chars"] == len(TEXT)
    with pytest.raises(RunError, match="open already"):
        create_new_run(NewRun(spec.corpus, settings, validation="data/fox.txt"))
