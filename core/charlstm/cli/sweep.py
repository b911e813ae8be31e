"""Commands about many runs: ``sweep`` finds good settings, ``prune`` makes room."""

from __future__ import annotations

import math
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.json_schemas import PrunedRun, SweepResult, SweepTrial
from charlstm.cli.options import (
    complete_run,
    examples,
    find_run,
    integer_option,
    json_option,
    number_option,
    optional_text_argument,
    run_name,
    runs_dir_option,
    settings_option,
    text_options,
)
from charlstm.cli.output import check_output_file, check_stdout, format_size, print_note, print_result, write_text
from charlstm.cli.training import (
    PresetChoice,
    check_own_network,
    open_text,
    preset_for,
    print_reading,
    print_start,
    settings_from_options,
    shortcuts,
    start_option,
    val_file_option,
)
from charlstm.display import duration, plural, shell_command, table, visible
from charlstm.errors import RunError, SettingsError
from charlstm.line import terminal_width, truncate
from charlstm.text.reading import USUAL, TextOptions
from charlstm.training.presets import DEFAULT, preset_table, presets
from charlstm.training.settings import LENGTH, setting_names, write_setting

if TYPE_CHECKING:
    from charlstm.runs.sweep import Standing, Sweep, SweepSpec, Trial

REDRAW = 0.5
"""Seconds between two drawings of the table."""
PLAIN_REDRAW = 30.0
"""The same where lines cannot be drawn over."""


@click.command(
    epilog=examples(
        "charlstm sweep novel.txt --grid lr=1e-3,3e-3 --grid hidden_size=128,256 --minutes 20",
        "charlstm sweep novel.txt --grid lr=1e-3,3e-3,1e-2 hidden_size=128,256 --max-steps 2000 --halving",
        "charlstm sweep novel.txt --random 16 --range lr=1e-4..1e-2 --range dropout=0..0.5 --halving --minutes 60",
        "charlstm sweep --resume novel-sweep-1 --out losses.svg",
    )
)
@optional_text_argument
@click.option("--grid", metavar="KEY=V1,V2", multiple=True, help="Values of a setting to try; may be repeated.")
@click.option(
    "--range",
    "ranges",
    metavar="KEY=A..B",
    multiple=True,
    help="With --random: draw a setting from A to B; repeatable.",
)
@integer_option("--random", "draws", minimum=2, help="Draw N combinations instead of trying all.")
@click.option(
    "--halving",
    is_flag=True,
    help="Train all for an eighth of their steps, the better half to a quarter, and so on: a third of the time.",
)
@number_option("--minutes", minimum=0, help="Minutes for all runs together, instead of a limit for each of them.")
@click.option("--preset", "preset_name", type=PresetChoice(), help=f"The settings to begin with.  [default: {DEFAULT}]")
@val_file_option
@start_option
@click.option("--name", metavar="NAME", callback=run_name, help="Name of the sweep.  [default: TEXT-sweep-N]")
@click.option("--resume", "resumed", metavar="NAME", help="Continue the sweep NAME, or show it if it is over.")
@click.option("--out", metavar="FILE.svg", help="Draw the losses by the value of each setting.")
@click.option("--plain", is_flag=True, help="Print plain lines, without a table that is drawn again.")
@settings_option
@shortcuts
@text_options
@json_option
@runs_dir_option
def sweep(
    text: tuple[str, ...],
    grid: tuple[str, ...],
    ranges: tuple[str, ...],
    draws: int | None,
    halving: bool,
    minutes: float | None,
    preset_name: str | None,
    val_files: tuple[str, ...],
    start_word: str | None,
    name: str | None,
    resumed: str | None,
    out: str | None,
    plain: bool,
    assignments: tuple[str, ...],
    options: TextOptions,
    as_json: bool,
    runs_dir: Path | None,
    **given: str | None,
) -> None:
    """Train on TEXT with several settings, one run after the other, and find the best.

    The settings are those of --set. A word KEY=V1,V2 after the TEXT counts as one of --grid. A run trains until the
    limit of its preset, or what --minutes leaves it, or --max-steps and the like say.

    The runs are in a folder of the sweep and have the tag sweep:NAME. Ctrl-C stops at a checkpoint, and --resume
    continues there. All but the best keep their log and their best model only.

    At the end the best settings are printed as a preset, to be pasted into the configuration.

    With --json: the runs with settings and losses, the best one and its preset.
    """
    from charlstm.runs.sweep import standing, sweep_chart

    check_stdout(as_json, out=out)
    if out is not None:
        check_output_file(out, ".svg")
    words = [word for word in text if word.partition("=")[0].replace("-", "_") in setting_names() and "=" in word]
    texts = tuple(word for word in text if word not in words)
    corpus = None
    if resumed is not None:
        if text or grid or ranges or draws:
            raise click.UsageError("--resume continues a sweep as it was asked for: name no TEXT and no settings")
        found = _find(resumed, runs_dir)
    else:
        changes = settings_from_options(assignments, given)
        if minutes is not None and LENGTH & changes.keys():
            raise click.UsageError("--minutes limits all runs together: leave out the limit of each run")
        trials = _trials([*grid, *words], ranges, draws, changes)
        preset_name = preset_name or DEFAULT
        corpus = open_text(texts, USUAL if preset_name != "reference" else TextOptions(), val_files)
        if not as_json:
            print_reading(corpus, None)
        found = _create(corpus, trials, preset_name, changes, start_word, name, runs_dir, halving, minutes, as_json)
    if not as_json:
        print_note(f"Sweep {found.spec.name} of {plural(len(found.spec.trials), 'run')} in {found.path}")
    view = SweepView(found.spec, enabled=not as_json, plain=plain)
    try:
        for number, trials_now in found.train(corpus):
            view.show(number, trials_now)
    except KeyboardInterrupt:
        if not as_json:
            print_note(f"To continue: {shell_command('sweep', '--resume', found.spec.name)}")
        raise
    finally:
        view.clear()
    results = found.trials()
    now = standing(results, found.spec.shares)
    if out is not None:
        chart = sweep_chart(found.spec, results)
        if not chart:
            raise RunError("Fewer than two values of each setting have a loss: there is nothing to draw")
        write_text(out, chart)
        if out == "-":
            return
    result = _result(found, results, now)
    lines = sweep_lines(found.spec, results, now)
    if result["preset"] is not None:
        lines += ["", result["preset"]]
    print_result(as_json, result, "\n".join(lines))
    if as_json:
        return
    if out is not None:
        print_note(f"Wrote {out}")
    if not now.left:
        raise RunError(f"All runs of {found.spec.name} failed: choose other settings")
    best = found.run(now.left[0])
    print_note(f"\nThe best is {best.name}. Pasted into the configuration, these lines are a preset")
    print_note(f"Next: {shell_command('generate', best.name)}")


