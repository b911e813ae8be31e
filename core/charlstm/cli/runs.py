"""Commands on existing runs: ``runs``, ``watch``, ``control``, ``compare``, ``log``, ``rename``, ``delete``,
``prune``."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from charlstm import user_files
from charlstm.cli import options, output
from charlstm.cli.notes import parsed_tags
from charlstm.display import duration, plural, shell_command, shell_word, size, table
from charlstm.errors import ExitCode, RunError
from charlstm.line import TerminalLine
from charlstm.runs import folder
from charlstm.runs.control import check_command, send_command
from charlstm.runs.folder import RunFolder
from charlstm.runs.lesson import add_lesson, lesson_page, told
from charlstm.runs.log import EventTail, lasting_events
from charlstm.runs.names import natural_key
from charlstm.runs.notes import Notes, read_notes
from charlstm.runs.on_end import end_words
from charlstm.runs.queue_file import waiting_runs
from charlstm.runs.status import STATES, RunStatus, queue_problem
from charlstm.runs.table import ListedRun, best_words, spec_if_readable, state_words
from charlstm.text.read_before import LEGEND, is_much
from charlstm.training.commands import COMMANDS, Command
from charlstm.training.events import Checkpointed, Controlled, Validated, to_line
from charlstm.user_files import STDOUT

if TYPE_CHECKING:
    from charlstm.runs.comparison import Axis

WATCH_INTERVAL = 0.2
"""Seconds between two readings of a run's log."""


def continue_queue() -> None:
    """Start the next run of the queue if none trains, as after the machine was started again, and say so, and what
    keeps runs of the queue from being trained."""
    problem = queue_problem()
    try:
        if waiting_runs():  # else nothing is imported for it
            from charlstm.runs.queue import start_next

            if run := start_next():
                output.print_note(f"The queue goes on: {run.name} trains now, in the background")
            problem = queue_problem() or problem
    except RunError as error:
        problem = str(error)
    if problem:
        output.print_note(problem)


class ControlDetails(TypedDict):
    """What ``control`` adds to a :class:`~charlstm.training.commands.Command`.

    Attributes:
        done: whether the command was carried out; always false without --wait, which does not ask. With --wait it is
            false when the run came to its own end before it read ``stop`` or ``finish``.
        step: the step at which it was carried out; for ``stop`` and ``finish``, the last step of the run; None without
            --wait.
        state: the state of the run afterwards; None without --wait.
    """

    done: bool
    step: int | None
    state: str | None


SORTS: dict[str, Callable[[ListedRun], Any]] = {
    "name": lambda each: natural_key(each.run.name),
    "state": lambda each: (not each.status.alive, each.status.state),
    "text": lambda each: each.text.casefold(),
    "preset": lambda each: each.preset.casefold(),
    "best": lambda each: math.inf if each.status.loss is None else each.status.loss,
    "step": lambda each: each.status.step,
    "time": lambda each: each.status.work_seconds,
    "size": lambda each: each.bytes,
    "created": lambda each: each.created or 0.0,
}
"""What `runs` can be sorted by: the columns of the app's table."""

FALLING = frozenset({"step", "time", "size", "created"})
"""Those that begin with the largest figure or the latest time."""


@click.command(epilog=options.examples("charlstm lesson", "charlstm lesson --read"))
@click.option("--read", is_flag=True, help="Print the page that leads through the runs, and add none.")
@options.common_options
def lesson(read: bool) -> None:
    """Put the three small runs of the lesson, which are finished, into the folder of the runs, with their texts.

    Existing runs of these names stay as they are.

    With --json: a list with name, path, and whether the run was added.
    """
    if read:
        click.echo(lesson_page())
        return
    added, present = add_lesson(options.given_runs_dir())
    rows = [output.joined(run, {"added": run in added}) for run in added + present]
    output.print_result(rows, "\n".join(str(run.path) for run in added) or None)
    output.print_remark(f"{told(added, present)} `charlstm lesson --read` leads through it.")


