"""Write one self-contained web page about a feature of a text: the cell that follows it, when it was learnt, what
holding the cell does, and which characters matter at one place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.display import as_html, cell_name, percent, quoted, symbol, visible
from charlstm.generation.clamp import Clamp
from charlstm.generation.colouring import signed_style
from charlstm.generation.prime import prepare_prime
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from charlstm.insight.activations import WARM_UP, activations
from charlstm.insight.cells import NamedCell, name_cells, sample_cells, score_in_models
from charlstm.insight.features import Feature, text_features
from charlstm.insight.influence import BACK, Influence, influence
from charlstm.insight.multiverse import read_text
from charlstm.insight.page import facts_table, page
from charlstm.insight.report import (
    COLOURS,
    Floats,
    Progress,
    cell_facts,
    chosen_on,
    coloured_passage,
    continuations_section,
    passage_start,
    section,
    staged,
    words_section,
)
from charlstm.insight.sample import spread_blocks, step_words
from charlstm.svg import ChartCurve, line_chart

if TYPE_CHECKING:
    from charlstm.model.file import Model

HELD_CHARS = 10_000
"""Characters, in :data:`HELD_BLOCKS` blocks from all over the text, that are read with the cell held at each value."""

HELD_BLOCKS = 40

HELD_WARM_UP = 250
"""Characters before a block that are read with the cell held too."""

TELLS = 2
"""Standard errors beyond which holding a cell is said to change something."""

CONTROL_CHARS = 2_000
"""Characters from which the range of a cell is taken that is held for comparison."""

MOST_RARE = 0.05
"""A character that stands before a smaller share of a feature's ends is no sign of one."""

FEWEST_PLACES = 10
"""Places over which a mean says something."""

LIKELIEST = 6
"""Next characters whose probabilities are compared."""

AROUND = 300
"""Characters of a prime that is taken from the text."""

Doubles = npt.NDArray[np.float64]
Features = Callable[[str], Sequence[Feature]]


@dataclass(frozen=True, slots=True)
class _Hold:
    """A way to run the model: what it is called, and the cells that are held."""

    name: str
    clamps: tuple[Clamp, ...]


def feature_report(
    model: Model,
    text: str,
    name: str,
    *,
    title: str,
    facts: Sequence[tuple[str, str]] = (),
    features: Features = text_features,
    models: Sequence[tuple[int, Path]] = (),
    explained: str | None = None,
    primes: Sequence[str] = (),
    progress: Progress | None = None,
) -> str:
    """The page, as HTML.

    Args:
        text: the text on which the feature is explained.
        name: of the yes/no feature.
        title: of the page.
        facts: names and values for the table at its top.
        features: computes the features of a text, as for :func:`charlstm.insight.cells.sample_cells`.
        models: steps and files of the models of the run.
        explained: a text whose last character is explained; None is ``text`` up to where the feature ends first in the
            passage that is shown.
        primes: after these the next characters are compared; none: the text before the explained character.
        progress: called with what is computed, and ``(done, total)`` of it.

    Raises:
        GenerationError: the text is too short or does not have the feature.
    """
    stepper = Stepper(model)
    read = prepare_prime(model, text, empty_is_fine=True).text
    sample = sample_cells(model, read, features, stepper=stepper, progress=staged(progress, "naming the cell")).only(
        name
    )
    named = name_cells(sample)[0]
    values = next(each.values for each in features(read) if each.name == name)
    start = passage_start(read, values=values)
    explained = read[: _end_after(values, start) + 1] if explained is None else explained
    primes = primes or [explained[-AROUND:-1]]
    near, far = named.end_of_range, round(named.high if named.follows_low else named.low, 1)
    holds = [_Hold("free", ()), _hold(named, near), _hold(named, far)]
    sections = [
        facts_table(facts),
        words_section(),
        section(
            f"Which cell follows “{name}”?",
            f"Of all cells, cell {cell_name(named.cell)} follows it best: {cell_facts(named)}; its states range from "
            f"{named.low:.1f} to {named.high:.1f}. {chosen_on(named)} {COLOURS}",
            coloured_passage(model, read, start, named, values, stepper),
        ),
        _training(named, features, read, models, progress),
        _next_chars(model, primes, holds, _ending(read, values), stepper),
        _ends(model, read, name, values, [*holds, _control(model, named, read, stepper)], stepper),
        _why(model, explained, stepper),
        *(continuations_section(model, prime, stepper) for prime in primes),
    ]
    return page(title, "".join(each for each in sections if each))


def _hold(named: NamedCell, value: float) -> _Hold:
    return _Hold(f"{cell_name(named.cell)} held at {value:g}", (Clamp(*named.cell, value=value),))


