"""Write one self-contained web page about a model: curves, samples, cells on a text, context, surprise, continuations.

The page needs no network and no script, and prints well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.display import as_html, cell_name, percent, plural, symbol
from charlstm.errors import GenerationError
from charlstm.generation.colouring import STYLES, levels, signed_style
from charlstm.generation.prime import prepare_prime
from charlstm.generation.scoring import APART, score
from charlstm.generation.stepper import Stepper
from charlstm.insight.activations import WARM_UP, activations
from charlstm.insight.cells import CONSTANT, FEWEST_BLOCKS, FEWEST_SPANS, SEGMENTS, NamedCell, name_cells, sample_cells
from charlstm.insight.context import ENOUGH, LENGTHS, Context, context
from charlstm.insight.features import text_features, unit_features
from charlstm.insight.multiverse import ContinuationNode, multiverse, next_words
from charlstm.insight.page import facts_table, page
from charlstm.insight.sample import step_words
from charlstm.svg import ChartCurve, line_chart
from charlstm.text.baselines import BASELINES, baseline_words

if TYPE_CHECKING:
    from charlstm.model.file import Model

SHOWN_CHARS = 900
"""Characters of the text whose surprise is shown."""

CELL_CHARS = 420
"""Characters that are shown with a cell."""

CUTOFF = 0.01
"""Least probability of a continuation, as a whole, in the pictures."""

COLOURS = (
    "Orange: after this character the cell is above its mean on the text; blue: below. Underlined: where the feature "
    "is true."
)

WORDS = (
    ("cell", "One of the numbers that the network carries from character to character; 2:7 is cell 7 of layer 2."),
    (
        "AUC",
        "How often a cell's state tells a character where something is true from one where it is not: 0.50 is "
        "guessing, 1.00 always.",
    ),
    (
        "±",
        "Two standard errors: the figure of all of a novel was within it in 62 of 72 cases.",
    ),
    (
        "span",
        "A stretch in which a feature is true, such as one quote: a score that rests on fewer than 20 says nothing.",
    ),
    (
        "chance",
        "What the best of all cells reaches for something that no cell can follow: a score near it means nothing.",
    ),
    (
        "nat, bit",
        "Units of surprise: a character with a probability of 1 in 2 costs 1 bit or 0.69 nats, one of 1 in 4 twice "
        "that.",
    ),
)
"""A glossary of the words of a page."""

Floats = npt.NDArray[np.float32]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the model wrote after ``step`` training steps."""

    step: int
    text: str


def report(
    model: Model,
    text: str,
    *,
    title: str,
    sample: str | None = None,
    facts: Sequence[tuple[str, str]] = (),
    curves: Sequence[ChartCurve] = (),
    samples: Sequence[Sample] = (),
    primes: Sequence[str] = (),
    progress: Progress | None = None,
) -> str:
    """The page, as HTML.

    Args:
        text: the text on which the model is explained: surprises, the context and continuations.
        title: of the page.
        sample: the text on which cells are named; None is ``text``.
        facts: names and values for the table at its top.
        curves, samples: of the model's training, where they are known.
        primes: what the pictures of continuations begin with; none: the end of a sentence of the text.
        progress: called with what is computed, and ``(done, total)`` of it.

    Raises:
        GenerationError: the text is too short to explain the model on it.
    """
    stepper = Stepper(model)
    text = prepare_prime(model, text, empty_is_fine=True).text
    part = text if sample is None else prepare_prime(model, sample, empty_is_fine=True).text
    cells = sample_cells(model, part, stepper=stepper, progress=staged(progress, "naming cells"))
    named = name_cells(cells, progress=staged(progress, "comparing cells with features"))
    sections = [
        facts_table(facts),
        words_section(),
        _curves(curves),
        _samples(samples),
        _surprise(model, text, stepper),
        _cells(model, named, part, stepper),
        _context_section(model, text if len(text) > LENGTHS[-1] else part, stepper, progress),
        *(continuations_section(model, prime, stepper) for prime in primes or [_start_of_sentence(text)]),
    ]
    return page(title, "".join(section for section in sections if section))