def _trials(
    grid: Sequence[str], ranges: Sequence[str], draws: int | None, changes: dict[str, Any]
) -> tuple[dict[str, Any], ...]:
    """What each run varies. Raises :class:`SettingsError` or :class:`click.UsageError`."""
    from charlstm.runs.sweep import grid_trials, parse_grid, parse_ranges, random_trials

    values, drawn = parse_grid(grid), parse_ranges(ranges)
    if not values and not drawn:
        raise click.UsageError("Which settings are to be tried? For example --grid lr=1e-3,3e-3")
    if ranges and draws is None:
        raise click.UsageError("--range needs --random: say how many combinations to draw")
    if twice := sorted((values.keys() & drawn.keys()) | ((values.keys() | drawn.keys()) & changes.keys())):
        raise SettingsError(f"{twice[0]} is given twice: as what is tried, and in another way; leave one out")
    return grid_trials(values) if draws is None else random_trials(values, drawn, draws, changes.get("seed", 0))


def _create(
    corpus: Any,
    trials: tuple[dict[str, Any], ...],
    preset_name: str,
    changes: dict[str, Any],
    start_word: str | None,
    name: str | None,
    runs_dir: Path | None,
    halving: bool,
    minutes: float | None,
    as_json: bool,
) -> Sweep:
    """Create the sweep, after a check of all of its settings."""
    from charlstm.runs.start_models import find_start, starts_from_model
    from charlstm.runs.sweep import GRID, HALVING, Sweep, SweepSpec, check_trials, cost

    if minutes is not None:
        each = minutes / cost(len(trials), HALVING if halving else GRID)
        changes = changes | {"max_minutes": float(f"{each:.3g}")}
    start, asked = None, changes | trials[0]
    settings = preset_for(corpus, None, preset_name, changes)
    if starts_from_model(start_word, preset_name, asked):
        start = find_start(start_word, corpus, settings, runs_dir)
    if start is not None:
        for trial in trials:
            check_own_network(start.config, changes | trial)
        settings = preset_for(corpus, start, preset_name, changes)
        if not as_json:
            print_start(start, "")
    if halving and settings.max_steps is not None and settings.val_every is None:
        # so that runs are compared at the same step, however fast each is
        settings = settings.with_changes(val_every=max(1, math.ceil(settings.max_steps * HALVING[0])))
    spec = SweepSpec(
        name=name or "",
        preset=preset_name,
        given=changes,
        settings=settings,
        trials=trials,
        halving=halving,
        corpus=corpus.to_record(),
        model_from=None if start is None else str(start.path),
    )
    check_trials(spec, corpus)
    return Sweep.create(spec, len(corpus.vocabulary), runs_dir)


