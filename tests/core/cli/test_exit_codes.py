"""Exit codes: done, failed, wrong usage, diverged, and the number of a signal."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Iterator

import pytest

from charlstm.cli.training_view import EventView
from charlstm.errors import ExitCode
from charlstm.runs import worker
from charlstm.runs.folder import Run, find_run
from charlstm.runs.log import EventLog
from charlstm.training.events import Event, Finished, Stepped
from command_line import TINY, Cli
from recorded_run import started, stepped

pytestmark = pytest.mark.usefixtures("workspace")

TRAIN = ("train", "data/fox.txt", *TINY)


@pytest.mark.parametrize("resumed", [False, True])
def test_training_that_diverges_ends_with_3_and_says_what_to_do(cli: Cli, resumed: bool) -> None:
    name = f"away-{resumed}"
    if resumed:
        cli(*TRAIN, "--name", name)
        err = cli("resume", name, "--max-steps", "60", "--lr", "1e38", code=ExitCode.DIVERGED)[1]
        assert "at step 40, kept" in err  # what the run did before this process is known
    else:
        err = cli(*TRAIN, "--lr", "1e38", "--name", name, code=ExitCode.DIVERGED)[1]
    said = err.splitlines()[-1]
    assert said.startswith(f"charlstm: {name}: Diverged at step ")
    assert f"lower learning rate, such as lr=0.003 (`charlstm resume {name} --lr …`)" in said
    assert "Next:" not in err
    cli("resume", name, "--max-steps", "60", "--lr", "0.003")
    assert find_run(name).status().state == "finished"


def test_training_that_diverges_has_an_error_in_json(cli: Cli) -> None:
    out, err = cli(*TRAIN, "--lr", "1e38", "--json", "--name", "json", code=ExitCode.DIVERGED)
    assert json.loads(out.splitlines()[-1])["reason"] == "diverged"
    assert json.loads(err.splitlines()[-1])["error"]["kind"] == "diverged"


def test_training_whose_loss_ran_away_before_its_end_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(run: Run, **_: object) -> Iterator[Event]:
        losses = [2.0] * 20 + [9.0] * 20
        log = EventLog(run.events_path)
        last = Finished(step=200, reason="done", best_val=2.0, best_step=100, train_seconds=9.0, best_whole=True)
        for event in (started(), *(stepped(5 * n, loss) for n, loss in enumerate(losses, 1)), last):
            log.append(event)
            yield event
        log.close()

    monkeypatch.setattr(worker, "run_foreground", train)
    err = cli(*TRAIN, "--lr", "0.02", "--name", "rose")[1]
    assert "It diverged: the training loss rose from 2.00 to 9.00 nats" in err
    assert err.splitlines()[-1] == "Next: charlstm train --like rose --lr 0.002"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_training_ends_with_the_number_of_the_signal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    show = EventView.show

    def signalled(view: EventView, events: Iterable[Event]) -> None:
        events = list(events)
        show(view, events)
        if any(isinstance(event, Stepped) for event in events):
            signal.raise_signal(signal.Signals[name])

    monkeypatch.setattr(EventView, "show", signalled)
    cli(*TRAIN, "--max-steps", "100000", "--name", name, code=code)
    assert find_run(name).status().state == "stopped"