def staged(progress: Progress | None, name: str) -> Callable[[int, int], None]:
    """A callback for ``(done, total)`` of what is called ``name``."""
    return lambda done, total: progress(name, done, total) if progress is not None else None


# -- sections ----------------------------------------------------------------------------------------------------


def section(title: str, about: str, content: str) -> str:
    return f"<section><h2>{as_html(title)}</h2><p>{as_html(about)}</p>{content}</section>"


def words_section() -> str:
    """What the words of a page mean."""
    words = "".join(f"<dt>{name}</dt><dd>{as_html(meaning)}</dd>" for name, meaning in WORDS)
    return f"<section><h2>Words</h2><dl>{words}</dl></section>"


def _curves(curves: Sequence[ChartCurve]) -> str:
    chart = line_chart(curves, "training steps", "loss in nats")
    if not chart:
        return ""
    about = (
        "Loss in nats per character by training step. Lower is better; 1 nat is 1.44 bits. Training: the mean since "
        "the point before. Validation: an estimate on slices of the text that was held out, the same ones each time."
    )
    if any(each.dots for each in curves):
        about += " The dot: the loss of the run's best model on all of that text."
    if any(each.name in map(baseline_words, BASELINES) for each in curves):
        about += (
            " The level lines: simple models on the same text. A network is worth its training when it is below them; "
            "order 1 and order 2 know how often each character follows the last one or two, order 0 only how frequent "
            "each is, and the compressor is xz."
        )
    return section("How it learnt", about, chart)