def _find(name: str, runs_dir: Path | None) -> Sweep:
    """The sweep with this name or in this folder."""
    from charlstm.runs import folder
    from charlstm.runs.sweep import Sweep

    inside = folder.runs_dir(runs_dir) / name
    return Sweep.open(inside if (inside / folder.SWEEP).exists() or not Path(name).is_dir() else Path(name).absolute())


def _result(found: Sweep, results: Sequence[Trial], now: Standing) -> SweepResult:
    spec, rows = found.spec, list[SweepTrial]()
    for number, (run, trial) in enumerate(zip(found.runs(), results, strict=True)):
        row: SweepTrial = {
            "name": run.name,
            "path": str(run.path),
            "settings": spec.trials[number],
            "state": run.status().state if run.exists() else None,
            "step": trial.step,
            "best_loss": trial.best if math.isfinite(trial.best) else None,
            "left": number in now.left,
        }
        rows.append(row)
    best = now.left[0] if now.next is None and now.left else None
    preset = None
    if best is not None:
        own = presets().get(spec.preset)
        changes = {**dict(own.changes if own else ()), **spec.given, **spec.trials[best]}
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", spec.name)[:40].strip("-") or "mine"
        preset = preset_table(name, (own.base if own else "") or spec.preset, changes)
    return {
        "name": spec.name,
        "path": str(found.path),
        "runs": rows,
        "best": None if best is None else rows[best]["name"],
        "preset": preset,
    }


# ---- the table
def sweep_lines(spec: SweepSpec, results: Sequence[Trial], now: Standing, current: int | None = None) -> list[str]:
    """The runs as a table: the settings that they vary, their state, steps and best losses. The best so far has a
    star, the ``current`` one an arrow."""
    lowest = min(trial.best for trial in results)
    rows = []
    for number, trial in enumerate(results):
        best = now.left[:1] == (number,) if now.next is None else trial.best == lowest < math.inf
        values = [write_setting(name, value) for name, value in spec.trials[number].items()]
        state = f"running {trial.share:.0%}" if number == current else _state(trial, number in now.left)
        loss = f"{trial.best:.4f}" if math.isfinite(trial.best) else "–"
        mark = ("›" if number == current else " ") + ("★" if best else " ")
        rows.append([mark, str(number + 1), *values, state, f"{trial.step:,}", loss])
    titles = ["", "RUN", *spec.varied, "STATE", "STEPS", "BEST LOSS"]
    return table(titles, rows, right=("RUN", *spec.varied, "STEPS", "BEST LOSS"))


def _state(trial: Trial, left: bool) -> str:
    """The state of a run that does not train now."""
    if trial.failed or trial.ended:
        return "failed" if trial.failed else "finished"
    if trial.points and not left:
        return "out"
    return f"waits at {trial.share:.0%}" if trial.points else "waits"


