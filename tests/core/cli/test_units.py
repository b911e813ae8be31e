"""A text as units on the command line: one trained run, and every command that knows of them."""

from pathlib import Path

import pytest

from charlstm.errors import GenerationError
from charlstm.insight.lesions import measure_lesions
from charlstm.library import load_model
from command_line import TINY, Cli

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("names")]

NAMES = [f"{first}{second}" for first in ("an", "bo", "ca", "do") for second in ("na", "ris", "lin", "mo", "ra")]


@pytest.fixture(scope="module")
def names(workspace: Path) -> None:
    from charlstm.cli.main import run

    Path("names.txt").write_text("".join(f"{name}\n" for name in NAMES * 40), encoding="utf-8")
    assert run(["train", "names.txt", "--split-units", "lines", *TINY, "--name", "names"]) == 0


def test_generate_writes_whole_units_one_a_line(cli: Cli) -> None:
    ask = ("generate", "names", "--samples", "30", "--until", "unit", "--length", "40")
    texts = cli.json(*ask)["texts"]
    assert len(texts) == 30
    assert not any("\n" in text for text in texts)
    assert cli(*ask) == ("".join(f"{text}\n" for text in texts), "")
    assert "Only 1 of 30 were found" in cli(*ask, "--unique", "--temperature", "0")[1]
    new = cli.json(*ask, "--new", "--unique")["texts"]
    assert len(set(new)) == len(new)
    assert not set(new) & set(NAMES)
    assert "\n" not in cli.json("generate", "names", "--until", "unit")["text"]


def test_figures_are_over_whole_units(cli: Cli) -> None:
    held_out = cli.json("stats", "names.txt", "--split-units", "lines")
    assert (held_out["units"], cli.json("stats", "names.txt")["units"]) == (len(NAMES) * 40, None)
    assert cli.json("eval", "names")["chars"] == held_out["held_out_chars"]
    assert "whole units of the held-out part" in cli("eval", "names")[0]
    assert "trained on units cannot learn" in cli.error("eval", "names", "--dynamic")
    assert "800 units, each line" in cli("stats", "names.txt", "--split-units", "lines")[0]


def test_novelty_counts_units_of_the_training_part_and_says_those_held_out_apart(cli: Cli) -> None:
    Path("new.txt").write_text("".join(f"{name}\nzz\n" for name in NAMES), encoding="utf-8")
    found = cli.json("novelty", "new.txt", "--model", "names")
    trained, held_out = found["known_units"], found["held_out_units"]
    assert (found["units"], sorted(trained + held_out)) == (2 * len(NAMES), sorted(NAMES))
    assert trained
    assert held_out
    assert found["copied"] == sum(map(len, trained))
    out, _ = cli("novelty", "new.txt", "--model", "names")
    assert f"{len(trained)} of 40 units are in the training part of names.txt: {trained[0]}, " in out
    assert f"{len(held_out)} of 40 units are in the held-out part of names.txt: {held_out[0]}" in out


def test_that_no_unit_was_found_is_an_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.cli.generate.generate_units", lambda *_, **__: [])
    assert "No unit was found" in cli.error("generate", "names", "--until", "unit", "--new")
    assert cli.json("generate", "names", "--until", "unit", "--new", "--samples", "2") == {"texts": []}


def test_cells_are_not_silenced_where_the_state_is_emptied_at_each_unit(cli: Cli) -> None:
    with pytest.raises(GenerationError, match="a model that was trained on units"):
        measure_lesions(load_model("names"), "".join(NAMES), [(1, 1)])