def _samples(samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    rows = "".join(
        f"<tr><th>step {sample.step:,}</th><td><pre>{as_html(sample.text)}</pre></td></tr>" for sample in samples
    )
    about = "The same beginning and the same random numbers after more and more training steps."
    return section("What it wrote", about, f"<table class=samples>{rows}</table>")


def _surprise(model: Model, text: str, stepper: Stepper) -> str:
    start = passage_start(text, SHOWN_CHARS)
    first = max(0, start - WARM_UP)
    whole = score(model, text[first : start + SHOWN_CHARS], stepper=stepper)
    scores = whole.part(start - first)
    bits = np.nan_to_num(scores.nats / math.log(2))
    spans = "".join(
        f'<span style="{STYLES[level]}" title="{value:.1f} bits">{as_html(char)}</span>'
        for char, value, level in zip(scores.text, bits.tolist(), levels("probability", bits), strict=True)
    )
    listed = scores.places(8, least=scores.surprising)
    places = "".join(
        f"<li>{place.bits:.1f} bits: …{as_html(place.before[-16:])}<b>{as_html(place.char)}</b>"
        f"{as_html(place.after[:16])}…</li>"
        for place in listed
    )
    found = "No place surprises it."
    if listed:
        apart = f", without neighbours within {APART} characters" if scores.unlisted(listed) > listed[-1].bits else ""
        found = f"The most surprising places{apart}:"
    loss = model.info.get("val_loss")
    measured_on = "all held-out text" if model.info.get("val_whole") is not False else "slices of the held-out text"
    usual = f" On {measured_on} of its training the mean is {in_both_units(loss)}." if isinstance(loss, float) else ""
    about = (
        f"The darker a character, the less the model expected it. On average it needs {in_both_units(scores.loss)} for "
        f"one of these {len(scores.text):,} characters, which are not chosen for what the model knows of them: they "
        f"begin at the first paragraph, or else line or sentence, before which there are enough to read.{usual} {found}"
    )
    return section("Where it is surprised", about, f"<ol>{places}</ol><pre class=text>{spans}</pre>")


def _cells(model: Model, named: Sequence[NamedCell], text: str, stepper: Stepper) -> str:
    best = [each for each in named if each.above_chance]
    if not best:
        return ""
    features = {
        feature.name: feature for feature in (*text_features(text), *unit_features(text, model.text_options.units))
    }
    shown: set[int] = set()
    parts = []
    for each in best:
        values = features[each.feature].values
        start = passage_start(text, CELL_CHARS, values, shown)
        shown.add(start)
        parts.append(
            f"<h3>{as_html(each.feature)}: cell {cell_name(each.cell)} <small>({as_html(cell_facts(each))})"
            f"</small></h3>{coloured_passage(model, text, start, each, values, stepper)}"
        )
    about = (
        f"Single cells that follow a feature of the text better than chance: for {len(best)} of its {len(named)} "
        f"features there is one. {chosen_on(best[0])} {COLOURS} Each passage is the one, of those that begin a "
        "paragraph, line or sentence, in which the feature changes most often."
    )
    return section("What single cells follow", about, "".join(parts))


def in_both_units(nats: float) -> str:
    """``1.45 nats (2.09 bits)``."""
    return f"{nats:.2f} nats ({nats / math.log(2):.2f} bits)"


def chosen_on(named: NamedCell) -> str:
    """On what and in which model a cell was found: another text or step may name another one."""
    model = f", in the model {step_words(named.step)}" if named.step is not None else ""
    return (
        f"Chosen on one half of {named.chars:,} characters, which are from all over the text, and scored on the other, "
        f"at {named.places_words} characters of each{model}; on another text or at another step another cell may "
        "follow a feature best."
    )


def cell_facts(named: NamedCell) -> str:
    """How well a cell follows its feature, and its states."""
    kind = "AUC" if named.kind == "auc" else "correlation"
    where = " where it is true" if named.kind == "auc" else ""
    words = f"{kind} {named.score_words.removeprefix('r ')}{where}, on {plural(named.spans, 'span')}"
    if named.verdict == "too few to tell":
        words += f", too few to tell: {FEWEST_SPANS} in {FEWEST_BLOCKS} of {SEGMENTS} parts are needed"
    elif not named.above_chance:
        words += ", no better than chance"
    words += f"; by chance {named.chance:.2f}"
    if named.where_true is not None and named.where_false is not None:
        words += f"; mean {named.where_true:.1f} where true, {named.where_false:.1f} elsewhere"
    return words


def coloured_passage(model: Model, text: str, start: int, named: NamedCell, values: Floats, stepper: Stepper) -> str:
    """Up to :data:`CELL_CHARS` characters of ``text`` coloured by a cell, underlined where ``values`` are true."""
    first = max(0, start - WARM_UP)
    stop = start + CELL_CHARS
    if stop < len(text) and (end := max(text.rfind(" ", start, stop), text.rfind("\n", start, stop))) > 0:
        stop = end
    trace = activations(model, text[first:stop], stepper=stepper)
    layer, cell = named.cell
    states = trace.cells[start - first :, layer - 1, cell - 1]
    spread = (named.high - named.low) / 2
    constant = spread <= CONSTANT * max(1.0, abs(named.mean))
    strengths = np.clip((states - named.mean) / (1.0 if constant else spread), -1, 1)
    underlined = values[start:stop] > 0 if named.kind == "auc" else np.zeros(len(states), bool)
    spans = []
    for char, state, strength, true in zip(
        trace.text[start - first :], states.tolist(), strengths.tolist(), underlined.tolist(), strict=True
    ):
        shown = f"<u>{as_html(char)}</u>" if true else as_html(char)
        spans.append(f'<span style="{signed_style(strength)}" title="{state:+.2f}">{shown}</span>')
    return f"<pre class=text>{''.join(spans)}</pre>"


def passage_start(
    text: str, length: int = CELL_CHARS, values: Floats | None = None, avoid: Collection[int] = ()
) -> int:
    """Where a passage of ``length`` characters begins: after an empty line, or else at a line or a sentence.

    The first place where the model has read enough before; with ``values``, the one after which these change most
    often, and at least once: they may be those of a rare feature.
    """
    earliest, latest = min(WARM_UP, max(0, len(text) - length)), max(0, len(text) - length)
    changes = np.concatenate([[0], np.cumsum(np.diff(np.zeros(len(text)) if values is None else values) != 0)])
    first = changes[np.minimum(np.arange(len(text)) + length * 3 // 4, len(text) - 1)] - changes  # its end may be cut
    for pattern in (r"\n\s*\n", r"\n", r"[.!?]\s+"):
        starts = [match.end() for match in re.finditer(pattern, text)]
        starts = [start for start in starts if earliest <= start <= latest and start not in avoid]
        if values is not None:
            starts = sorted((start for start in starts if first[start]), key=lambda start: -int(first[start]))
        if starts:
            return starts[0]
    if values is None or not changes[-1]:
        return 0
    last_change = int(np.flatnonzero(np.diff(values))[-1])
    return max(0, min(latest, text.rfind(" ", 0, max(0, last_change - length // 4)) + 1))


def _context_section(model: Model, text: str, stepper: Stepper, progress: Progress | None) -> str:
    try:
        found: Context = context(model, text, stepper=stepper, progress=staged(progress, "measuring the context"))
    except GenerationError:  # the text is shorter than the longest context
        return ""
    lengths = np.array(found.lengths, np.float64)
    curves = [
        ChartCurve("only the last characters", lengths, np.array(found.losses)),
        ChartCurve("after others in random order", lengths, np.array(found.shuffled)),
    ]
    about = (
        f"Loss by how many characters the model has read, over {found.places} evenly spaced characters. It uses "
        f"{found.used_words}: more change the loss by less than {ENOUGH} nats. The margin comes from drawing these "
        f"characters again with repetition. After {found.lengths[-1]} characters the loss is "
        f"{in_both_units(found.losses[-1])}. After one character it may be higher than that of a simple model of order "
        "1: a network is trained to predict from what many characters left in its cells, not after a single one."
    )
    return section("How far it looks back", about, line_chart(curves, "characters read", "loss in nats", log_x=True))


def continuations_section(model: Model, prime: str, stepper: Stepper) -> str:
    """What could follow ``prime``: the likeliest words, and a picture of all continuations."""
    root = multiverse(model, prime, depth=16, cutoff=CUTOFF, stepper=stepper)
    words = "".join(
        f"<li>{as_html(each.word or '(the word ends)')} <small>{percent(each.probability, 1)}</small></li>"
        for each in next_words(model, prime, stepper=stepper)
    )
    about = (
        f"After “{'…' * (len(prime) > 40)}{prime[-40:]}”: every continuation with a joint probability of "
        f"{percent(CUTOFF, 0)} or more. A block is a character, and its height the joint probability of all "
        "characters up to it and of itself. The likeliest next words:"
    )
    return section("What could come next", about, f"<ol class=words>{words}</ol>{multiverse_picture(root)}")


def _start_of_sentence(text: str) -> str:
    """Up to 200 characters of the text that end after a sentence, or before the last word."""
    start = text[:200]
    ends = max(start.rfind(end) for end in (". ", "! ", "? ", ".\n"))
    return start[: ends + 2] if ends > 0 else start[: start.rfind(" ") + 1] or start


# -- pictures ----------------------------------------------------------------------------------------------------


def multiverse_picture(root: ContinuationNode, width: int = 760, height: int = 420) -> str:
    """The tree of continuations as SVG: x is time, the height of a block its probability."""
    depth = max(1, _depth(root))
    column = width / depth
    blocks: list[str] = []

    def draw(branch: ContinuationNode, level: int, top: float) -> None:
        for child in branch.children:
            tall = child.probability * height
            blocks.append(
                f'<rect x="{level * column:.1f}" y="{top:.1f}" width="{column - 1:.1f}" '
                f'height="{max(0.5, tall - 1):.1f}" '
                f'class="b{level % 2}"><title>{as_html(child.char)} {percent(child.probability, 1)}</title></rect>'
            )
            if tall >= 9:
                size = min(22.0, max(9.0, tall * 0.7), column * 0.8)
                blocks.append(
                    f'<text x="{(level + 0.5) * column:.1f}" y="{top + tall / 2 + size * 0.35:.1f}" '
                    f'font-size="{size:.1f}">{as_html(symbol(child.char))}</text>'
                )
            draw(child, level + 1, top)
            top += tall

    draw(root, 0, 0.0)
    return f'<svg class=multiverse viewBox="0 0 {width} {height}" role="img">{"".join(blocks)}</svg>'


def _depth(branch: ContinuationNode) -> int:
    level, depth = branch.children, 0
    while level:
        level, depth = [below for each in level for below in each.children], depth + 1
    return depth
