"""Commands on runs that are there: runs, watch, control, rename, delete."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.options import find_run, json_option, run_argument, runs_dir_option
from charlstm.cli.output import format_duration, format_size, print_note, print_result, table
from charlstm.display import shell_command
from charlstm.errors import RunError
from charlstm.runs.status import ESTIMATE
from charlstm.training.commands import COMMANDS

if TYPE_CHECKING:
    from charlstm.runs.folder import Run
    from charlstm.runs.status import RunStatus

WATCH_EVERY = 0.2
"""Seconds between two looks at a run that is watched."""


@click.command()
@runs_dir_option
@json_option
@click.option("--all", "elsewhere", is_flag=True, help="Also runs that were started in other folders.")
def runs(runs_dir: Path | None, as_json: bool, elsewhere: bool) -> None:
    """List the runs: state, text, best validation loss (nats per character), step, training time and size on disk.

    A best loss with ~ is an estimate from slices of the held-out part, as long as a run goes on and where it was
    stopped (with --json, `best_kind` is "estimate"); without, it is over all of that part ("whole"), as `eval` has it.
    """
    from charlstm.runs import folder

    found = [(run, run.status()) for run in folder.list_runs(runs_dir, elsewhere=elsewhere)]
    if as_json:
        print_result(True, [_row(run, status) for run, status in found])
        return
    if not found:
        print_note(
            f"No runs in {folder.runs_dir(runs_dir)}; start one with: charlstm train python-reference --preset quick"
        )
        return
    for line in table(
        ("RUN", "STATE", "TEXT", "BEST", "STEP", "TIME", "SIZE", ""),
        [_cells(run, status) for run, status in found],
        right=("BEST", "STEP", "TIME", "SIZE"),
    ):
        click.echo(line)
    if any(status.best_val is not None and not status.best_whole for _, status in found):
        print_note("~ estimated from slices of the held-out part; `charlstm eval RUN` reads all of it")


def _row(run: Run, status: RunStatus) -> dict[str, Any]:
    text, preset = _asked(run)
    return {
        "name": run.name,
        "state": status.state,
        "step": status.step,
        "planned_steps": status.planned_steps,
        "best_val": status.best_val,
        "best_kind": None if status.best_val is None else "whole" if status.best_whole else "estimate",
        "train_seconds": status.train_seconds,
        "text": text,
        "preset": preset,
        "bytes": run.size(),
        "message": status.message,
        "path": str(run.path),
    }


def _cells(run: Run, status: RunStatus) -> tuple[str, ...]:
    running = status.alive and status.progress is not None
    state = f"{status.state} {status.progress:.0%}" if running else status.state
    best = "–" if status.best_val is None else f"{'' if status.best_whole else ESTIMATE}{status.best_val:.4f}"
    return (
        run.name,
        state,
        _asked(run)[0],
        best,
        f"{status.step:,}",
        format_duration(status.train_seconds),
        format_size(run.size()),
        status.message,
    )


def _asked(run: Run) -> tuple[str, str]:
    """The text and the preset of a run; empty where its run.json cannot be read, which its state tells."""
    try:
        spec = run.spec()
    except RunError:
        return "", ""
    return spec.corpus_name, spec.preset


@click.command()
@run_argument
@click.option("--plain", is_flag=True, help="Plain lines, no bar.")
@json_option
@runs_dir_option
def watch(run: str, plain: bool, as_json: bool, runs_dir: Path | None) -> None:
    """Follow RUN until it ends: its progress, validations, samples, and how it is doing in words. Ctrl-C stops
    watching, not the run.

    With --json, one event a line on stdout, from the first one on.
    """
    from charlstm.cli.training_view import EventView
    from charlstm.runs.log import EventTail
    from charlstm.training.events import Validated

    found = find_run(run, runs_dir)
    tail = EventTail(found.events_path)
    with EventView(json=as_json, plain=plain) as view:
        try:
            while True:
                status = found.status()  # before the events, so that the last of them are not missed
                events = tail.read()
                view.show(events)
                if not status.alive:
                    break
                if any(isinstance(event, Validated) and event.step for event in events):
                    view.judge()
                if status.state != "running":
                    view.wait(f"{status.state}: {status.message}" if status.message else status.state)
                time.sleep(WATCH_EVERY)
        except KeyboardInterrupt:
            view.say(f"\n{found.name} goes on; to stop it: {shell_command('control', found.name, 'stop')}")
            raise click.exceptions.Exit(130) from None
        said = view.judge(status)
        # a message tells what came after the end, such as a resume that was refused; of a bad end the verdict has it
        if not as_json and status.message and said.kind not in ("failed", "crashed"):
            view.say(f"{found.name} is {status.state}: {status.message}")


@click.command()
@run_argument
@click.argument("command", type=click.Choice(COMMANDS))
@click.argument("value", required=False, type=float)
@json_option
@runs_dir_option
def control(run: str, command: str, value: float | None, as_json: bool, runs_dir: Path | None) -> None:
    """Ask the worker of RUN: pause, resume, stop, finish, checkpoint, or set-lr VALUE.

    `finish` brings the learning rate to zero within 30 seconds and ends the run; `stop` checkpoints and ends at once.
    """
    from charlstm.runs.control import send_command

    asked = send_command(find_run(run, runs_dir), command, value)
    if as_json:
        print_result(True, {"id": asked.id, "command": asked.command, "value": asked.value})
    else:
        print_note(f"Asked {run} to {command}{'' if value is None else f' {value:g}'}")


@click.command()
@run_argument
@click.argument("name")
@json_option
@runs_dir_option
def rename(run: str, name: str, as_json: bool, runs_dir: Path | None) -> None:
    """Give RUN another NAME."""
    from charlstm.runs.folder import rename_run

    found = find_run(run, runs_dir)
    renamed = rename_run(found, name)
    if as_json:
        print_result(True, {"name": renamed.name, "path": str(renamed.path), "former": found.name})
    else:
        print_note(f"It is called {renamed.name} now")


@click.command()
@run_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@runs_dir_option
def delete(run: str, yes: bool, as_json: bool, runs_dir: Path | None) -> None:
    """Delete RUN for good: its model, states, snapshots, sessions and logs. Other files in its folder stay."""
    import sys

    from charlstm.runs.folder import delete_run, left_over

    found = find_run(run, runs_dir)
    if not yes:
        if not sys.stdin.isatty():
            raise RunError(f"Deleting {found.name} needs a yes: add --yes")
        if not click.confirm(f"Delete {found.path} for good?", err=True):
            print_note("Nothing was deleted")
            return
    left = delete_run(found)
    if as_json:
        print_result(True, {"name": found.name, "path": str(found.path), "left": left})
        return
    print_note(f"Deleted {found.name}")
    if left:
        print_note(left_over(found, left))