class SweepView:
    """Shows a sweep on stderr: a table that is drawn again, or from time to time a line where that cannot be."""

    def __init__(self, spec: SweepSpec, *, enabled: bool, plain: bool) -> None:
        self._spec, self._enabled = spec, enabled
        self._draws = enabled and not plain and sys.stderr.isatty()
        self._next, self._drawn, self._began = 0.0, 0, time.monotonic()
        self._number: int | None = None
        self._done_before: float | None = None

    def show(self, number: int, results: Sequence[Trial]) -> None:
        """Show that the run ``number`` trains."""
        from charlstm.runs.sweep import standing

        time_now = time.monotonic()
        if not self._enabled or (time_now < self._next and number == self._number):
            return
        self._next, self._number = time_now + (REDRAW if self._draws else PLAIN_REDRAW), number
        if not self._draws:
            print_note(self._line(number, results))
            return
        now = standing(results, self._spec.shares)
        head, *rows = sweep_lines(self._spec, results, now, number)
        room = max(3, shutil.get_terminal_size().lines - 4)
        first = min(max(0, number - room // 2), max(0, len(rows) - room))
        shown = [head, *rows[first : first + room], "", self._footer(results, now)]
        width = terminal_width() - 1
        self.clear()
        click.echo("\n".join(truncate(visible(line, keep=""), width) for line in shown), err=True)
        self._drawn = len(shown)

    def clear(self) -> None:
        """Remove the table."""
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}A\x1b[J", nl=False, err=True)
            self._drawn = 0

    def _line(self, number: int, results: Sequence[Trial]) -> str:
        spec, trial = self._spec, results[number]
        values = ", ".join(f"{name}={write_setting(name, value)}" for name, value in spec.trials[number].items())
        loss = f", best {trial.best:.4f}" if math.isfinite(trial.best) else ""
        return f"run {number + 1} of {len(results)} ({values}): {trial.share:.0%}, step {trial.step:,}{loss}"

    def _footer(self, results: Sequence[Trial], standing: Standing) -> str:
        from charlstm.runs.sweep import cost

        spent = time.monotonic() - self._began
        until = f", up to 1/{round(1 / standing.until)} of their steps" if standing.until < 1 else ""
        done = sum(trial.share for trial in results) / cost(len(results), self._spec.shares)
        self._done_before = done if self._done_before is None else self._done_before
        left = spent * (1 - done) / (done - self._done_before) if done > self._done_before else None
        time_left = "" if left is None else f" · about {duration(left)} left"
        return (
            f"{len(standing.left)} of {plural(len(results), 'run')} left{until} · {done:.0%}{time_left} · Ctrl-C stops"
        )


# ---- room on the disk
@click.command(epilog=examples("charlstm prune", "charlstm prune novel-1 novel-2 --yes"))
@click.argument("runs", nargs=-1, shell_complete=complete_run)
@click.option("--yes", is_flag=True, help="Do it; else it is only said what would be freed.")
@json_option
@runs_dir_option
def prune(runs: tuple[str, ...], yes: bool, as_json: bool, runs_dir: Path | None) -> None:
    """Remove snapshots and states of RUNS, or of all runs that are finished. Log, best model and texts stay.

    Says what it would free; with --yes it does it. A run without a state can be played and started from, but not
    continued; without snapshots, nothing shows how it learnt.

    With --json: a list of {"name", "path", "files", "bytes", "pruned"}.
    """
    from charlstm.runs import folder

    named = [find_run(name, runs_dir) for name in dict.fromkeys(runs)]
    found = named or [run for run in folder.list_runs(runs_dir) if run.status().state == "finished"]
    rows: list[PrunedRun] = []
    for run in found:
        files = run.prunable()
        if files or named:
            size = folder.prune_run(run) if yes else folder.sizes(files)
            rows.append({"name": run.name, "path": str(run.path), "files": len(files), "bytes": size, "pruned": yes})
    cells = [(row["name"], str(row["files"]), format_size(row["bytes"])) for row in rows]
    lines = table(("RUN", "FILES", "SIZE"), cells, right=("FILES", "SIZE"))
    total = format_size(sum(row["bytes"] for row in rows))
    print_result(as_json, rows, "\n".join(lines) if rows else "")
    if not as_json:
        more = "Freed" if yes else "Would free"
        print_note(f"{more} {total} of {plural(len(rows), 'run')}{'' if yes or not rows else '; --yes does it'}")
