"""`charlstm train`: what settings are based on, which of them wins, and the parts of the text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charlstm
from charlstm.cli.main import run as run_command
from charlstm.runs.folder import find_run
from charlstm.runs.launch import NewRun, create_new_run
from charlstm.runs.own_text import held_out_text
from charlstm.runs.worker import run_foreground
from charlstm.training.events import Finished
from charlstm.training.presets import preset
from charlstm.training.settings import Settings
from command_line import TEXT, TINY, Cli
from small_training import words


def record(name: str) -> Any:
    return json.loads((find_run(name).path / "run.json").read_text())


def test_options_go_before_the_preset(workspace: Path, cli: Cli, untrained: None) -> None:
    ask = ["train", "data/fox.txt", "--preset", "standard", *TINY, "--lr", "0.02", "--max-chars", "1000"]
    cli(*ask, "--name", "options")
    found = record("options")
    expected = preset("standard", 1000, len(set(TEXT[:1000]))).with_changes(
        hidden_size=12, num_layers=1, batch_size=4, seq_length=16, max_steps=40, max_minutes=None, lr=0.02,
        kernel="nn", threads=1,
    )  # fmt: skip
    assert (found["preset"], found["settings"], found["corpus"]["chars"]) == ("standard", expected.to_dict(), 1000)


def test_run_like_another_trains_to_the_same_weights(workspace: Path, cli: Cli) -> None:
    cli("train", "--like", "fox", "--name", "again")
    for name in ("settings", "corpus", "preset"):
        assert record("again")[name] == record("fox")[name]
    fox, again = (charlstm.load_model(find_run(name).model_path).weights for name in ("fox", "again"))
    for name, array in fox.items():
        assert np.array_equal(array, again[name])


def test_options_go_before_the_run_of_like(workspace: Path, cli: Cli, untrained: None) -> None:
    (workspace / "accents.txt").write_text("cafe\u0301s and spaces. " * 200, encoding="utf-8")
    cli("train", "accents.txt", *TINY, "--fold-rare", "3", "--name", "accents")
    ask = ["train", "data/fox.txt", "--like", "accents", "--lr", "0.02", "--max-chars", "2000", "--name", "kept"]
    cli(*ask, "--seed", "8", "--max-steps", "2")
    assert record("kept")["settings"] == record("accents")["settings"] | {"lr": 0.02, "seed": 8, "max_steps": 2}
    assert record("kept")["corpus"]["name"] == "fox.txt"
    assert record("kept")["corpus"]["options"] == record("accents")["corpus"]["options"] | {"max_chars": 2000}
    cli("train", "--like", "accents", "--max-steps", "2", "--no-normalize", "--name", "changed")
    assert record("changed")["corpus"]["options"] == record("accents")["corpus"]["options"] | {"normalize": False}
    assert "\u0301" in record("changed")["corpus"]["vocabulary"]["symbols"]
    assert "\u0301" not in record("accents")["corpus"]["vocabulary"]["symbols"]


def test_other_network_than_that_of_the_start_is_refused(workspace: Path, cli: Cli, untrained: None) -> None:
    cli("train", "data/fox.txt", *TINY[4:], "--from", "fox", "--name", "on")
    for start in (["--like", "on"], ["data/fox.txt", *TINY[4:], "--from", "fox"]):  # `--like` names no start
        message = cli.error("train", *start, "--hidden-size", "9")
        assert "leave hidden_size out, or start from nothing with --from none" in message
        assert "init has no effect where training starts" in cli.error("train", *start, "--set", "init=torch")
    cli("train", "--like", "on", "--hidden-size", "9", "--set", "init=torch", "--from", "none", "--name", "own")
    settings = record("own")["settings"]
    assert (settings["hidden_size"], settings["init"], record("own")["lineage"]) == (9, "torch", None)


@pytest.fixture(scope="module")
def validated(workspace: Path) -> Path:
    """The run `validated`, trained on words.txt and validated on other.txt."""
    (workspace / "words.txt").write_text(words(1000), encoding="utf-8")
    (workspace / "other.txt").write_text(words(200, seed=1) + " Ω", encoding="utf-8")
    assert run_command(["train", "words.txt", *TINY, "--name", "validated", "--val-file", "other.txt"]) == 0
    return workspace


def test_run_is_validated_on_another_file(validated: Path, cli: Cli) -> None:
    other = (validated / "other.txt").read_text(encoding="utf-8")
    found = cli.json("eval", "validated", "--part", "validation")
    assert found == cli.json("eval", "validated") == cli.json("eval", "validated", "other.txt")
    assert (found["chars"], found["unknown"]) == (len(other) - 1, {})
    assert found["loss"] == pytest.approx(find_run("validated").status().loss)
    assert cli.json("eval", "validated", "--part", "train")["chars"] == len(words(1000)) - 1
    assert cli.json("eval", "validated", "--part", "all")["chars"] == len(words(1000)) + len(other) - 2
    assert "of the validation text other.txt of words.txt" in cli("eval", "validated")[0]


def test_held_out_text_is_named_as_the_validation_text(validated: Path) -> None:
    own = held_out_text(find_run("validated"), 100)
    assert own.words.startswith("the first 100 of ")
    assert own.words.endswith(" characters of the validation text other.txt")


def test_run_like_one_with_a_validation_text(validated: Path, cli: Cli, untrained: None) -> None:
    def corpus(name: str, *words: str) -> Any:
        cli("train", *words, "--like", "validated", "--name", name, "--max-steps", "2")
        return record(name)["corpus"]

    assert corpus("same") == record("validated")["corpus"]
    short = corpus("short", "--max-chars", "900")
    assert (short["chars"], short["validation"]["chars"]) == (1800, 900)
    another = corpus("another", "--val-file", "data/fox.txt")
    assert (another["name"], another["validation"]["name"]) == ("words.txt", "fox.txt")
    assert "validation" not in corpus("text", "data/fox.txt")


def test_worker_opens_a_validation_text_that_is_not_open_yet(workspace: Path) -> None:
    (workspace / "words.txt").write_text(words(1000), encoding="utf-8")
    settings = Settings(hidden_size=8, num_layers=1, batch_size=4, seq_length=16, max_steps=3, threads=1, kernel="nn")
    run = create_new_run(NewRun("words.txt", settings, validation="data/fox.txt", name="unopened"))
    assert run.spec().validation_sources == (str(workspace / "data" / "fox.txt"),)
    *_, last = run_foreground(run)
    assert isinstance(last, Finished)
    assert (run.spec().validation_name, run.spec().corpus["validation"]["chars"]) == ("fox.txt", len(TEXT))