@click.command(
    epilog=options.examples(
        "charlstm runs --sort best --limit 5",
        "charlstm runs --state running --state paused",
        "charlstm runs --tag paper",
    )
)
@click.option(
    "--state",
    "states",
    type=click.Choice(STATES),
    multiple=True,
    help="List runs in this state, or in one of these; may be repeated.",
)
@click.option(
    "--tag",
    "tags",
    metavar="TAG",
    multiple=True,
    help="List runs with this tag, or with all of these; may be repeated.",
)
@click.option(
    "--sort",
    type=click.Choice(list(SORTS)),
    default="name",
    show_default=True,
    help="best begins with the lowest loss; step, time and size with the largest; created with the newest.",
)
@click.option("--reverse", is_flag=True, help="Sort in reverse order.")
@options.integer_option("--limit", minimum=1, help="List the first N runs.")
@click.option("--all", "elsewhere", is_flag=True, help="Also list runs that were started in other folders.")
@options.common_options
def runs(
    states: tuple[str, ...],
    tags: tuple[str, ...],
    sort: str,
    reverse: bool,
    limit: int | None,
    elsewhere: bool,
) -> None:
    """List the runs: state, text, best validation loss (nats per character), step, time and size on disk.

    START is the model whose weights a run began with; the losses of such runs are not those of training from nothing. A
    loss with ~ is an estimate from slices of the held-out part: the run has not finished, or the whole part would have
    taken too long. A loss without ~ is over the whole part, like that of `eval`. A loss with † is of a model that had
    read much of the held-out part before, so it is lower than on new text.

    With --json: a list with these and more figures. `best_kind` is "estimate" or "whole".
    """
    asked = set(parsed_tags(tags))
    continue_queue()
    listed = folder.list_runs(options.given_runs_dir(), elsewhere=elsewhere)
    found = [ListedRun(run, run.status(), spec_if_readable(run), _notes(run)) for run in listed]
    found = [each for each in found if (not states or each.status.state in states) and asked <= set(each.noted.tags)]
    found.sort(key=SORTS["name"])
    found.sort(key=SORTS[sort], reverse=sort in FALLING)
    if reverse:
        found.reverse()
    found.sort(key=lambda each: sort == "best" and each.status.loss is None)  # which are last in both orders
    found = found[:limit]
    texts = iter(folder.text_names([each.spec for each in found if each.spec is not None]))
    rows: list[tuple[str, ...]] = [
        (
            each.run.name,
            state_words(each.status),
            "" if each.spec is None else next(texts),
            each.started_from or "",
            best_words(each.status) or "–",
            f"{each.status.step:,}",
            duration(each.status.work_seconds),
            size(each.bytes),
            " ".join(each.noted.tags),
            "" if each.status.place is not None else each.status.remark,  # which the state says
        )
        for each in found
    ]
    titles = ["RUN", "STATE", "TEXT", "START", "BEST LOSS", "STEP", "TIME", "SIZE", "TAGS", ""]
    for title in ("TAGS", "START"):
        which = titles.index(title)
        if not any(row[which] for row in rows):
            titles.pop(which)
            rows = [row[:which] + row[which + 1 :] for row in rows]
    lines = table(titles, rows, right=("BEST LOSS", "STEP", "TIME", "SIZE"))
    output.print_result(found, "\n".join(lines) if found else None)
    if not found:
        parent = folder.runs_dir(options.given_runs_dir())
        start = f"No runs in {parent}; start one with: charlstm train python-reference --preset quick"
        output.print_remark(f"None of {plural(len(listed), 'run')} in {parent} is like that" if listed else start)
    if any(each.status.loss is not None and not each.status.best_whole for each in found):
        output.print_remark("~ is an estimate from slices of the held-out part; `charlstm eval RUN` reads all of it")
    _explain_mark([each.status for each in found])


def _explain_mark(statuses: Sequence[RunStatus]) -> None:
    """Explain the mark of a loss on text that was read, if a loss has the mark."""
    if any(status.loss is not None and is_much(status.read_share) for status in statuses):
        output.print_remark(f"{LEGEND}; `charlstm info RUN` says how much")


