"""Filtering runs: expressions, words, and sentences for what cannot be understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from charlstm.runs.filters import parse_filter, run_facts
from charlstm.runs.folder import Run
from charlstm.runs.notes import Notes
from charlstm.runs.status import RunStatus
from charlstm.training.settings import Settings

FACTS = run_facts(
    Run(Path("/runs/anna-quick-1")),
    RunStatus(state="finished", alive=False, step=500, loss=1.25, work_seconds=90.0),
    "anna.txt",
    "quick",
    Settings(lr=0.002),
    Notes(("good", "paper"), "with less dropout"),
    5_000_000,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "QUICK txt",
        "lr<0.01 text=anna state=finished",
        "lr<=2e-3 lr=0.002 lr!=1",
        "tag=good tag=paper tag!=bad",
        "best<1.3 steps>=500 minutes>1 mb<6",
        'note="less dropout"',
        "batch_size>1 num_layers=2 preset!=standard State=Finished",
    ],
)
def test_what_a_run_passes(text: str) -> None:
    assert parse_filter(text).matches(FACTS)


@pytest.mark.parametrize(
    "text", ["novel", "lr>0.01", "text=novel", "state=stopped", "tag=bad", "anna best>2", "lr!=0.002"]
)
def test_what_a_run_does_not_pass(text: str) -> None:
    assert not parse_filter(text).matches(FACTS)


def test_what_is_not_known_passes_no_comparison() -> None:
    unread = run_facts(Run(Path("/r")), RunStatus(state="starting", alive=True), "", "", None, Notes(), 0)
    assert not any(parse_filter(text).matches(unread) for text in ("best<9", "best>0", "lr<1", "lr=0.002"))


def test_filter_compares_best_in_the_unit_of_the_facts() -> None:
    run, status = Run(Path("/r")), RunStatus(state="finished", alive=False, loss=1.8)  # 2.6 bits
    nats, bits = (run_facts(run, status, "", "", None, Notes(), 0, bits=bits) for bits in (False, True))
    assert parse_filter("best<2.5").matches(nats)
    assert not parse_filter("best<2.5").matches(bits)
    assert parse_filter("best>2.5 best<2.7").matches(bits)
    assert parse_filter("best<2.5").asks_for_best
    assert not parse_filter("lr<2.5").asks_for_best


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lrr<0.01", "did you mean lr?"),
        ("nothing_like_it=3", "There is nothing called nothing_like_it"),
        ("lr<", "lr< needs a value, such as lr<0.01"),
        ("lr<fast", "compared with a number, such as lr<0.01"),
        ("best=good", "compared with a number, such as best<1.5"),
        ("text<anna", "text is not a number: write text=anna"),
    ],
)
def test_a_wrong_expression_is_one_sentence_and_the_others_still_filter(text: str, sentence: str) -> None:
    found = parse_filter(f"anna {text} state=finished")
    assert sentence in found.problem
    assert found.matches(FACTS)
    assert not found.matches({**FACTS, "state": "stopped"})
