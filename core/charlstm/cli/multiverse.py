"""The command ``multiverse``: everything that a model could write next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import zip_longest

import click
from rich.cells import set_cell_size

from charlstm.cli.influence import before
from charlstm.cli.json_schemas import MultiverseBranch, NextWordRow
from charlstm.cli.options import (
    MODEL_HELP,
    clamp_option,
    common_options,
    examples,
    integer_option,
    model_argument,
    number_option,
    open_model,
    refuse_unused,
    snapshot_option,
    usage_errors,
)
from charlstm.cli.output import as_read, paragraph, print_result, result_of
from charlstm.display import symbol, visible
from charlstm.generation.clamp import parse_clamp
from charlstm.generation.stepper import Stepper
from charlstm.insight.multiverse import ContinuationNode, next_words
from charlstm.insight.multiverse import multiverse as continuations
from charlstm.line import TerminalLine, terminal_width, truncate

MOST_DEPTH = 200
"""Characters of a continuation, at most: the JSON has two levels for each, and programs that read JSON take some
hundreds of levels."""

LEAST_CUTOFF = 5e-5
"""As in ``insight.multiverse.WIDEST``: one in 20,000."""

MOST_WORDS = 1_000
"""Words of --words, at most: these take 10 s at 2 × 256, and five times as many take nine times as long."""


@click.command(
    epilog=examples(
        "charlstm multiverse RUN --prime 'The ' --depth 8 --cutoff 0.02",
        "charlstm multiverse RUN --prime '\"I go,' --prime 'I go,'",
        "charlstm multiverse RUN --prime 'The ' --words 8",
        about=MODEL_HELP,
    )
)
@model_argument
@click.option(
    "--prime",
    "primes",
    metavar="STRING",
    multiple=True,
    help="The text that is continued; may be repeated, and the results stand side by side.",
)
@integer_option("--depth", minimum=1, maximum=MOST_DEPTH, default=20, help="Most characters of a continuation.")
@number_option("--cutoff", minimum=LEAST_CUTOFF, maximum=1, default=0.005, help="Least probability of a continuation.")
@integer_option("--words", minimum=1, maximum=MOST_WORDS, help="Show the N most likely next words instead.")
@clamp_option
@snapshot_option
@common_options
def multiverse(
    model: str,
    primes: tuple[str, ...],
    depth: int,
    cutoff: float,
    words: int | None,
    clamps: tuple[str, ...],
    snapshot: int | None,
) -> None:
    """Show everything that MODEL could write next: all continuations above a probability.

    Probabilities are the model's own, without a sampler, and joint ones: of all characters from the prime on. A line
    begins with the probability of everything up to its first character; where no other one could follow, it goes on,
    and ends with the probability of everything up to its last.

    With --json: a tree of char, probability (of the whole continuation) and children; with --words a list of word,
    probability and missed (by how much it may be too low). With several --prime a list of these.
    """
    if words is not None:
        refuse_unused("--words", "depth", "cutoff")
    loaded = open_model(model, snapshot)
    stepper = Stepper(loaded)
    with usage_errors():
        held = tuple(parse_clamp(clamp) for clamp in clamps)
    stepper.clamps = held
    results: list[MultiverseBranch | list[NextWordRow]] = []
    columns: list[list[str]] = []
    missed = 0.0
    for prime in primes or ("",):
        prime = as_read(loaded, prime)
        with TerminalLine() as bar:
            progress = bar.stage("computing")
            if words is not None:
                found = next_words(loaded, prime, count=words, stepper=stepper, check=partial(progress, 0, 0))
            else:
                root = continuations(loaded, prime, depth=depth, cutoff=cutoff, stepper=stepper, progress=progress)
        if words is not None:
            results.append([result_of(NextWordRow, each) for each in found])
            missed = max([missed, *(each.missed for each in found)])
            columns.append(
                [f"{each.probability:7.2%}  {visible(each.word, keep='') or '(the word ends)'}" for each in found]
            )
        else:
            results.append(_branch_result(root))
            columns.append(list(_tree_lines(root)) or ["No continuation is that likely."])
    about = "Joint probabilities: of all characters from the prime on, up to the first and the last one of a line."
    if words is not None:
        about = f"The probability of exactly this word, after any blanks. It is too low by at most {missed:.4%}."
    lines = columns[0] if len(primes) < 2 else _side_by_side(primes, columns)
    print_result(results[0] if len(primes) < 2 else results, "\n".join([*lines, "", *paragraph(about)]))


def _branch_result(branch: ContinuationNode) -> MultiverseBranch:
    return {
        "char": branch.char,
        "probability": branch.probability,
        "children": [_branch_result(child) for child in branch.children],
    }


def _tree_lines(branch: ContinuationNode, depth: int = 0) -> Iterator[str]:
    """The tree with a line for each place where it branches; characters without an alternative follow one another."""
    for child in branch.children:
        text, end = child.char, child
        while len(end.children) == 1:
            end = end.children[0]
            text += end.char
        shown = "".join(symbol(char) for char in text)
        whole = "" if end is child else f"  {end.probability:.2%}"
        yield f"{'  ' * depth}{child.probability:.2%}  {shown}{whole}"
        yield from _tree_lines(end, depth + 1)


def _side_by_side(primes: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """Each column under the end of its prime."""
    width = max(12, (terminal_width() - 2 * (len(primes) - 1)) // len(primes))
    heads = [f"after “{before(prime, len(prime), width - 8)}”" for prime in primes]
    rows = [heads, *zip_longest(*columns, fillvalue="")]
    return ["  ".join(set_cell_size(truncate(cell, width), width) for cell in row).rstrip() for row in rows]
