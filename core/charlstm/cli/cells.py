"""The command ``cells``: which cells of a model follow features of a text."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import click

from charlstm.cli.json_schemas import CellScoreRow, CellStateRow, NamedCellRow, ProbeCellRow
from charlstm.cli.options import (
    MODEL_HELP,
    ModelAndText,
    examples,
    given_runs_dir,
    integer_option,
    model_and_text_options,
    model_argument,
    models_of_run,
    optional_text_argument,
    refuse_unused,
    usage_errors,
)
from charlstm.cli.output import paragraph, print_result, result_of, wants_json
from charlstm.display import cell_name, shell_command, table, visible
from charlstm.errors import GenerationError
from charlstm.insight.activations import activations
from charlstm.insight.cells import (
    FEWEST_SPANS,
    LEVEL_LIMITS,
    NamedCell,
    Probe,
    levels,
    mean_and_deviation,
    name_cells,
    probe,
    sample_cells,
    score_in_models,
)
from charlstm.insight.features import Feature, compile_pattern, pattern_feature, with_own
from charlstm.insight.sample import READ_CHARS, TEXT_CHARS, step_words
from charlstm.line import TerminalLine, terminal_width
from charlstm.model.file import Model
from charlstm.runs.models import evenly_chosen, find_model
from charlstm.runs.own_text import text_for_cells

COLOURED_CHARS = 1_500
"""Characters that --show colours, unless --max-chars says otherwise."""

PROBE_CELLS = 8
"""Cells of a probe that are shown."""

MARKS = {"no better than chance": "chance", "too few to tell": "too few"}
"""How the verdict on a cell that follows nothing stands beside its score."""

LEVEL_STYLES: tuple[dict[str, Any], ...] = (
    {"fg": "blue", "bold": True, "italic": True},
    {"fg": "blue", "italic": True},
    {},
    {"fg": "yellow", "underline": True},
    {"fg": "yellow", "bold": True, "underline": True},
)
"""How a character looks whose cell is far below, below, about, above or far above its mean: blue and italic is low,
yellow and underlined is high, as in the app."""

LEVEL_MARKS = ("=", "-", " ", "+", "#")
"""The same as a mark under the character, where there are neither colours nor italics."""


@click.command(
    epilog=examples(
        "charlstm cells RUN",
        "charlstm cells RUN novel.txt",
        r"charlstm cells RUN novel.txt --feature 'question=[^.?!]*\?'",
        "charlstm cells RUN novel.txt --probe 'inside quotes'",
        "charlstm cells RUN novel.txt --snapshots",
        "charlstm cells RUN novel.txt --show 2:187",
        about=MODEL_HELP,
    )
)
@model_argument
@optional_text_argument
@click.option(
    "--feature",
    "patterns",
    multiple=True,
    metavar="NAME=REGEX",
    help="Another feature, true where REGEX matches (^ and $ match at each line); may be repeated.",
)
@integer_option("--per-feature", minimum=1, default=1, help="How many cells to name for each feature.")
@click.option(
    "--probe",
    "probed",
    metavar="FEATURE",
    help="Show which cells together follow a yes/no feature, such as 'inside quotes', or one of --feature.",
)
@click.option(
    "--snapshots", "through_snapshots", is_flag=True, help="Show how well these cells did at each snapshot of the run."
)
@click.option("--show", "shown", metavar="L:C", help="Show the beginning of TEXT, coloured by cell C of layer L.")
@model_and_text_options
def cells(
    given: ModelAndText,
    patterns: tuple[str, ...],
    per_feature: int,
    probed: str | None,
    through_snapshots: bool,
    shown: str | None,
) -> None:
    """Find the cells of MODEL that follow features of TEXT, such as being inside quotes.

    50,000 characters are read, in blocks from all over TEXT (--max-chars changes how many). Cells are chosen on every
    second block and scored on the others, at up to 10,000 characters of each half. Without TEXT, a run is measured on
    its own held-out part, or, where that is too short, on the beginning of its text. auc: 0.5 is guessing and 1
    perfect, 0 perfect the other way round, which is printed as 1.00, low; r: Pearson's correlation. ± is two standard
    errors. chance is what the best cell reaches for copies of the feature that are shifted along the text, which no
    cell follows. A score that rests on fewer than 20 spans of the feature is too few to tell.

    With --json: a list with feature, cell [layer, index] (counted from 1), kind (auc or r), score, margin (its ±),
    spans, chance, verdict, low and high (the cell's range), where_true and where_false (its mean), chars, places and
    step (on what and in which model it was found); with --snapshots of feature, cell, kind, step, score, chance and
    named_at; with --show of char and state; with --probe of cell and weight.
    """
    if shown is not None:
        refuse_unused("--show", "patterns", "per_feature", "probed", "through_snapshots")
    elif probed is not None:
        refuse_unused("--probe", "per_feature", "through_snapshots")
    elif through_snapshots:
        refuse_unused("--snapshots", "snapshot")
    models = models_of_run(given.model) if through_snapshots else []
    named_patterns = [named_pattern(pattern) for pattern in patterns]
    if len({name for name, _ in named_patterns}) < len(named_patterns):
        raise click.UsageError("Two --feature have the same name: give each one of its own")
    loaded = given.open_model()
    if shown is not None:
        content, source = given.own_or_start_of_text(loaded, text_for_cells, COLOURED_CHARS)
        _print_coloured(loaded, content, parse_cell(shown, loaded))
        return
    spread = replace(given, max_chars=TEXT_CHARS)  # --max-chars is how many are read, from all over this
    content, source = spread.own_or_start_of_text(loaded, text_for_cells)

    def features(read: str) -> Sequence[Feature]:
        return with_own([pattern_feature(name, regex, read) for name, regex in named_patterns], read)

    count = given.max_chars or READ_CHARS
    with TerminalLine() as bar:
        sample = sample_cells(loaded, content, features, max_chars=count, progress=bar.stage("reading the text"))
    if probed is not None:
        one = name_cells(sample.only(probed))[0]
        _print_probe(probe(sample, probed), one, source)
        return
    found = name_cells(sample, per_feature=per_feature)
    if models:
        best = find_model(given.model, given_runs_dir())
        earlier = [each for each in models if each[1] != best]
        with TerminalLine() as bar:

            def report(step: int, done: int, total: int) -> None:
                bar.stage(f"step {step:,}")(done, total)

            scores = dict(score_in_models(earlier, found, content, features, max_chars=count, progress=report))
        # While a run trains, its best model may be a later one by now: the cells were named in the one that was read.
        listed = next((step for step, path in models if path == best), models[-1][0])
        named_at = listed if sample.step is None else sample.step
        scores[named_at] = [each.score for each in found]
        _print_scores(found, dict(sorted(scores.items())), named_at, source)
        return
    rows = [result_of(NamedCellRow, each) for each in found]
    print_result(rows, "\n".join(_cell_lines(found, source, given.model)))


def parse_cell(text: str, model: Model) -> tuple[int, int]:
    """Layer and cell of ``2:187``."""
    numbers = re.fullmatch(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", text)
    config = model.config
    if numbers is None:
        raise click.UsageError(f"{text!r} is not a cell: write LAYER:CELL, such as 1:7")
    layer, cell = int(numbers[1]), int(numbers[2])
    if not (1 <= layer <= config.num_layers and 1 <= cell <= config.hidden_size):
        size = f"{config.num_layers} × {config.hidden_size}"
        raise GenerationError(f"The model has no cell {layer}:{cell}: it has {size}, from 1:1")
    return layer, cell


def named_pattern(text: str) -> tuple[str, str]:
    """Name and regular expression of a feature, which are checked."""
    name, sign, regex = text.partition("=")
    if not (name and sign and regex):
        raise click.UsageError(f"{text!r} is not a feature: write NAME=REGEX, such as question=[^.?!]*[?]")
    with usage_errors():
        compile_pattern(name, regex)
    return name, regex


def _cell_lines(found: list[NamedCell], source: str, model: str) -> list[str]:
    if not found:
        return ["The text has no feature that is frequent in both of its halves: give a longer one."]
    rows = [
        [
            each.feature,
            cell_name(each.cell),
            each.score_words if each.above_chance else f"{each.score_words.split(',')[0]} ({MARKS[each.verdict]})",
            f"{each.chance:.2f}",
            f"{each.spans:,}",
            f"{each.low:.1f} to {each.high:.1f}".replace("-0.0", "0.0"),
        ]
        for each in found
    ]
    titles = ["feature", "cell", "score, where true", "chance", "spans", "range"]
    best = found[0]
    clamp = f"{cell_name(best.cell)}={best.end_of_range:g}"
    return [
        *table(titles, rows, right=titles[1:]),
        "",
        *paragraph(
            f"{_sample_words(best, source)} Score: the AUC (0.50 guessing, 1.00 perfect) and whether the cell is high "
            "or low where the feature is true; r: Pearson's correlation; ±: two standard errors. Chance: what the best "
            "of all cells reaches for shifted copies of the feature; (chance) stands where no cell is better by more "
            f"than ±. Spans: how often the feature was true where it was scored; below {FEWEST_SPANS} (too few) "
            "nothing can be told. Range: the cell's states, from the 1st to the 99th percentile. To hold the first "
            "cell at the end of it:"
        ),
        f"  {shell_command('generate', model, '--clamp', clamp)}",
    ]


def _sample_words(named: NamedCell, source: str) -> str:
    """On what and in which model a cell was found: another text or step may name another one."""
    model = f" Model {step_words(named.step)}." if named.step is not None else ""
    return (
        f"{named.chars:,} characters from all over {source}: chosen on every second block of them, and scored on the "
        f"others, at {named.places_words} characters of each half.{model}"
    )


def _print_scores(found: list[NamedCell], scores: dict[int, list[float]], named_at: int, source: str) -> None:
    rows = [
        result_of(CellScoreRow, each, step=step, score=at_step[n], named_at=named_at)
        for n, each in enumerate(found)
        for step, at_step in scores.items()
    ]
    within = [n for n, each in enumerate(found) if not any(each.better_than_chance(at[n]) for at in scores.values())]
    labels = [f"{each.feature} (chance)" if n in within else each.feature for n, each in enumerate(found)]
    width = 2 + max([len(f"{step:,}") for step in scores] + [len("-0.00")])
    space = terminal_width() - max(map(len, labels), default=0) - len("  1:1024  kind  chance")
    # A file or a pipe has no width: there all steps are printed.
    steps = list(scores)
    if sys.stdout.isatty():
        steps = evenly_chosen(steps, max(2, space // width), keep=named_at)
    left = len(scores) - len(steps)
    names = [f"{step:,}" for step in steps]
    lines = table(
        ["feature", "cell", "kind", "chance", *names],
        [
            [
                labels[n],
                cell_name(each.cell),
                each.kind,
                f"{each.chance:.2f}",
                *(f"{each.strength(scores[step][n]):.2f}" for step in steps),
            ]
            for n, each in enumerate(found)
        ],
        right=("cell", "chance", *names),
    )
    about = ["The text has no feature that is frequent in both of its halves: give a longer one."]
    if found:
        about = paragraph(
            f"Score after so many steps, of the cells that were named in the model at step {named_at:,}, on the half "
            f"of {found[0].chars:,} characters from all over {source} on which they were not chosen. Counted so that "
            "more is better also for a cell that is low: auc from 0.5 to 1, r from 0. ±: two standard errors. A score "
            "that is not above chance by more than that means nothing"
            + (", and (chance) stands where no step has a better one." if within else ".")
            + (
                f" {left} of {len(scores)} steps have no space here; in a file or a pipe all are printed."
                if left
                else ""
            )
        )
    print_result(rows, "\n".join([*about, *lines]))


def _print_probe(found: Probe, one: NamedCell, source: str) -> None:
    weights = found.weights.tolist()
    rows: list[ProbeCellRow] = [
        {"cell": list(cell), "weight": weight} for cell, weight in zip(found.cells, weights, strict=True)
    ]
    shown = [[cell_name(cell), f"{weight:+.3f}"] for cell, weight in zip(found.cells, weights, strict=True)]
    lines = table(["cell", "weight"], shown[:PROBE_CELLS], right=("cell", "weight")) if shown else []
    count = len(found.cells)
    first = f"these {PROBE_CELLS} {found.scores[PROBE_CELLS - 1]:.3f}; " if count > PROBE_CELLS else ""
    together = (
        f"{first}all {count} together {found.score:.3f} ±{found.margin:.3f}" if count else "no cells together do better"
    )
    lines += [
        f"“{found.feature}”, auc: cell {cell_name(one.cell)} alone {one.turned():.3f} ±{one.margin:.3f}; {together}",
        f"on {one.spans_words}",
        *paragraph(_sample_words(one, source)),
    ]
    print_result(rows, "\n".join(lines))


def _print_coloured(model: Model, text: str, cell: tuple[int, int]) -> None:
    """The text coloured by the states of one cell; where the output is no terminal, with a row of marks under it."""
    with TerminalLine() as bar:
        found = activations(model, text, progress=bar.stage("reading the text"))
    states = found.cells[:, cell[0] - 1, cell[1] - 1]
    rows: list[CellStateRow] = [
        {"char": char, "state": state} for char, state in zip(found.text, states.tolist(), strict=True)
    ]
    if sum(found.unknown.values()) == len(rows):
        raise GenerationError("The text has no characters that the model knows: give one in those it was trained on")
    if wants_json():
        print_result(rows)
        return
    coloured = sys.stdout.isatty()
    lines = []
    for line, at_line in _wrapped(found.text, levels(states).tolist(), min(80, terminal_width())):
        if coloured:
            lines.append(
                "".join(
                    click.style(visible(char), **LEVEL_STYLES[level]) for char, level in zip(line, at_line, strict=True)
                )
            )
        else:
            lines += [line, "".join(LEVEL_MARKS[level] for level in at_line).rstrip()] if line else [line]
    mean, deviation = mean_and_deviation(states)
    low, lower, higher, high = (mean + deviation * limit for limit in LEVEL_LIMITS)
    names = (f"below {low:.1f}", f"below {lower:.1f}", "between", f"above {higher:.1f}", f"above {high:.1f}")
    legend = "  ".join(
        click.style(name, **LEVEL_STYLES[level]) if coloured else f"{LEVEL_MARKS[level]} {name}"
        for level, name in enumerate(names)
    )
    lines += ["", f"The state of cell {cell_name(cell)} after each character:", legend]
    click.echo("\n".join(lines))


def _wrapped(text: str, levels: list[int], width: int) -> Iterator[tuple[str, list[int]]]:
    """The lines of a text, cut to a width, with the levels of their characters."""
    start = 0
    while start < len(text):
        end = text.find("\n", start, start + width + 1)  # after a line that is as wide
        stop = end if end >= 0 else min(len(text), start + width)
        if end < 0 and stop < len(text) and (blank := text.rfind(" ", start + 1, stop)) > 0:
            stop = blank + 1
        yield text[start:stop], levels[start:stop]
        start = stop + (end >= 0)