def _control(model: Model, named: NamedCell, text: str, stepper: Stepper) -> _Hold:
    """Another cell of the same layer at an end of its own range: what holding any cell does."""
    layer, cell = named.cell[0], named.cell[1] % model.config.hidden_size + 1
    states = activations(model, text[:CONTROL_CHARS], stepper=stepper).cells[:, layer - 1, cell - 1]
    value = round(float(np.percentile(states, 1 if named.follows_low else 99)), 1)
    return _Hold(f"for comparison, {layer}:{cell} held at {value:g}", (Clamp(layer, cell, value=value),))


def _end_after(values: Floats, start: int) -> int:
    """Where the feature ends first after ``start``, or else anywhere; one that never ends, at the end of the text."""
    ends = np.flatnonzero(np.diff(values) < 0) + 1
    later = ends[ends >= max(start, 1)]
    return int([*later[:1], *ends[-1:], len(values) - 1][0])


# -- sections ----------------------------------------------------------------------------------------------------


def _training(
    named: NamedCell, features: Features, text: str, models: Sequence[tuple[int, Path]], progress: Progress | None
) -> str:
    """The score of the cell in the models of the run, and what chance gives."""

    def report(step: int, done: int, total: int) -> None:
        if progress is not None:
            progress(f"reading with the model of step {step:,}", done, total)

    found = dict(score_in_models(models, [named], text, features, progress=report))
    steps = np.array(list(found), np.float64)
    scores = [score for [score] in found.values()]
    strengths = np.clip([named.strength(score) for score in scores], 0.5, 1)
    curves = [
        ChartCurve(f"AUC of cell {cell_name(named.cell)}", steps, strengths),
        ChartCurve(f"chance, {named.chance:.2f}", steps, np.full(len(steps), named.chance)),
    ]
    chart = line_chart(curves, "training steps", "AUC", height=220, y_range=(0.5, 1)) if len(steps) > 1 else ""
    if not chart:
        return ""
    about = (
        f"How well the same cell followed it after so many steps of the training, on the same {named.chars:,} "
        "characters. 0.5 is guessing. Chance is what the best of all cells reaches for something that no cell follows"
    )
    if named.step is not None:
        about += f"; it was measured, and the cell named, in the model {step_words(named.step)}"
    if not any(map(named.better_than_chance, scores)):
        about += ". At no step does the cell follow it better than chance: the curve says nothing"
    return section("When did it learn that?", f"{about}.", chart)


def _ending(text: str, values: Floats) -> tuple[str, float] | None:
    """The character with which the feature ends most often, and the share of its ends that have it; None where it never
    ends."""
    ends = np.flatnonzero(np.diff(values) < 0) + 1
    if not len(ends):
        return None
    [(char, count)] = Counter(text[end] for end in ends.tolist()).most_common(1)
    return char, count / len(ends)


def _next_chars(
    model: Model, primes: Sequence[str], holds: Sequence[_Hold], ending: tuple[str, float] | None, stepper: Stepper
) -> str:
    """The likeliest next characters after each prime, and the one with which the feature ends, free and with the cell
    held."""
    ends = None if ending is None else int(model.vocabulary.encode(ending[0])[0][0])  # as it is read
    parts = []
    for prime in primes:
        columns = []
        for hold in holds:
            stepper.clamps = hold.clamps
            columns.append(softmax(read_text(model, prime, stepper=stepper).logits)[0])
        stepper.clamps = ()
        likely = np.argsort(-np.max(columns, axis=0), kind="stable")[:LIKELIEST].tolist()
        if ends is not None and ends not in likely:
            likely.append(ends)
        rows = [
            [
                f"{symbol(model.vocabulary.symbols[which])}{' (ends it)' if which == ends else ''}",
                *(percent(column[which], 1) for column in columns),
            ]
            for which in likely
        ]
        parts.append(f"<h3>After “{_shown(prime)}”</h3>{_figures(['next', *(hold.name for hold in holds)], rows)}")
    about = (
        "The cell is held at the end of its range where the feature is true, and at the other end, while the model "
        "reads the text. If the model uses the cell, the probabilities of the next character change."
    )
    if ending is not None:
        about += f" {quoted(ending[0])} is what ends the feature most often, {percent(ending[1], 0)} of the times."
    return section("Is it really that cell?", about, "".join(parts))