def _notes(run: RunFolder) -> Notes:
    """The tags and the note of a run; none when they cannot be read."""
    try:
        return read_notes(run)
    except RunError as error:
        output.print_note(str(error))
        return Notes()


@click.command(
    epilog=options.examples(
        "charlstm compare novel-1 novel-2", "charlstm compare novel-1 novel-2 --svg curves.svg --axis epochs"
    )
)
@options.runs_argument
@click.option("--csv", "csv_file", metavar="FILE", help="Write all logged losses as CSV; - is standard output.")
@click.option("--svg", "svg_file", metavar="FILE", help="Draw the losses of all runs on one chart.")
@click.option(
    "--axis",
    type=click.Choice(["step", "epochs", "characters", "seconds"]),
    help="What the chart is drawn over.  [default: step]",
)
@options.common_options
def compare(runs: tuple[str, ...], csv_file: str | None, svg_file: str | None, axis: Axis | None) -> None:
    """Compare runs: results, and what differs in text, settings and what was changed on the way.

    With --json: {"runs", "differences"}; a difference has one value for each run.
    """
    from charlstm.runs import comparison  # imports numpy, as all that is imported in a function here

    output.check_stdout(csv=csv_file, svg=svg_file)
    if axis is not None and svg_file is None:
        raise click.UsageError("--axis needs --svg: it is that of the chart")
    output.check_output_file(csv_file, ".csv")
    output.check_output_file(svg_file, ".svg")
    found = [options.find_run(name) for name in runs]
    compared = [comparison.read_run(run) for run in found]
    if csv_file is not None:
        output.write_text(csv_file, comparison.comparison_csv(compared))
    if svg_file is not None:
        chart = comparison.comparison_chart(compared, axis or "step")
        if not chart:
            raise RunError("These runs have no curve yet: there is nothing to draw")
        output.write_text(svg_file, chart)
    if "-" in (csv_file, svg_file):
        return
    differing = comparison.differences(compared)
    listed = [ListedRun(each.run, each.status, each.spec, _notes(each.run)) for each in compared]
    rows = [
        ["state", *(each.status.state for each in compared)],
        ["best loss", *(best_words(each.status) or "–" for each in compared)],
        ["steps", *(f"{each.status.step:,}" for each in compared)],
        ["time", *(duration(each.status.work_seconds) for each in compared)],
        *([each.name, *("–" if value in (None, "") else str(value) for value in each.values)] for each in differing),
    ]
    lines = table(["", *(each.run.name for each in compared)], rows)
    texts = {name for each in differing if each.name == "text" for name in each.values}
    if len(texts) > len({each.spec.corpus_name for each in compared}):
        lines.append("One text was read in different ways, so these losses cannot be compared.")
    if len(compared) > 1 and not differing:
        lines.append("Text and settings are the same.")
    output.print_result({"runs": listed, "differences": differing}, "\n".join(lines))
    _explain_mark([each.status for each in compared])
    for name in (csv_file, svg_file):
        if name is not None:
            output.print_note(f"Wrote {name}")


@click.command(
    epilog=options.examples("charlstm log novel-1 --to tensorboard", "charlstm log novel-1 --to jsonl --out -")
)
@options.run_argument
@click.option(
    "--to",
    "kind",
    required=True,
    type=click.Choice(["tensorboard", "csv", "jsonl"]),
    help="tensorboard: a folder for TensorBoard; csv: the losses, as `compare --csv`; jsonl: all events.",
)
@click.option(
    "--out",
    metavar="PATH",
    help="File to write, - is standard output; for TensorBoard a folder, in which the run has one of its own.  "
    "[default: ./RUN.csv, ./RUN.jsonl or ./tensorboard]",
)
@options.common_options
def log(run: str, kind: str, out: str | None) -> None:
    """Write the log of RUN for other programs. Prints the path.

    For TensorBoard: loss, learning rate, gradient norm and speed as curves, samples as text, settings as
    hyperparameters. Needs the package tensorboard. An existing file of the run is replaced.

    What a resume repeated is left out.

    With --json: {"out", "to"}.
    """
    from charlstm.runs import comparison

    output.check_stdout(out=out)
    found = options.find_run(run)
    if kind == "tensorboard":
        out = out or "tensorboard"
        _write_for_tensorboard(found, out)
    else:
        out = out or f"{found.name}.{kind}"
        output.check_output_file(out, f".{kind}")
        user_files.refuse_sources(out, [found.events_path])
        if kind == "csv":
            text = comparison.comparison_csv([comparison.read_run(found)])
        else:
            text = "".join(f"{to_line(event)}\n" for event in lasting_events(found.events()))
        output.write_text(out, text)
    if out != STDOUT:
        output.print_result({"out": str(Path(out).absolute()), "to": kind}, out)
    if kind == "tensorboard":
        output.print_remark(f"Look at it: tensorboard --logdir {shell_word(out)}")


