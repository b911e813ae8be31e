"""The command ``cells``: which cells of a model follow features of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from charlstm.cli import options, output
from charlstm.display import cell_name, shell_command, table
from charlstm.insight.cells import (
    FEWEST_BLOCKS,
    FEWEST_SPANS,
    SEGMENTS,
    NamedCell,
    name_cells,
    sample_cells,
)
from charlstm.insight.features import Feature, compile_pattern, pattern_feature, with_own
from charlstm.insight.sample import READ_CHARS, TEXT_CHARS, step_words
from charlstm.line import TerminalLine

MARKS = {"no better than chance": "chance", "too few to tell": "too few"}
"""How the verdict on a cell that follows nothing stands beside its score."""


@click.command(
    epilog=options.examples(
        "charlstm cells RUN",
        "charlstm cells RUN novel.txt",
        r"charlstm cells RUN novel.txt --feature 'question=[^.?!]*\?'",
        about=options.MODEL_HELP,
    )
)
@options.model_argument
@options.optional_text_argument
@click.option(
    "--feature",
    "patterns",
    multiple=True,
    metavar="NAME=REGEX",
    help="Another feature, true where REGEX matches (^ and $ match at each line); may be repeated.",
)
@options.integer_option("--per-feature", minimum=1, default=1, help="How many cells to name for each feature.")
@options.model_and_text_options
def cells(given: options.ModelAndText, patterns: tuple[str, ...], per_feature: int) -> None:
    """Find the cells of MODEL that follow features of TEXT, such as being inside quotes.

    50,000 characters are read, in blocks from all over TEXT (--max-chars changes how many). Cells are chosen on every
    second block and scored on the others, at up to 10,000 characters of each half. Without TEXT, a run is measured on
    its own held-out part, or, where that is too short, on the beginning of its text. auc: 0.5 is guessing and 1
    perfect, 0 perfect the other way round, which is printed as 1.00, low; r: Pearson's correlation. ± is two standard
    errors. chance is what the best cell reaches for copies of the feature that are shifted along the text, which no
    cell follows. Fewer than 20 spans of the feature are too few to tell.

    With --json: a list with feature, cell [layer, index] (counted from 1), kind (auc or r), score, margin (its ±),
    spans, chance, verdict, low and high (the cell's range), where_true and where_false (its mean), chars, places and
    step (on what and in which model it was found).
    """
    named_patterns = [named_pattern(pattern) for pattern in patterns]
    if len({name for name, _ in named_patterns}) < len(named_patterns):
        raise click.UsageError("Two --feature have the same name: give each one of its own")
    loaded = given.open_model()
    spread = replace(given, max_chars=TEXT_CHARS)  # --max-chars is how many are read, from all over this
    source = spread.own_or_start_of_text(loaded)

    def features(read: str) -> Sequence[Feature]:
        return with_own([pattern_feature(name, regex, read) for name, regex in named_patterns], read)

    count = given.max_chars or READ_CHARS
    with TerminalLine() as bar:
        sample = sample_cells(loaded, source.text, features, max_chars=count, progress=bar.stage("reading the text"))
    found = name_cells(sample, per_feature=per_feature)
    output.print_result(found, "\n".join(_cell_lines(found, source.words, given.model)))


def named_pattern(text: str) -> tuple[str, str]:
    """Name and regular expression of a feature, which are checked."""
    name, sign, regex = text.partition("=")
    if not (name and sign and regex):
        raise click.UsageError(f"{text!r} is not a feature: write NAME=REGEX, such as question=[^.?!]*[?]")
    with options.usage_errors():
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
        *output.paragraph(
            f"{_sample_words(best, source)} Score: the AUC (0.50 guessing, 1.00 perfect) and whether the cell is high "
            "or low where the feature is true; r: Pearson's correlation; ±: two standard errors. Chance: what the best "
            "of all cells reaches for shifted copies of the feature; (chance) stands where no cell is better by more "
            f"than ±. Spans: how often the feature was true where it was scored; below {FEWEST_SPANS}, or in fewer "
            f"than {FEWEST_BLOCKS} of {SEGMENTS} parts of the text (too few), nothing can be told. Range: the cell's "
            "states, from the 1st to the 99th percentile. To hold the first "
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
