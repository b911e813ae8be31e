"""The command ``sweep``: train with several settings, and find the best."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import click

from charlstm.cli import options, output
from charlstm.cli.runs import continue_queue
from charlstm.cli.training import settings_from_options, train, usual_options
from charlstm.display import shell_command, table
from charlstm.errors import RunError, SettingsError
from charlstm.runs import sweep as sweeps
from charlstm.runs.comparison import setting_chart
from charlstm.runs.folder import RunFolder
from charlstm.runs.models import DEMO, demo_path
from charlstm.runs.notes import sweep_runs
from charlstm.runs.start_models import NOTHING, find_start, preset_from, starts_from_model
from charlstm.runs.status import RunStatus
from charlstm.runs.sweep import Cell, Trials
from charlstm.runs.table import best_words, state_words
from charlstm.runs.text import open_text
from charlstm.setting_fields import option_words
from charlstm.svg import stacked
from charlstm.training.presets import base_of, differences, preset_table
from charlstm.training.settings import KERNELS, LENGTH, OWN_NETWORK, setting_names, write_setting

if TYPE_CHECKING:
    from charlstm.cli.training_view import Limits
    from charlstm.runs.launch import NewRun


@dataclass(frozen=True, slots=True)
class _Trial:
    """A run of a sweep, with the settings that the runs vary."""

    JSON_FIELDS: ClassVar = ("run.name", "run.path", "settings", "status.state", "status.step", "status.loss")

    run: RunFolder
    settings: dict[str, Any]
    status: RunStatus


class SweepResult(TypedDict):
    """From ``sweep``.

    Attributes:
        best: the best run of the cell with the lowest mean; None before a run has finished.
        preset: its settings as a preset of your own, lines for the configuration; None before a run has finished.
    """

    name: str
    runs: list[_Trial]
    cells: list[Cell]
    best: str | None
    preset: str | None


@click.command(
    params=[each for each in train.params if each.name not in ("like", "name", "detach", "plain")],
    epilog=options.examples(
        "charlstm sweep novel.txt --grid lr=1e-3,3e-3 --grid hidden_size=128,256 --minutes 20",
        "charlstm sweep novel.txt --random 16 --range lr=1e-4..1e-2 --range dropout=0..0.5 --max-steps 2000",
        "charlstm sweep --show novel-sweep-1 --out losses.svg",
    ),
)
@click.option("--grid", metavar="KEY=V1,V2", multiple=True, help="Values of a setting to try; may be repeated.")
@click.option(
    "--range",
    "ranges",
    metavar="KEY=A..B",
    multiple=True,
    help="With --random: draw a setting from A to B; repeatable.",
)
@options.integer_option("--random", "draws", minimum=2, maximum=999, help="Draw N combinations instead of trying all.")
@options.integer_option(
    "--seeds", minimum=2, maximum=99, help="Train each combination with N seeds; the best mean loss wins."
)
@options.number_option(
    "--minutes", minimum=0, help="Minutes for all runs together, instead of a limit for each of them."
)
@click.option("--name", metavar="NAME", callback=options.run_name, help="Name of the sweep.  [default: TEXT-sweep-N]")
@click.option("--show", "shown", metavar="NAME", help="Show the sweep NAME: its runs, and the best as a preset.")
@click.option("--out", metavar="FILE.svg", help="With --show: draw the losses by the value of each setting.")
def sweep(
    text: tuple[str, ...],
    grid: tuple[str, ...],
    ranges: tuple[str, ...],
    draws: int | None,
    seeds: int | None,
    minutes: float | None,
    shown: str | None,
    out: str | None,
    assignments: tuple[str, ...],
    start_word: str | None,
    **given: Any,
) -> None:
    """Put runs on TEXT with several settings into the queue, and find the best.

    --grid and --range take any setting that --set takes. A word KEY=V1,V2 after the TEXT counts as one of --grid. Each
    run trains to the limit of the preset, for its share of --minutes, or to limits such as --max-steps.

    The runs are NAME-1, NAME-2 and so on, and have the tag sweep:NAME. `queue list` says when they end; `queue remove`
    and `delete` take the name of a sweep.

    --show prints the settings of the best run that has finished as a preset, to be pasted into the configuration.

    With --json: the runs with settings and losses, the best one and its preset.
    """
    output.check_stdout(out=out)
    output.check_output_file(out, ".svg")
    if shown is not None:
        options.refuse_all_but("--show", "shown", "out", "as_json", "runs_dir")
        if not (runs := sweep_runs(shown, options.given_runs_dir())):
            raise RunError(f"There is no run of a sweep {shown}: `charlstm runs` lists the runs with their tags")
        continue_queue()
        _show(shown, runs, out)
        return
    if out is not None:
        raise click.UsageError("--out needs --show: there are no losses yet")
    words = [word for word in text if "=" in word and word.partition("=")[0].replace("-", "_") in setting_names()]
    changes = settings_from_options(assignments, {name: given[name] for name in given.keys() & setting_names()})
    fixed = changes.keys() | ({"val_fraction"} if given["val_files"] else set())
    if seeds is not None:
        fixed |= {"seed"}
    trials = _trials([*grid, *words], ranges, draws, fixed, seed := changes.get("seed", 0))
    if seeds is not None:
        trials = sweeps.with_seeds(trials, seed, seeds)
    if minutes is not None:
        if LENGTH & (changes.keys() | trials[0].keys()):
            raise click.UsageError("--minutes limits all runs together: leave out the limit of each run")
        assignments += ("epochs=none", "max_steps=none", f"max_minutes={minutes / len(trials):.3g}")
    if own := sorted(OWN_NETWORK & trials[0].keys()):
        if start_word not in (None, NOTHING):
            raise SettingsError(f"{own[0]} is that of the model of --from: leave {own[0]} out, or use --from none")
        start_word = NOTHING  # as for a run with a network of its own
    text = tuple(word for word in text if word not in words)
    begin = partial(_queue, trials)
    assert train.callback is not None
    fixed_options = {"like": None, "detach": False, "plain": False, "begin": begin, "start_word": start_word}
    train.callback(text=text, assignments=assignments, **fixed_options, **given)


def _trials(grid: Sequence[str], ranges: Sequence[str], draws: int | None, fixed: Collection[str], seed: int) -> Trials:
    """What each run varies. Raises :class:`SettingsError` or :class:`click.UsageError`."""
    values, drawn = sweeps.parse_grid(grid), sweeps.parse_ranges(ranges)
    if not values and not drawn:
        raise click.UsageError("Which settings are to be tried? For example --grid lr=1e-3,3e-3")
    if ranges and draws is None:
        raise click.UsageError("--range needs --random: say how many combinations to draw")
    if twice := sorted((values.keys() & drawn.keys()) | ((values.keys() | drawn.keys()) & {*fixed})):
        raise SettingsError(f"{twice[0]} is given twice: as what is tried, and in another way; leave one out")
    return sweeps.grid_trials(values) if draws is None else sweeps.random_trials(values, drawn, draws, seed)


def _queue(trials: Trials, new: NewRun, _: Limits) -> None:
    """Put the runs into the queue that are like the one which `train` would train."""
    runs = sweeps.queue_sweep(trials, new)
    name = runs[0].name.rpartition("-")[0]
    continue_queue()
    _show(name, runs)
    output.print_remark(f"They train in the background. The best: {shell_command('sweep', '--show', name)}")


def _show(name: str, runs: Sequence[RunFolder], out: str | None = None) -> None:
    """Print the runs of a sweep, and the best of those that have finished as a preset; draw their losses into the file
    ``out``."""
    read = [(run, run.spec().settings.to_dict()) for run in runs]
    varied = [each for each in setting_names() if len({repr(settings[each]) for _, settings in read}) > 1]
    found = [_Trial(run, {each: settings[each] for each in varied}, run.status()) for run, settings in read]
    losses = {each.run: each.status.loss for each in found if each.status.state == "finished"}
    cells = sweeps.cells_of([(each.settings, losses.get(each.run)) for each in found])
    best_cell = sweeps.best_of(cells)
    ended = [(each, loss) for each in found if (loss := losses.get(each.run)) is not None]
    among = [each for each in ended if best_cell and best_cell.settings.items() <= each[0].settings.items()]
    best = min(among, key=lambda each: each[1])[0].run if among else None
    preset, again = ("", "") if best is None else _preset(best)
    result: SweepResult = {
        "name": name,
        "runs": found,
        "cells": cells,
        "best": None if best is None else best.name,
        "preset": preset or None,
    }
    rows = []
    for each in found:
        values = [write_setting(name, value) for name, value in each.settings.items()]
        star, status = "★" if each.run is best else "", each.status
        rows.append((star, each.run.name, *values, state_words(status), f"{status.step:,}", best_words(status)))
    lines = table(("", "RUN", *varied, "STATE", "STEPS", "BEST LOSS"), rows, right=(*varied, "STEPS", "BEST LOSS"))
    if "seed" in varied:
        titles = (*cells[0].settings, "FINISHED", "MEAN LOSS", "RANGE")
        rows = [("★" if cell is best_cell else "", *_cell_words(cell)) for cell in cells]
        lines += ["", *table(("", *titles), rows, right=titles)]
    if out is not None:
        points = [(each.settings, loss) for each, loss in ended]
        charts = (setting_chart(setting, points) for setting in cells[0].settings or varied)
        chart = stacked([each for each in charts if each])
        if not chart:
            raise RunError(f"No setting has two values with a loss of a finished run, so {out} was not drawn")
        output.write_text(out, chart)
    if out != "-":
        output.print_result(result, "\n".join([*lines, *(["", preset] if preset else [])]))
    if best is not None:
        output.print_remark(
            f"The best is {best.name}. Pasted into the configuration, these lines are a preset; {again}"
        )
        output.print_remark(f"Next: {shell_command('generate', best.name)}")


def _cell_words(cell: Cell) -> tuple[str, ...]:
    losses = cell.losses
    figures = (f"{cell.mean:.4f}", f"{min(losses):.4f} to {max(losses):.4f}") if losses else ("", "")
    settings = (write_setting(*pair) for pair in cell.settings.items())
    return (*settings, f"{len(losses)} of {cell.runs}", *figures)


def _preset(run: RunFolder) -> tuple[str, str]:
    """The settings of ``run`` as a preset, and with which command it trains the same run again."""
    spec, corpus = run.spec(), open_text(run)
    model = "" if spec.lineage is None else str(spec.lineage.get("from", ""))
    if model == str(demo_path()):
        model = DEMO
    start = find_start(model, corpus, spec.settings) if model == DEMO or os.path.isfile(model) else None
    base = base_of(spec.preset)
    usual = preset_from(start, base, corpus.text_chars, len(corpus.vocabulary))
    changes = differences(usual, spec.settings)
    if start is None and starts_from_model(None, base, changes):
        changes["hidden_size"] = spec.settings.hidden_size  # else it would start from the model in the box
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", run.name)[-40:].strip("-")
    words = ["train", *corpus.sources, "--preset", name, *(["--from", model] if model else [])]
    kernel = (spec.plan or {}).get("kernel", "")
    if kernel in KERNELS and kernel != spec.settings.kernel:  # measured, and another one has other last digits
        words += ["--kernel", kernel]
    words += option_words(corpus.options, usual_options(base))
    words += [word for source in spec.validation_sources for word in ("--val-file", source)]
    return preset_table(name, base, changes), f"the same run again: {shell_command(*words)}"