def _write_for_tensorboard(run: RunFolder, folder: str) -> None:
    """Write the log of ``run`` into a folder of its own in ``folder``."""
    from charlstm.runs.tensorboard_format import FILE_NAME, tensorboard_file

    if folder == STDOUT:
        raise click.UsageError("TensorBoard reads folders: name one with --out")
    content = tensorboard_file(run)
    target = Path(folder) / run.name
    try:
        target.mkdir(parents=True, exist_ok=True)
        user_files.save_bytes(target / FILE_NAME, content)
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror}): choose another folder with --out") from None


@click.command()
@options.run_argument
@click.option("--plain", is_flag=True, help="Print plain lines, without a progress bar.")
@options.common_options
def watch(run: str, plain: bool) -> None:
    """Show the progress, validations and samples of RUN until it ends. Ctrl-C ends the watching, not the run.

    With --json: one event a line, from the first event of the run; `started` and `resumed` also have `run`, the name of
    the run, and `path`, its folder.
    """
    from charlstm.cli.training_view import EventView, ring

    found = options.find_run(run)
    continue_queue()
    tail, status = EventTail(found.events_path), found.status()
    was_alive = False
    with EventView(found, json=output.wants_json(), plain=plain) as view:
        try:
            while True:
                status = found.status()  # read before the events, so that the last of them are not missed
                was_alive = was_alive or status.alive
                events = tail.read()
                view.show(events)
                if not status.alive and status.state != "queued":
                    break
                if any(isinstance(event, Validated) and event.step for event in events):
                    view.print_verdict()
                if status.validated is not None:
                    view.show_final_validation(status.validated, status.seconds_left)
                elif status.state != "running":
                    view.show_waiting(f"{status.state}: {status.message}" if status.message else status.state)
                time.sleep(WATCH_INTERVAL)
        except KeyboardInterrupt:
            stop = ("queue", "remove", found.name) if status.state == "queued" else ("control", found.name, "stop")
            view.print_line(f"\n{found.name} is {status.state}; to stop it: {shell_command(*stop)}")
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
        judged = view.print_verdict(status)
        remark = judged.remark if judged.has_ended else status.message
        if remark and not output.wants_json():
            view.print_line(f"{found.name} ({status.state}): {remark}")
    if was_alive:
        ring(end_words(found.name, status))


