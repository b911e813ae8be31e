"""The command ``queue``: train runs one after another."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli import options, output
from charlstm.cli.runs import continue_queue
from charlstm.cli.training import train
from charlstm.display import duration, shell_command, table
from charlstm.errors import RunError
from charlstm.runs.folder import RunFolder
from charlstm.runs.queue import QueuedRun, add_new_run, add_run, begin_or_wait, read_queue
from charlstm.runs.queue_file import remove_from_queue, waiting_runs
from charlstm.runs.table import state_words

if TYPE_CHECKING:
    from charlstm.cli.training_view import Limits
    from charlstm.runs.launch import NewRun


@click.group(invoke_without_command=True)
@click.pass_context
def queue(context: click.Context) -> None:
    """Train runs one after another, in the background.

    The queue waits while any run of yours trains or is paused on this machine. When that run has ended, its process
    starts the next run. After a kill, a SIGTERM or a shutdown of the machine, the next `charlstm runs`, `watch` or
    `queue list` starts it, or the app.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@queue.command(
    params=[each for each in train.params if each.name not in ("detach", "plain")],
    epilog=options.examples("charlstm queue add novel.txt --preset standard", "charlstm queue add --resume RUN"),
)
@click.option(
    "--resume", "resumed", metavar="RUN", shell_complete=options.complete_run, help="Resume RUN, instead of a new run."
)
def add(resumed: str | None, **given: Any) -> None:
    """Train on TEXT when the runs that train or wait now have ended. Takes what `charlstm train` takes.

    With --json: as `queue list`, of this run.
    """
    if resumed is None:
        assert train.callback is not None
        train.callback(detach=False, plain=False, begin=_begin, **given)
        return
    options.refuse_all_but("--resume", "resumed", "as_json", "runs_dir")

    run = options.find_run(resumed)
    add_run(run)
    _print_added(run)


def _begin(new: NewRun, limits: Limits) -> None:
    """Put the run that `train` would train into the queue."""
    run = add_new_run(new)
    output.print_remark(f"The run {limits.listed()}")
    _print_added(run)


def _print_added(run: RunFolder) -> None:
    added = begin_or_wait(run)
    watch = f"It trains in the background. Watch it: {shell_command('watch', run.name)}, or open charlstm-tui"
    output.print_result(added, run.name)
    output.print_remark(f"It is {added.words}" if added.place else watch)


@queue.command("list", short_help="List the runs that train or wait.")
@options.json_option
def list_() -> None:
    """List the runs that train or wait: begin and end from now, and the reason for waiting.

    The times are estimates from the speed that was measured on this machine, or from the time limit of a run.

    With --json: a list with these figures in seconds. `place` is 0 for a run that trains.
    """
    waiting_runs()  # raises where the queue cannot be read
    continue_queue()

    found = read_queue()
    cells = [
        (str(each.place or ""), each.run.name, state_words(each.status), *_times(each), each.why) for each in found
    ]
    lines = table(("PLACE", "RUN", "STATE", "BEGINS IN", "DONE IN", ""), cells, right=("BEGINS IN", "DONE IN"))
    output.print_result(found, "\n".join(lines) if found else None)
    if not found:
        output.print_remark("No run trains or waits; put one into the queue with: charlstm queue add TEXT")


def _times(each: QueuedRun) -> tuple[str, str]:
    begins, ends = ("not known" if seconds is None else duration(seconds) for seconds in (each.begins, each.ends))
    return (begins, ends) if each.place else ("", ends)


@queue.command()
@options.runs_argument
@options.common_options
def remove(runs: tuple[str, ...]) -> None:
    """Take runs out of the queue. The folders stay for `resume` or `delete`. The name of a sweep stands for its waiting
    runs.

    With --json: as `queue list`, of the queue that is left.
    """
    found = [_find_waiting(name) for name in runs]

    for run in itertools.chain.from_iterable(found):
        remove_from_queue(run.path)
        output.print_remark(f"Took {run.name} out of the queue; its folder stays ({shell_command('resume', run.name)})")
    continue_queue()
    if output.wants_json():
        output.print_result(read_queue())


def _find_waiting(name: str) -> list[RunFolder]:
    """The run of the queue that ``name`` names, whose folder may be gone, or those of a sweep. Raises
    :class:`RunError`."""
    named = [RunFolder(each.path) for each in waiting_runs() if name in (each.path.name, str(each.path))]
    try:
        found = options.find_runs([name])
    except RunError:
        if len(named) == 1:
            return named
        raise
    waiting = [run for run in found if run.status().place is not None]
    if not waiting:
        raise RunError(f"The run {found[0].name} does not wait in the queue: it is {found[0].status().state}")
    return waiting
