"""The command ``sweep``: train with several settings, and find the best."""

from __future__ import annotations

import math
import re
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from charlstm.cli import training
from charlstm.cli.json_schemas import SweepResult
from charlstm.cli.options import (
    common_options,
    examples,
    given_runs_dir,
    integer_option,
    number_option,
    optional_text_argument,
    refuse_all_but,
    run_name,
    settings_option,
    text_options,
)
from charlstm.cli.output import (
    check_output_file,
    check_stdout,
    print_note,
    print_remark,
    print_result,
    wants_json,
    write_text,
)
from charlstm.cli.training_view import ring
from charlstm.display import duration, plural, shell_command, table, visible
from charlstm.errors import RunError, SettingsError
from charlstm.line import terminal_width, truncate
from charlstm.runs import sweep as sweeps
from charlstm.runs.notifications import SHORTEST
from charlstm.runs.start_models import find_start, starts_from_model
from charlstm.runs.sweep import Standing, Sweep, SweepSpec, Trial, Trials
from charlstm.text.corpus import Corpus
from charlstm.training.presets import DEFAULT, preset_table, presets
from charlstm.training.settings import LENGTH, setting_names, write_setting

REDRAW = 0.5
"""Seconds between two drawings of the table."""


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
@integer_option("--random", "draws", minimum=2, maximum=999, help="Draw N combinations instead of trying all.")
@click.option(
    "--halving",
    is_flag=True,
    help="Train all for an eighth of their steps, the better half to a quarter, and so on: a third of the time.",
)
@number_option("--minutes", minimum=0, help="Minutes for all runs together, instead of a limit for each of them.")
@click.option(
    "--preset", "preset_name", type=training.PresetChoice(), help=f"The settings to begin with.  [default: {DEFAULT}]"
)
@training.val_file_option
@training.start_option
@click.option("--name", metavar="NAME", callback=run_name, help="Name of the sweep.  [default: TEXT-sweep-N]")
@click.option("--resume", "resumed", metavar="NAME", help="Continue the sweep NAME, or show it if it is over.")
@click.option("--out", metavar="FILE.svg", help="Draw the losses by the value of each setting.")
@click.option("--plain", is_flag=True, help="Print plain lines, without a table that is drawn again.")
@settings_option
@training.shortcuts
@text_options
@common_options
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
    **given: str | None,
) -> None:
    """Train on TEXT with several settings, one run after the other, and find the best.

    --grid and --range take any setting that --set takes. A word KEY=V1,V2 after the TEXT counts as one of --grid. A run
    trains until the limit of its preset, or what --minutes leaves it, or --max-steps and the like say.

    The runs are in a folder of the sweep and have the tag sweep:NAME. Ctrl-C stops at a checkpoint, and --resume
    continues there. All but the best keep their log and their best model only.

    At the end the best settings are printed as a preset, to be pasted into the configuration.

    With --json: the runs with settings and losses, the best one and its preset.
    """
    check_stdout(out=out)
    check_output_file(out, ".svg")
    if resumed is not None:
        refuse_all_but("--resume", "resumed", "out", "plain", "as_json", "runs_dir")
        corpus, found = None, Sweep.named(resumed, given_runs_dir())
    else:
        words = [word for word in text if "=" in word and word.partition("=")[0].replace("-", "_") in setting_names()]
        changes = training.settings_from_options(assignments, given)
        trials = _trials([*grid, *words], ranges, draws, changes)
        if minutes is not None and LENGTH & (changes | trials[0]).keys():
            raise click.UsageError("--minutes limits all runs together: leave out the limit of each run")
        preset_name = preset_name or DEFAULT
        usual = training.usual_options(preset_name)
        corpus = training.open_text(tuple(word for word in text if word not in words), usual, val_files)
        training.print_reading(corpus, None)
        if corpus.validation is not None:
            training.check_validation_text(corpus.validation, changes | trials[0])
        spec = _spec(corpus, trials, preset_name, changes, start_word, halving, minutes)
        found = Sweep.create(spec, name or "", corpus, given_runs_dir())
    print_remark(f"Sweep {found.spec.name} of {plural(len(found.spec.trials), 'run')} in {found.path}")
    view = SweepView(found.spec, enabled=not wants_json(), plain=plain)
    began = time.monotonic()
    try:
        for number, so_far in found.train(corpus):
            view.show(number, so_far)
    except KeyboardInterrupt:
        view.clear()
        runs_dir = given_runs_dir()
        where = [] if runs_dir is None else ["--runs-dir", str(runs_dir)]
        print_remark(f"To continue: {shell_command('sweep', '--resume', found.spec.name, *where)}")
        raise
    finally:
        view.clear()
    results = found.trials()
    now = sweeps.standing(results, found.spec.shares)
    if not now.left:
        raise RunError(f"All runs of {found.spec.name} failed: choose other settings")
    result = _result(found, results, now)
    if time.monotonic() - began >= SHORTEST:
        ring(f"{found.spec.name} has finished: the best is {result['best']}")
    chart = "" if out is None else sweeps.sweep_chart(found.spec, results)
    if out is not None and chart:
        write_text(out, chart)
    if out != "-":
        print_result(result, "\n".join([*sweep_lines(found.spec, results, now), "", result["preset"]]))
    if out != "-":
        print_remark(f"Wrote {out}\n" if chart else "")
        print_remark("Pasted into the configuration, these lines are a preset")
    print_remark(f"The best is {result['best']}")
    print_remark(f"Next: {shell_command('generate', result['best'])}")
    if out is not None and not chart:
        raise RunError("No setting has two values with a loss, so no picture was drawn")