def _ends(model: Model, text: str, name: str, values: Floats, holds: Sequence[_Hold], stepper: Stepper) -> str:
    """How probable the end of the feature is over a whole text, free and with the cell held: where the character before
    is one that stands before its ends."""
    ending = _ending(text, values)
    if ending is None:
        return ""
    char, share = ending
    chars = np.array(list(text))
    ends = np.flatnonzero((np.diff(values) < 0) & (chars[1:] == char)) + 1
    before = {each for each, times in Counter(chars[ends - 1].tolist()).items() if times >= MOST_RARE * len(ends)}
    ids = prepare_prime(model, text, empty_is_fine=True).ids
    blocks = spread_blocks(len(ids), HELD_CHARS, HELD_BLOCKS)
    starts, length = np.array([start for start, _ in blocks]), min(stop - start for start, stop in blocks)
    places = starts[:, None] + np.arange(length)  # (B, n)
    counted = np.isin(chars, [*before])[places]
    groups = [counted & (values[places] > 0), counted & (values[places] <= 0)]
    if share < 0.5 or min(int(group.sum()) for group in groups) < FEWEST_PLACES:
        return ""
    which = int(model.vocabulary.encode(char)[0][0])
    shares = [_shares(stepper, hold, ids, starts, length, which) for hold in holds]
    rows = [
        [hold.name, *(percent(float(found[group].mean()), 1) for group in groups)]
        for hold, found in zip(holds, shares, strict=True)
    ]
    about = (
        f"The mean probability of {quoted(char)}, with which “{name}” ends, after one of "
        f"{' '.join(map(quoted, sorted(before)))}: at the {int(groups[0].sum()):,} places of {places.size:,} "
        f"characters from all over the text where “{name}” is true, and at the {int(groups[1].sum()):,} where it is "
        "not."
    )
    said = []
    for hold, found in list(zip(holds, shares, strict=True))[1:]:
        changes = [
            _change_words(where, found - shares[0], group)
            for where, group in zip((f"where “{name}”", "elsewhere"), groups, strict=True)
        ]
        told = "; ".join(change for change in changes if change) or "nothing that can be told from chance"
        said.append(f"<p>With {hold.name}: {as_html(told)}.</p>")
    titles = ["", f"where “{name}”", "elsewhere"]
    return section("And everywhere in the text?", about, _figures(titles, rows) + "".join(said))


def _shares(
    stepper: Stepper, hold: _Hold, ids: npt.NDArray[np.intp], starts: npt.NDArray[np.intp], length: int, which: int
) -> Doubles:
    """``(B, n)``: the probability of the character ``which`` after each of the ``length`` characters of blocks, which
    are read side by side with cells held."""
    stepper.clamps = hold.clamps
    state = stepper.zero_state(len(starts))
    found = np.empty((len(starts), length))
    for step in range(-HELD_WARM_UP, length):
        places = starts + step
        logits = stepper.step(ids[np.maximum(places, 0)], state)
        if step < 0:
            state.unpack(np.where(places >= 0, state.pack(), 0), state.matched)
        if step >= 0:
            found[:, step] = softmax(logits)[:, which]
    stepper.clamps = ()
    return found


def _change_words(where: str, changes: Doubles, group: npt.NDArray[np.bool_]) -> str:
    """``likelier elsewhere (+5.9 ±1.2 percentage points)``, or an empty string where that cannot be told from chance.
    Places of a block depend on each other, so the standard error is that of a mean over clusters."""
    count, mean = int(group.sum()), float(changes[group].mean())
    residuals = np.where(group, changes - mean, 0).sum(1)
    error = math.sqrt(float((residuals**2).sum()) * len(group) / max(1, len(group) - 1)) / count
    if abs(mean) <= TELLS * error:
        return ""
    more = "likelier" if mean > 0 else "less likely"
    return f"{more} {where} ({100 * mean:+.1f} ±{100 * TELLS * error:.1f} percentage points)"


def _why(model: Model, text: str, stepper: Stepper) -> str:
    """The influence of earlier characters on the last one of ``text``."""
    text = prepare_prime(model, text[-(BACK + WARM_UP) :], empty_is_fine=True).text
    found = influence(model, text, len(text) - 1, stepper=stepper)
    before = text[found.start : -1]
    strongest = max(range(len(before)), key=lambda n: abs(float(found.changes[n])))
    change = float(found.changes[strongest])
    here, without = (percent(math.exp(-loss), 1) for loss in (found.nats, found.nats + change))
    most = (
        "None of them changes that alone."
        if here == without
        else f"The most important is {quoted(before[strongest])}, {len(before) - strongest} before: without it the "
        f"probability would be {without}."
    )
    about = (
        f"Why {quoted(found.char)}? Its probability here is {here}. Each character before it was hidden in turn. "
        f"{most} Orange: without this character the probability would fall; blue: it would rise."
    )
    spans = "".join(_influences(found, before))
    return section("Why here?", about, f"<pre class=text>{spans}<b>{as_html(found.char)}</b></pre>")


def _influences(found: Influence, before: str) -> Iterator[str]:
    largest = float(np.abs(found.changes).max()) or 1.0
    for char, change in zip(before, found.changes.tolist(), strict=True):
        yield f'<span style="{signed_style(change / largest)}" title="{change:+.3f} nats">{as_html(char)}</span>'


def _figures(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{as_html(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{as_html(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table class=figures><tr>{head}</tr>{body}</table>"


def _shown(prime: str) -> str:
    """The end of a prime, as HTML."""
    return as_html(("…" if len(prime) > 60 else "") + visible(prime[-60:], keep=""))
