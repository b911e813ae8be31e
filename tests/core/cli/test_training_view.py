"""What a command that trains says: its limits, its progress, how it ended; and its exit code."""

import json
import re
from pathlib import Path

import pytest

from charlstm.cli.training_view import EventView, Limits
from charlstm.errors import ExitCode
from charlstm.line import TerminalLine
from charlstm.runs.folder import RunFolder, find_run
from charlstm.training.events import Controlled, Finished, Resumed
from charlstm.training.plan import limit_at
from charlstm.training.presets import preset
from charlstm.training.settings import Settings
from command_line import TINY, Cli, LogEvents, Terminal
from recorded_run import record, started, stepped, validated

pytestmark = pytest.mark.usefixtures("workspace")
SMALL = [*TINY[:-8], "--max-minutes", "none", "--threads", "1", "--kernel", "nn", "--plain"]
"""TINY without its limit of 40 steps."""


def test_limit_of_the_preset_that_ends_a_run_is_shown(cli: Cli) -> None:
    err = cli("train", "data/fox.txt", *SMALL, "--preset", "reference", "--max-steps", "100000", "--name", "p")[1]
    assert "ends by epochs=3 (preset reference) at step " in err
    assert "\nother limits: max_steps=100000\n" in err
    assert "max_steps=100000 was not reached: epochs=3 (preset reference) ended the run" in err
    assert "charlstm resume p --set epochs=none" in err
    err = cli("resume", "p", "--max-steps", "90000", "--set", "epochs=3.1", "--plain")[1]
    assert "(limit: epochs)" in err
    assert "was not reached" not in err  # both were given


def test_limits_are_listed_and_those_that_were_not_reached_are_named() -> None:
    settings = Settings(epochs=3.0, max_steps=100, max_minutes=1.0)
    two = Limits(settings, frozenset(("epochs", "max_steps")), "preset quick")
    ended = "max_minutes=1 (preset quick) ended the run"
    assert two.missed("max_minutes") == f"epochs=3 and max_steps=100 were not reached: {ended}"
    one = Limits(settings.with_changes(epochs=None), two.requested, "preset quick")
    assert one.missed("max_minutes") == f"max_steps=100 was not reached: {ended}"
    assert one.listed() == "ends by the first of: max_steps=100, max_minutes=1 (preset quick)"


def test_json_names_run_and_folder_in_the_first_event(workspace: Path, cli: Cli) -> None:
    place = {"run": "first", "path": str(workspace / "runs" / "first")}
    for words in (
        ("train", "data/fox.txt", *TINY, "--name", "first"),
        ("resume", "first", "--max-steps", "50"),
        ("watch", "first"),
    ):
        events = [json.loads(line) for line in cli(*words, "--json")[0].splitlines()]
        assert {name: events[0].get(name) for name in place} == place, words
        assert all(("run" in event) == (event["event"] in ("started", "resumed")) for event in events)
    assert '"path"' not in find_run("first").events_path.read_text()  # a run may be moved


def test_limit_at_a_step() -> None:
    assert limit_at(Settings(epochs=2, max_steps=30), 10, 20) == "epochs"
    assert limit_at(Settings(epochs=2.05, max_steps=30), 10, 21) == "epochs"
    assert limit_at(Settings(epochs=4, max_steps=30), 10, 30) == "max_steps"
    assert limit_at(Settings(epochs=4, max_steps=30, max_minutes=1), 10, 12) == "max_minutes"


def test_divergence_is_printed_once_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with EventView(RunFolder(Path("x")), plain=True) as view:
        view.show([started(symbols=98), validated(0, 4.5), *(stepped(number, 9.0 * number) for number in range(1, 9))])
        view.show([stepped(9, 99.0)])
    err = capsys.readouterr().err
    assert err.count("note: Diverging: the training loss rose from 4.500 to 63.000 nats") == 1
    assert "or lower it now: charlstm control x set-lr 0.0001\n" in err