def _trials(grid: Sequence[str], ranges: Sequence[str], draws: int | None, changes: dict[str, Any]) -> Trials:
    """What each run varies. Raises :class:`SettingsError` or :class:`click.UsageError`."""
    values, drawn = sweeps.parse_grid(grid), sweeps.parse_ranges(ranges)
    if not values and not drawn:
        raise click.UsageError("Which settings are to be tried? For example --grid lr=1e-3,3e-3")
    if ranges and draws is None:
        raise click.UsageError("--range needs --random: say how many combinations to draw")
    if twice := sorted((values.keys() & drawn.keys()) | ((values.keys() | drawn.keys()) & changes.keys())):
        raise SettingsError(f"{twice[0]} is given twice: as what is tried, and in another way; leave one out")
    return (
        sweeps.grid_trials(values)
        if draws is None
        else sweeps.random_trials(values, drawn, draws, changes.get("seed", 0))
    )


def _spec(
    corpus: Corpus, trials: Trials, preset: str, changes: dict[str, Any], start_word: str | None,
    halving: bool, minutes: float | None,
) -> SweepSpec:  # fmt: skip
    """What is asked for, with all of its settings checked."""
    if minutes is not None:
        each = minutes / sweeps.cost(len(trials), sweeps.HALVING if halving else sweeps.GRID)
        changes = changes | {"max_minutes": float(f"{each:.3g}")}
        usual = training.preset_for(corpus, None, preset, changes)
        changes |= {name: None for name in ("epochs", "max_steps") if getattr(usual, name) is not None}
    settings, model = training.preset_for(corpus, None, preset, changes), None
    if starts_from_model(start_word, preset, changes | trials[0]):
        start = find_start(start_word, corpus, settings, given_runs_dir())
        if start is not None:
            for trial in trials:
                training.check_own_network(start.config, changes | trial)
            training.print_start(start, "")
            settings, model = training.preset_for(corpus, start, preset, changes), str(start.path)
    if halving and settings.max_steps is not None and settings.val_every is None:
        # so that runs are compared at the same step, however fast each is
        settings = settings.with_changes(val_every=max(1, math.ceil(settings.max_steps * sweeps.HALVING[0])))
    spec = SweepSpec(
        preset=preset, given=changes, settings=settings, trials=trials, halving=halving, corpus=corpus.to_record(),
        model_from=model,
    )  # fmt: skip
    sweeps.check_trials(spec, corpus)
    return spec