@click.command()
@options.run_argument
@click.argument("command", type=click.Choice(COMMANDS), metavar="COMMAND")
@click.argument("value", required=False, type=float)
@click.option("--wait", is_flag=True, help="Return when the run has carried the command out.")
@options.number_option("--timeout", minimum=0, metavar="SECONDS", help="With --wait: give up after so many seconds.")
@options.common_options
def control(run: str, command: str, value: float | None, wait: bool, timeout: float | None) -> None:
    """Send a command to a run that is training: pause, resume, stop, finish, checkpoint, set-lr RATE or more MINUTES.

    `set-lr` sets the learning rate of the next step and scales the rest of the schedule to it. In the warm-up it ends
    the climb: the rate stays until the warm-up would have been over, then it falls by the schedule.

    `more` adds minutes to the run without stopping it: the rest of its schedule is stretched to the new end. A run that
    has ended is lengthened by `resume` with a higher limit.

    `finish` lowers the learning rate to zero in about 25 seconds, then the best model is validated and the run ends;
    `stop` writes a checkpoint and ends it at once.

    With --wait, the command returns when the run has logged that it carried the command out: for `checkpoint`, when the
    checkpoint is written; for `stop` and `finish`, when the run has ended. Exit code 0 then; 1 when the run ended
    before or failed, and after --timeout, when the run may still carry the command out later; 130 after Ctrl-C, which
    does not take the command back.

    A run may come to its own end before it reads `stop` or `finish`. The exit code is 0 then too, since it is over, and
    `done` is false. An end before the worker reads `finish` is a failure.

    With --json: {"id", "command", "value", "done", "step", "state"}.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout needs --wait")
    with options.usage_errors():
        check_command(command, value)
    found = options.find_run(run)
    sent = send_command(found, command, value)
    output.print_remark(f"Sent to {found.name}: {command}{'' if value is None else f' {value:g}'}")
    done, step, state = _wait_until_done(found, sent, timeout) if wait else (False, None, None)
    details: ControlDetails = {"done": done, "step": step, "state": state}
    output.print_result(output.joined(sent, details))
    if done:
        output.print_remark(f"Done at step {step:,}; {found.name} is {state}")
    elif wait:
        output.print_remark(f"{found.name} is {state} at step {step:,}; it did not carry out {command}")


def _wait_until_done(run: RunFolder, sent: Command, timeout: float | None) -> tuple[bool, int, str]:
    """Wait until ``run`` has carried out the command ``sent``, or is over where the command was to end it; returns
    whether it has, and its step and its state then.

    Raises :class:`RunError` when the run ends without that, :class:`TimeoutError` after ``timeout`` seconds.
    """
    tail = EventTail(run.events_path)
    began = time.monotonic()
    at: int | None = None  # the step at which the run logged the command
    saved = False
    with TerminalLine() as line:
        while True:
            status = run.status()  # read before the events, so that the last of them are not missed
            for event in tail.read():
                if isinstance(event, Controlled) and event.id == sent.id:
                    at = event.step
                saved = saved or (at is not None and isinstance(event, Checkpointed) and event.step >= at)
            if sent.command in ("stop", "finish"):
                if status.state == "finished":
                    return at is not None, status.step, status.state
                if status.state == "stopped" and sent.command == "stop":
                    # Without a log entry too: a run logs no command while it reads its text or cannot write.
                    return True, status.step, status.state
            elif at is not None and {"checkpoint": saved, "pause": status.state == "paused"}.get(sent.command, True):
                # the heartbeat is written after the log
                return True, at, "running" if sent.command == "resume" else status.state
            if not status.alive:
                why = f": {status.message}" if status.message else ""
                raise RunError(f"{run.name} is {status.state} and did not carry out {sent.command}{why}")
            waited = time.monotonic() - began
            if timeout is not None and waited >= timeout:
                raise TimeoutError(
                    f"{run.name} has not carried out {sent.command} within {timeout:g} seconds. It may still do so: "
                    f"follow it with {shell_command('watch', run.name)}"
                )
            line.draw(None, f"waiting for {run.name} to carry out {sent.command}, {duration(waited)}")
            time.sleep(WATCH_INTERVAL)


@click.command()
@options.run_argument
@click.argument("name", callback=options.run_name)
@options.common_options
def rename(run: str, name: str) -> None:
    """Rename RUN to NAME.

    With --json: {"name", "path", "former"}.
    """
    found = options.find_run(run)
    renamed = folder.rename_run(found, name)
    output.print_result(output.joined(renamed, {"former": found.name}))
    output.print_remark(f"Renamed {found.name} to {renamed.name}")


@click.command(epilog=options.examples("charlstm delete novel-1", "charlstm delete novel-1 novel-2 --yes"))
@options.runs_argument
@click.option("--yes", is_flag=True, help="Delete without asking.")
@options.common_options
def delete(runs: tuple[str, ...], yes: bool) -> None:
    """Delete RUN: its model, states, snapshots, sessions and logs. Other files in its folder are kept. The name of a
    sweep stands for all of its runs.

    If one of several runs cannot be deleted, the others still are, and the exit code is 1. If a name is not that of a
    run, nothing is deleted.

    With --json: {"name", "path", "left"}; with several runs a list of these, for those that were deleted.
    """
    try:
        found = options.find_runs(runs)
    except RunError:
        output.print_note("Nothing was deleted")
        raise
    names = ", ".join(run.name for run in found)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"Deleting {names} needs your confirmation: add --yes")
        what = str(found[0].path) if len(found) == 1 else f"{len(found)} runs ({names})"
        sessions = sum(len(run.sessions()) for run in found)
        texts = f", with {plural(sessions, 'session')} of text that was played or written" if sessions else ""
        if not click.confirm(f"Delete {what}{texts}? This cannot be undone", err=True):
            output.print_note("Nothing was deleted")
            return
    results: list[dict[str, Any]] = []
    failures: list[RunError] = []
    for run in found:
        targets: dict[str, str] = {}
        try:
            with contextlib.suppress(OSError):  # what cannot be read cannot be deleted either, which is said below
                targets = {path.name: os.path.realpath(path) for path in run.parts() if path.is_symlink()}
            left = folder.delete_run(run)
        except RunError as error:
            failures.append(error)
            continue
        results.append(output.joined(run, {"left": left}))
        output.print_remark(f"Deleted {run.name}")
        for name, target in targets.items():
            output.print_remark(f"The link {name} led to {target}, which is kept")
        if left:
            output.print_remark(folder.left_over(run, left))
    several = len(runs) > 1 or len(found) > 1
    if several or results:
        output.print_result(results if several else results[0])
    _raise_last(failures)


def _raise_last(failures: list[RunError]) -> None:
    """Say what went wrong with some of several runs, the last of it as the error of the command."""
    for failure in failures[:-1]:
        output.print_note(str(failure))
    if failures:
        raise failures[-1]


@click.command(epilog=options.examples("charlstm prune", "charlstm prune novel-1 novel-2 --yes"))
@click.argument("runs", nargs=-1, shell_complete=options.complete_run)
@click.option("--yes", is_flag=True, help="Remove them, instead of saying what would be freed.")
@options.common_options
def prune(runs: tuple[str, ...], yes: bool) -> None:
    """Remove snapshots and states of RUNS, or of all runs that are finished. Log, best model and texts stay.

    Says what would be freed; with --yes that is removed. A run without a state can be played and started from, but not
    continued; without snapshots, nothing shows how it learnt.

    With --json: a list of {"name", "path", "files", "bytes", "pruned"}.
    """
    named = options.find_runs(runs)
    listed = folder.list_runs(options.given_runs_dir())
    here = (run for run in listed if not run.path.is_symlink())  # a link may be to others'
    found = named or [run for run in here if run.status().state == "finished"]
    rows: list[dict[str, Any]] = []
    failures: list[RunError] = []
    for run in found:
        try:
            files = run.prunable()
            links = [path for path in files if path.is_symlink()]
            freed = folder.prune_run(run, dry_run=not yes)
        except RunError as error:
            failures.append(error)
            continue
        if files or named:
            rows.append(output.joined(run, {"files": len(files), "bytes": freed, "pruned": yes}))
            for link in links:
                output.print_remark(f"What the link {link} leads to stays")
    cells = [(row["name"], str(row["files"]), size(row["bytes"])) for row in rows]
    lines = table(("RUN", "FILES", "SIZE"), cells, right=("FILES", "SIZE"))
    total = size(sum(row["bytes"] for row in rows))
    output.print_result(rows, "\n".join(lines) if rows else None)
    more = "Freed" if yes else "Would free"
    output.print_remark(f"{more} {total} of {plural(len(rows), 'run')}{'' if yes or not rows else '; --yes does it'}")
    _raise_last(failures)
