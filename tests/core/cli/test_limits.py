"""`train` and `resume` show which limit will end a run and which one ended it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.cli.training_view import Limits
from charlstm.runs.folder import find_run
from charlstm.training.plan import limit_at
from charlstm.training.settings import Settings
from command_line import TINY, Cli

SMALL = [*TINY[:-8], "--max-minutes", "none", "--threads", "1", "--kernel", "nn", "--plain"]
"""TINY without its limit of 40 steps."""


def test_limit_of_the_preset_that_ends_a_run_is_shown(workspace: Path, cli: Cli) -> None:
    err = cli("train", "data/fox.txt", *SMALL, "--preset", "reference", "--max-steps", "100000", "--name", "p")[1]
    assert "ends by epochs=3 (preset reference) at step " in err
    assert "\nother limits: max_steps=100000\n" in err
    assert "max_steps=100000 was not reached: epochs=3 (preset reference) ended the run" in err
    assert "charlstm resume p --set epochs=none" in err
    err = cli("resume", "p", "--max-steps", "90000", "--set", "epochs=3.1", "--plain")[1]
    assert "(limit: epochs)" in err
    assert "was not reached" not in err  # both were given


def test_limits_that_were_not_reached_are_named() -> None:
    settings = Settings(epochs=3.0, max_steps=100, max_minutes=1.0)
    two = Limits(settings, frozenset(("epochs", "max_steps")), "preset quick")
    ended = "max_minutes=1 (preset quick) ended the run"
    assert two.missed("max_minutes") == f"epochs=3 and max_steps=100 were not reached: {ended}"
    one = Limits(settings.with_changes(epochs=None), two.requested, "preset quick")
    assert one.missed("max_minutes") == f"max_steps=100 was not reached: {ended}"


def test_limits_of_a_detached_run_are_listed() -> None:
    settings = Settings(epochs=3, max_minutes=None)
    assert Limits(settings, frozenset(), "preset x").listed() == "ends by epochs=3 (preset x)"
    both = Limits(settings.with_changes(max_steps=9), frozenset({"max_steps"}), "preset x")
    assert both.listed() == "ends by the first of: epochs=3 (preset x), max_steps=9"


def test_json_names_run_and_folder_in_the_first_event(workspace: Path, cli: Cli) -> None:
    place = {"run": "first", "path": str(workspace / "runs" / "first")}
    for words in (
        ("train", "data/fox.txt", *TINY, "--name", "first"),
        ("resume", "first", "--max-steps", "50"),
        ("watch", "first"),
    ):
        out = cli(*words, "--json")[0]
        events = [json.loads(line) for line in out.splitlines()]
        assert {name: events[0].get(name) for name in place} == place, words
        assert all(("run" in event) == (event["event"] in ("started", "resumed")) for event in events)
    assert '"path"' not in find_run("first").events_path.read_text()  # a run may be moved


@pytest.mark.parametrize(
    ("settings", "step", "limit"),
    [
        ({"epochs": 2, "max_steps": 30}, 20, "epochs"),
        ({"epochs": 2.05, "max_steps": 30}, 21, "epochs"),
        ({"epochs": 4, "max_steps": 30}, 30, "max_steps"),
        ({"epochs": 4, "max_steps": 30, "max_minutes": 1}, 12, "max_minutes"),
    ],
)
def test_limit_at_a_step(settings: dict[str, float], step: int, limit: str) -> None:
    assert limit_at(Settings(**settings), 10, step) == limit  # type: ignore[arg-type]