def _result(found: Sweep, results: Sequence[Trial], now: Standing) -> SweepResult:
    """The runs of a sweep that is over and has a best one."""
    spec, best, own = found.spec, now.left[0], presets().get(found.spec.preset)
    changes = {**dict(own.changes if own else ()), **spec.given, **spec.trials[best]}
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", spec.name)[:40].strip("-") or "mine"
    return {
        "name": spec.name,
        "path": str(found.path),
        "runs": [
            {
                "name": run.name,
                "path": str(run.path),
                "settings": settings,
                "state": run.status().state,
                "step": trial.step,
                "best_loss": trial.best if math.isfinite(trial.best) else None,
            }
            for run, settings, trial in zip(found.runs(), spec.trials, results, strict=True)
        ],
        "best": found.run(best).name,
        "preset": preset_table(name, (own.base if own else "") or spec.preset, changes),
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
        state = f"running {trial.share:.0%}" if number == current else trial.state(number in now.left)
        loss = f"{trial.best:.4f}" if math.isfinite(trial.best) else "–"
        mark = ("›" if number == current else " ") + ("★" if best else " ")
        rows.append([mark, str(number + 1), *values, state, f"{trial.step:,}", loss])
    titles = ["", "RUN", *spec.varied, "STATE", "STEPS", "BEST LOSS"]
    return table(titles, rows, right=("RUN", *spec.varied, "STEPS", "BEST LOSS"))


class SweepView:
    """Shows a sweep on stderr: a table that is drawn again, or a line for each run where that cannot be."""

    def __init__(self, spec: SweepSpec, *, enabled: bool, plain: bool) -> None:
        self._spec, self._enabled = spec, enabled
        self._draws = enabled and not plain and sys.stderr.isatty()
        self._number, self._next, self._drawn = -1, 0.0, 0
        self._began: tuple[float, float] | None = None

    def show(self, number: int, results: Sequence[Trial]) -> None:
        """Show that the run ``number`` trains."""
        spec, time_now, is_new = self._spec, time.monotonic(), number != self._number
        if not self._enabled or not (is_new or (self._draws and time_now >= self._next)):
            return
        self._next, self._number = time_now + REDRAW, number
        if not self._draws:
            values = ", ".join(f"{name}={write_setting(name, value)}" for name, value in spec.trials[number].items())
            print_note(f"run {number + 1} of {len(results)} ({values}), from step {results[number].step:,}")
            return
        now = sweeps.standing(results, spec.shares)
        head, *rows = sweep_lines(spec, results, now, number)
        most = max(3, shutil.get_terminal_size().lines - 4)
        first = min(max(0, number - most // 2), max(0, len(rows) - most))
        shown = [head, *rows[first : first + most], "", self._footer(results, now, time_now)]
        self.clear()
        click.echo("\n".join(truncate(visible(line, keep=""), terminal_width() - 1) for line in shown), err=True)
        self._drawn = len(shown)

    def clear(self) -> None:
        """Remove the table."""
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}A\x1b[J", nl=False, err=True)
            self._drawn = 0

    def _footer(self, results: Sequence[Trial], now: Standing, time_now: float) -> str:
        done = sum(trial.share for trial in results) / sweeps.cost(len(results), self._spec.shares)
        self._began = began, before = self._began or (time_now, done)
        left = f" · about {duration((time_now - began) * (1 - done) / (done - before))} left" if done > before else ""
        until = f"1/{round(1 / now.until)} of their steps" if now.until < 1 else "their end"
        return f"{len(now.left)} of {plural(len(results), 'run')} to {until} · {done:.0%}{left} · Ctrl-C stops"
