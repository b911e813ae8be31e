"""Exit codes: done, failed, wrong usage, diverged, and the number of a signal."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from charlstm.cli.training_view import EventView
from charlstm.errors import ExitCode
from charlstm.runs import worker
from charlstm.runs.folder import Run, find_run
from charlstm.runs.log import EventLog
from charlstm.text.corpus import ReadProgress
from charlstm.training.events import Event, Finished, Stepped
from command_line import TINY, RunCli
from recorded_run import started, stepped

TRAIN = ("train", "data/fox.txt", *TINY)


@pytest.mark.parametrize("resumed", [False, True])
def test_training_that_diverges_ends_with_3_and_says_what_to_do(
    workspace: Path, run_cli: RunCli, resumed: bool
) -> None:
    name = f"away-{resumed}"
    if resumed:
        run_cli(*TRAIN, "--name", name)
        err = run_cli("resume", name, "--max-steps", "60", "--lr", "1e38", code=ExitCode.DIVERGED)[1]
        assert "at step 40, kept" in err  # what the run did before this process is known
    else:
        err = run_cli(*TRAIN, "--lr", "1e38", "--name", name, code=ExitCode.DIVERGED)[1]
    said = err.splitlines()[-1]
    assert said.startswith(f"charlstm: {name}: Diverged at step ")
    assert f"lower learning rate, such as lr=0.003 (`charlstm resume {name} --lr …`)" in said
    assert "Next:" not in err
    run_cli("resume", name, "--max-steps", "60", "--lr", "0.003")
    assert find_run(name).status().state == "finished"


def test_training_that_diverges_has_an_error_in_json(workspace: Path, run_cli: RunCli) -> None:
    out, err = run_cli(*TRAIN, "--lr", "1e38", "--json", "--name", "json", code=ExitCode.DIVERGED)
    assert json.loads(out.splitlines()[-1])["reason"] == "diverged"
    assert json.loads(err.splitlines()[-1])["error"]["kind"] == "diverged"


def test_training_whose_loss_ran_away_before_its_end_says_so(
    workspace: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(run: Run, **_: object) -> Iterator[Event]:
        losses = [2.0] * 20 + [9.0] * 20
        log = EventLog(run.events_path)
        last = Finished(step=200, reason="done", best_val=2.0, best_step=100, train_seconds=9.0, best_whole=True)
        for event in (started(), *(stepped(5 * n, loss) for n, loss in enumerate(losses, 1)), last):
            log.append(event)
            yield event
        log.close()

    monkeypatch.setattr(worker, "run_foreground", train)
    err = run_cli(*TRAIN, "--lr", "0.02", "--name", "rose")[1]
    assert "It diverged: the training loss rose from 2.00 to 9.00 nats" in err
    assert err.splitlines()[-1] == "Next: charlstm train --like rose --lr 0.002"


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_training_ends_with_the_number_of_the_signal(
    workspace: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, name: str, code: int, twice: bool
) -> None:
    show, run = EventView.show, f"{name}-{twice}"

    def signalled(view: EventView, events: Iterable[Event]) -> None:
        events = list(events)
        show(view, events)
        if any(isinstance(event, Stepped) for event in events):
            signal.raise_signal(signal.Signals[name])
            if twice and name != "SIGHUP":  # a terminal that closes often sends two
                signal.raise_signal(signal.Signals[name])

    monkeypatch.setattr(EventView, "show", signalled)
    run_cli(*TRAIN, "--max-steps", "100000", "--name", run, code=code)
    assert find_run(run).status().state == "stopped"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_resume_that_a_signal_ends_while_it_reads_the_text_ends_with_its_number(
    workspace: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    def read(_: object, *, progress: Callable[[ReadProgress], None]) -> None:
        signal.raise_signal(signal.Signals[name])
        progress(ReadProgress(0, 1, "reading"))

    monkeypatch.setattr("charlstm.runs.worker.open_text", read)
    out, err = run_cli("resume", "fox", "--max-steps", "60", "--json", code=code)
    assert (out, json.loads(err)["error"]["kind"]) == ("", "interrupted")
    assert find_run("fox").status().state == "finished"


@pytest.mark.parametrize("words", [("rename", "fox"), ("train", "data/fox.txt", "--name")])
def test_a_name_that_no_run_can_have_is_wrong_usage(workspace: Path, run_cli: RunCli, words: tuple[str, ...]) -> None:
    assert "cannot be a run's name" in run_cli(*words, "../fox", code=ExitCode.WRONG_USAGE)[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("stats", "data/fox.txt", "--encoding", "nope"), "no text encoding 'nope'"),
        (("stats", "data/fox.txt", "--pattern", ""), "file name patterns"),
        (("train", "data/fox.txt", "--encoding", "nope"), "no text encoding 'nope'"),
        (("score", "no-such-run", "data/fox.txt", "--encoding", "nope"), "no text encoding 'nope'"),
        (("novelty", "data/fox.txt", "--corpus", "no-such-file", "--encoding", "nope"), "no text encoding 'nope'"),
        (("generate", "no-such-run", "--stop", ""), "at least one character"),
        (("influence", "no-such-run", "data/fox.txt", "--find", ""), "at least one character"),
        (("report", "no-such-run", "--out", "page.html", "--find", ""), "at least one character"),
        (("compare", "no-such-run", "--axis", "epochs"), "--axis needs --svg"),
        (("cells", "no-such-run", "data/fox.txt", "--feature", "x=["), "cannot be read"),
        (("report", "no-such-run", "--out", "page.html", "--feature", "x=["), "cannot be read"),
    ],
)
def test_a_value_that_is_wrong_in_itself_is_wrong_usage(
    workspace: Path, run_cli: RunCli, words: tuple[str, ...], says: str
) -> None:
    """Whatever else is wrong; with some of these values the exit code was 1, after the model or the text was read."""
    error = json.loads(run_cli(*words, "--json", code=ExitCode.WRONG_USAGE)[1])["error"]
    assert error["kind"] == "usage"
    assert says in error["message"]


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        (("compare", "fox", "--csv", "-", "--json"), "--json", "--csv -"),
        (("compare", "fox", "--csv", "-", "--svg", "-"), "--csv -", "--svg -"),
        (("report", "fox", "--out", "-", "--json"), "--json", "--out -"),
        (("generate", "fox", "--checkpoints", "--out", "-", "--json"), "--json", "--out -"),
    ],
)
def test_two_results_on_standard_output_are_refused(
    workspace: Path, run_cli: RunCli, words: tuple[str, ...], first: str, second: str
) -> None:
    """--json was ignored, and two files came one after the other."""
    out, err = run_cli(*words, code=ExitCode.WRONG_USAGE)
    assert out == ""
    assert f"{first} and {second} would both write to standard output" in err


@pytest.mark.parametrize(
    ("words", "option", "ignored"),
    [
        (("multiverse", "fox", "--words", "3", "--depth", "5"), "--words", "--depth"),
        (("multiverse", "fox", "--words", "3", "--cutoff", "0.1"), "--words", "--cutoff"),
        (("context", "fox", "data/fox.txt", "--at", "500", "--places", "3"), "--at", "--places"),
        (("cells", "fox", "data/fox.txt", "--show", "1:1", "--feature", "x=y"), "--show", "--feature"),
        (("cells", "fox", "data/fox.txt", "--show", "1:1", "--per-feature", "2"), "--show", "--per-feature"),
        (("cells", "fox", "data/fox.txt", "--probe", "blank", "--per-feature", "2"), "--probe", "--per-feature"),
    ],
)
def test_options_without_an_effect_are_refused(
    workspace: Path, run_cli: RunCli, words: tuple[str, ...], option: str, ignored: str
) -> None:
    err = run_cli(*words, code=ExitCode.WRONG_USAGE)[1]
    assert f"{ignored} has no effect with {option}: remove one of them" in err
    run_cli(*words[:-2])