def test_resumed_run_is_judged_by_what_it_did_before(capsys: pytest.CaptureFixture[str]) -> None:
    before = [started(symbols=98), validated(0, 4.5), *(stepped(number, 2.0) for number in range(1, 9))]
    with EventView(RunFolder(Path("x")), plain=True, before=before) as view:
        view.show([Resumed(step=8), *(stepped(number, 1.4 * number) for number in range(9, 14))])
    err = capsys.readouterr().err
    assert err.count("note: Diverging: the training loss rose from 2.00") == 1
    assert "step      0" not in err


@pytest.mark.parametrize(("columns", "shown"), [(80, "characters/s"), (60, "best ~"), (40, "loss ")])
def test_progress_in_a_narrow_terminal_keeps_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int, shown: str
) -> None:
    monkeypatch.setattr("sys.stderr", stderr := Terminal())
    monkeypatch.setattr(TerminalLine, "INTERVAL", 0.0)
    monkeypatch.setenv("COLUMNS", str(columns))
    with record(tmp_path, "running", settings=preset("quick")) as recorded, EventView(recorded.run) as view:
        view.show(recorded.run.events())
        last = stderr.getvalue().rsplit("\r\x1b[K", 1)[-1]
    assert re.search(rf"{shown}.* · [\d:]+ left$", last)
    assert "█░" in last  # the bar
    assert len(last) < columns


TRAIN = ("train", "data/fox.txt", *TINY)


def test_training_that_diverges_ends_with_3_and_says_what_to_do(cli: Cli) -> None:
    err = cli(*TRAIN, "--lr", "1e38", "--name", "away", code=ExitCode.DIVERGED)[1]
    said = err.splitlines()[-1]
    assert said.startswith("charlstm: away: Diverged at step ")
    assert "lower learning rate, such as lr=0.003 (`charlstm resume away --lr …`)" in said
    assert "Next:" not in err
    cli("resume", "away", "--max-steps", "60", "--lr", "0.003")
    assert find_run("away").status().state == "finished"
    out, err = cli("resume", "away", "--max-steps", "80", "--lr", "1e38", "--json", code=ExitCode.DIVERGED)
    assert json.loads(out.splitlines()[-1])["reason"] == "diverged"
    error = json.loads(err.splitlines()[-1])["error"]
    assert error["kind"] == "diverged"
    assert re.search(r"at step \d\d, kept", error["message"]), "what the run did before this process is known"


def test_training_whose_loss_ran_away_before_its_end_says_so(cli: Cli, log_instead_of_training: LogEvents) -> None:
    steps = (stepped(5 * n, loss) for n, loss in enumerate([2.0] * 20 + [9.0] * 20, 1))
    last = Finished(step=200, reason="done", loss=2.0, best_step=100, train_seconds=9.0, best_whole=True)
    log_instead_of_training(started(), *steps, last)
    err = cli(*TRAIN, "--lr", "0.02", "--name", "rose")[1]
    assert "It diverged: the training loss rose from 2.000 to 9.000 nats" in err
    assert err.splitlines()[-1] == "Next: charlstm train --like rose --lr 0.002"


def test_end_of_training_and_watch_compare_with_simple_models(cli: Cli, log_instead_of_training: LogEvents) -> None:
    """The app said that a run was worse than two letters' memory, the command line did not."""
    last = Finished(step=200, reason="done", loss=2.6, best_step=200, train_seconds=9.0, best_whole=True)
    log_instead_of_training(started(), stepped(200, 2.6), validated(200, 2.6, whole=True), last)
    assert "That is no better than " in cli(*TRAIN, "--name", "compared")[1]
    assert "That is no better than " in cli("watch", "compared")[1]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signal_is_the_exit_code(cli: Cli, log_instead_of_training: LogEvents, name: str, code: int) -> None:
    last = Finished(step=5, reason="stopped", loss=None, best_step=0, train_seconds=1.0)
    log_instead_of_training(started(), stepped(5), Controlled(step=5, id=name, command="stop"), last)
    assert cli(*TRAIN, "--name", name, code=code)[1].endswith(f"Next: charlstm resume {name}\n")
