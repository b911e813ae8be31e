"""The commands ``influence`` and ``context``: what of the text before it a model uses for a character."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import click
import numpy as np

from charlstm.cli.generate import unescaped
from charlstm.cli.json_schemas import ContextRow, InfluenceRow, RankedPlaceRow
from charlstm.cli.options import (
    MODEL_HELP,
    ModelAndText,
    examples,
    integer_option,
    model_and_text_options,
    model_argument,
    optional_text_argument,
    refuse_unused,
    text_argument,
)
from charlstm.cli.output import paragraph, print_result, result_of
from charlstm.display import percent, plural, quoted, table, visible
from charlstm.errors import GenerationError
from charlstm.generation.prime import prepare_prime
from charlstm.generation.stepper import Stepper
from charlstm.insight.activations import WARM_UP
from charlstm.insight.context import ENOUGH
from charlstm.insight.context import context as measure_context
from charlstm.insight.influence import Influence
from charlstm.insight.influence import influence as measure_influence
from charlstm.insight.sample import TEXT_CHARS, step_words
from charlstm.line import TerminalLine, terminal_width
from charlstm.model.file import Model
from charlstm.runs.models import evenly_chosen
from charlstm.runs.own_text import text_for_context

MOST_BACK = 2_000
"""Characters that --back hides, at most. Their time grows with the square: these take two minutes at 2 × 256."""

MOST_PLACES = 100_000
"""Places that --places measures, at most: they take 500 MB."""

FAR = 10
"""Characters beyond which an earlier one counts as far away."""

RANKED = 40
"""Places of a string that are explained for their ranking, at most: each takes some 0.3 s at 2 × 512."""

SHOWN_PLACES = 10
"""Of these, so many are shown."""

NORMAL_95 = 1.96
"""Standard errors within which 95 % of normally distributed figures are."""

LEAST_CHANGE = 0.0005
"""A smaller change of the loss is 0.000 nats where it is shown, and not called important."""

SHOWN = 0.02
"""Influences below this part of the strongest are not shown."""


find_option = click.option(
    "--find",
    metavar="STRING",
    help="Explain the last character of STRING, where it stands last in TEXT; \\n is a newline.",
)


@click.command(
    epilog=examples(
        "charlstm influence RUN letter.txt --at 120",
        "charlstm influence RUN novel.txt --find ',\"'",
        "charlstm influence RUN novel.txt --find ',\"' --rank",
        "echo 'She said, “no”' | charlstm influence RUN -",
        about=MODEL_HELP,
    )
)
@model_argument
@text_argument
@integer_option("--at", minimum=1, help="Position of the character to explain, counted from 0.  [default: the last]")
@find_option
@click.option(
    "--rank",
    is_flag=True,
    help=f"List the places of --find where a character more than {FAR} before it counts most.",
)
@integer_option(
    "--back", minimum=1, maximum=MOST_BACK, default=100, help="How many characters before it to hide in turn."
)
@model_and_text_options
def influence(given: ModelAndText, at: int | None, find: str | None, rank: bool, back: int) -> None:
    """Show which earlier characters of TEXT make MODEL expect, or not expect, one character.

    Each earlier character is hidden in turn. A positive change means that hiding it makes the character less likely:
    the model used it.

    With --json: a list with position, char and change (nats of the explained character); with --rank a list of places
    with position, loss, nats (the same), back, char and change.
    """
    if at is not None and find is not None:
        raise click.UsageError("Give --at or --find, not both")
    if rank and back <= FAR:
        raise click.UsageError(f"--rank looks at characters more than {FAR} before: give --back of more")
    if rank and find is None:
        raise click.UsageError("--rank needs --find: it ranks the places of a string")
    loaded = given.open_model()
    content, source = given.start_of_text(loaded)
    read = prepare_prime(loaded, content.rstrip("\n"), empty_is_fine=True).text
    places = [] if find is None else places_of(read, find, loaded, source)
    stepper = Stepper(loaded)
    if rank:
        chosen = evenly_chosen(places, RANKED)
        with TerminalLine() as bar:
            progress = bar.stage("explaining")
            found = []
            for done, place in enumerate(chosen):
                progress(done, len(chosen))
                found.append(_influence_at(loaded, stepper, read, place, back))
        _print_ranked(found, read, len(places))
        return
    position = places[-1] if places else len(read) - 1 if at is None else at
    with TerminalLine() as bar:
        shown = _influence_at(loaded, stepper, read, position, back, bar.stage("explaining"))
    rows: list[InfluenceRow] = [
        {"position": shown.start + n, "char": read[shown.start + n], "change": float(change)}
        for n, change in enumerate(shown.changes)
    ]
    print_result(rows, "\n".join(_influence_lines(shown, read, places)))


@click.command(
    epilog=examples(
        "charlstm context RUN",
        "charlstm context RUN novel.txt",
        "charlstm context RUN novel.txt --at 5000",
        about=MODEL_HELP,
    )
)
@model_argument
@optional_text_argument
@integer_option("--at", minimum=1, help="Measure for the character at this position alone, counted from 0.")
@integer_option(
    "--places",
    minimum=1,
    maximum=MOST_PLACES,
    default=200,
    help="How many characters of TEXT to predict for each figure.",
)
@model_and_text_options
def context(given: ModelAndText, at: int | None, places: int) -> None:
    """Measure how many characters of context MODEL uses on TEXT.

    The loss is measured with only the last characters, and with those of the longest context in random order before
    them, at evenly spaced places of TEXT. Without TEXT, a run is measured on its own held-out part, or, where that is
    too short, on its text. --at may name any position of either. The margin of error comes from drawing these places
    again with repetition.

    With --json: a list with context (characters kept), loss, shuffled (the loss with others in random order before
    them), error (standard error of the loss minus that of the longest context) and enough (the share of draws of the
    places in which the model used so many characters or fewer).
    """
    if at is not None:
        refuse_unused("--at", "places")
    loaded = given.open_model()
    usual = None if at is not None else TEXT_CHARS  # a position may lie anywhere in the text
    content, source = given.own_or_start_of_text(loaded, text_for_context, usual)
    with TerminalLine() as bar:
        found = measure_context(loaded, content, at=at, places=places, progress=bar.stage("measuring"))
    none = [None] * len(found.lengths)
    figures = (found.lengths, found.losses, found.shuffled, found.errors or none, found.enough or none)
    rows = [
        ContextRow(context=length, loss=loss, shuffled=shuffled, error=error, enough=enough)
        for length, loss, shuffled, error, enough in zip(*figures, strict=True)
    ]
    titles = ["characters kept", "loss", "±", "others shuffled"]
    shown = [
        [
            f"{row['context']}",
            f"{row['loss']:.4f}",
            "" if row["error"] is None else f"{NORMAL_95 * row['error']:.4f}",
            f"{row['shuffled']:.4f}",
        ]
        for row in rows
    ]
    of = f"{found.places:,} evenly spaced characters" if found.places > 1 else "one character"
    model_words = f", in the model {step_words(found.step)}" if found.step is not None else ""
    about = f"It uses {found.used_words}: more change the loss by less than {ENOUGH} nats. Loss in nats per character, "
    about += f"over {of} of {source}{model_words}."
    if found.errors:
        about += " ±: the 95 % margin of the difference to the loss with the longest context."
    print_result(rows, "\n".join([*table(titles, shown, right=titles), *paragraph(about)]))


def places_of(text: str, find: str, model: Model, source: str) -> list[int]:
    """The positions of the last character of what --find names, wherever it stands in ``text``."""
    string = model.text_options.apply(unescaped(find))
    last = len(string) - 1
    found = [match.start() + last for match in re.finditer(f"(?={re.escape(string)})", text)] if string else []
    found = [place for place in found if place > 0]  # the first character of a text is not predicted
    if not found:
        raise GenerationError(f"“{visible(string, keep='')}” does not stand in {source}")
    return found


def _influence_at(
    model: Model,
    stepper: Stepper,
    text: str,
    position: int,
    back: int,
    progress: Callable[[int, int], None] | None = None,
) -> Influence:
    """The influence at a position of a long text, of which only the characters that count are read."""
    start = max(0, position - back - WARM_UP) if position < len(text) else 0
    found = measure_influence(
        model, text[start : position + 1], position - start, back=back, stepper=stepper, progress=progress
    )
    return replace(found, position=position, start=start + found.start)


def _influence_lines(found: Influence, text: str, places: Sequence[int]) -> list[str]:
    lines = [
        f"{quoted(found.char)} at position {found.position:,}, after “{before(text, found.position)}”",
        f"has a probability of {_probability(found.nats)}: a loss of {found.nats:.3f} nats.",
    ]
    if len(places) > 1:
        lines.append(f"The string stands at {len(places):,} places; this is the last; --rank lists others.")
    strongest = found.strongest
    if strongest is None:
        return lines
    half = max(5, min(20, (terminal_width() - 43) // 2))
    heads = f"{'against it':>{half}}│for it"
    lines += ["", "Without a character:", f"{'position':>9}  char  {'loss':>7}  probability  {heads}"]
    largest = float(abs(found.changes).max())
    shown = 0
    for n, change in enumerate(found.changes.tolist()):
        if abs(change) >= SHOWN * largest:
            shown += 1
            bar = "█" * max(1, round(half * abs(change) / largest))
            bar = f"{'':>{half}}│{bar}" if change > 0 else f"{bar:>{half}}│"
            char, without = quoted(text[found.start + n]), _probability(found.nats + change)
            lines.append(f"{found.start + n:>9,}  {char:<4}  {change:+7.3f}  {without:>11}  {bar}")
    change = found.changes[strongest - found.start]
    lines += paragraph(
        f"The most important is {quoted(text[strongest])}, {plural(found.position - strongest, 'character')} before: "
        f"without it the probability would {'fall' if change > 0 else 'rise'} from {_probability(found.nats)} to "
        f"{_probability(found.nats + float(change))} (loss {change:+.3f} nats)."
        if abs(change) >= LEAST_CHANGE
        else "None of the hidden characters matters alone: without any of them the loss stays the same to 0.001 nats."
    )
    if left := len(found.changes) - shown:
        lines.append(f"{plural(left, 'row')} below {SHOWN * largest:.3f} nats left out.")
    if found.start:
        lines.append(f"Hidden back to position {found.start:,}; --back N goes further.")
    return lines


def _print_ranked(found: list[Influence], text: str, count: int) -> None:
    """The places, first the one where a character more than :data:`FAR` before counts most."""
    far = [(each, int(np.argmax(each.changes[:-FAR]))) for each in found if len(each.changes) > FAR]
    far.sort(key=lambda pair: -float(pair[0].changes[pair[1]]))
    rows = [
        result_of(
            RankedPlaceRow,
            each,
            nats=each.loss,
            back=each.position - each.start - n,
            char=text[each.start + n],
            change=float(each.changes[n]),
        )
        for each, n in far
    ]
    width = max(10, terminal_width() - 49)
    shown = [
        [
            f"{row['position']}",
            percent(math.exp(-row["nats"]), 0),
            quoted(row["char"]),
            f"{row['back']}",
            f"{row['change']:+.3f}",
            before(text, row["position"] + 1, width),
        ]
        for row in rows[:SHOWN_PLACES]
    ]
    titles = ["position", "probability", "char", "back", "change", "text"]
    lines = table(titles, shown, right=titles[:2] + titles[3:5])
    of = f"{len(found):,} of {count:,} places, evenly chosen" if len(found) < count else plural(count, "place")
    lines += paragraph(
        f"Of {of}, those where a single character more than {FAR} before raises the probability most. back: how far "
        "before; change: how much the loss rises without it, in nats. --at explains one."
    )
    print_result(rows, "\n".join(lines))


def before(text: str, position: int, count: int = 40) -> str:
    """The characters before a position, on one line."""
    return visible(text[max(0, position - count) : position], keep="")


def _probability(nats: float) -> str:
    """The probability of a loss, in percent."""
    return percent(math.exp(-nats), 1)
