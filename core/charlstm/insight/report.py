"""Write one self-contained web page about a model: curves, samples, cells on a text, context, surprise, continuations.

The page needs no network and no script, and prints well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.errors import GenerationError
from charlstm.generation.scoring import Scores, score
from charlstm.generation.stepper import Stepper
from charlstm.insight.activations import activations
from charlstm.insight.cells import NamedCell, name_cells, sample_cells
from charlstm.insight.context import Context, context
from charlstm.insight.multiverse import Branch, multiverse, next_words
from charlstm.insight.page import escape, facts_table, page
from charlstm.svg import ChartCurve, line_chart

if TYPE_CHECKING:
    from charlstm.model.file import Model

SHOWN_CHARS = 600
"""Characters of the text that are shown with a cell."""

SHOWN_CELLS = 6
"""Cells that are shown on the text."""

NAMING_CHARS = 100_000
"""Characters from which cells are named."""

CUTOFF = 0.01

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
    facts: Sequence[tuple[str, str]] = (),
    curves: Sequence[ChartCurve] = (),
    samples: Sequence[Sample] = (),
    prime: str = "",
    progress: Progress | None = None,
) -> str:
    """The page, as HTML.

    Args:
        text: the text on which the model is explained.
        title: of the page.
        facts: names and values for the table at its top.
        curves, samples: of the model's training, where they are known.
        prime: what the picture of continuations begins with; empty: the end of a sentence of the text.
        progress: called with what is computed, and ``(done, total)`` of it.

    Raises:
        GenerationError: the text is too short to explain the model on it.
    """
    stepper = Stepper(model)

    def stage(name: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(name, done, total) if progress is not None else None

    part = text[:NAMING_CHARS]
    sample = sample_cells(model, part, stepper=stepper, progress=stage("naming cells"))
    shown = part[_start_of_paragraph(part) :][: SHOWN_CHARS * 2]
    scores = score(model, shown, stepper=stepper)
    sections = [
        facts_table(facts),
        _curves(curves),
        _samples(samples),
        _surprise(scores),
        _cells(model, name_cells(sample), shown[:SHOWN_CHARS], stepper),
        _context_section(model, part, stepper, stage("measuring the context")),
        _continuations(model, prime or _start_of_sentence(part), stepper),
    ]
    return page(title, "".join(section for section in sections if section))


# -- sections ----------------------------------------------------------------------------------------------------


def _section(title: str, about: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(about)}</p>{content}</section>"


def _curves(curves: Sequence[ChartCurve]) -> str:
    chart = line_chart(curves, "training steps", "loss in nats")
    if not chart:
        return ""
    about = "Loss in nats per character by training step. Lower is better; validation is on text that was held out."
    return _section("How it learnt", about, chart)


def _samples(samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    rows = "".join(
        f"<tr><th>step {sample.step:,}</th><td><pre>{escape(sample.text)}</pre></td></tr>" for sample in samples
    )
    about = "The same beginning and the same random numbers after more and more training steps."
    return _section("What it wrote", about, f"<table class=samples>{rows}</table>")


def _surprise(scores: Scores) -> str:
    bits = np.nan_to_num(scores.nats / math.log(2))
    spans = "".join(
        f'<span style="background:rgba(214,110,30,{min(1.0, value / 10) * 0.75:.2f})" title="{value:.1f} bits">'
        f"{escape(char)}</span>"
        for char, value in zip(scores.text[:SHOWN_CHARS], bits[:SHOWN_CHARS].tolist(), strict=False)
    )
    places = "".join(
        f"<li>{place.bits:.1f} bits: …{escape(place.before[-16:])}<b>{escape(place.char)}</b>"
        f"{escape(place.after[:16])}…</li>"
        for place in scores.places(8)
    )
    about = (
        f"The darker a character, the less the model expected it. On average it needs {scores.bits_per_char:.2f} bits "
        "for one. The most surprising places:"
    )
    return _section("Where it is surprised", about, f"<ol>{places}</ol><pre class=text>{spans}</pre>")


def _cells(model: Model, named: Sequence[NamedCell], text: str, stepper: Stepper) -> str:
    best = [each for each in named if each.above_chance][:SHOWN_CELLS]
    if not best:
        return ""
    trace = activations(model, text, stepper=stepper)
    parts = []
    for each in best:
        layer, cell = each.cell
        states = trace.cells[:, layer - 1, cell - 1]
        values = np.clip((states - states.mean()) / (2 * states.std() or 1), -1, 1)
        low = each.score < 0.5 if each.kind == "auc" else each.score < 0
        if each.kind == "auc":
            figure = f"AUC {max(each.score, 1 - each.score):.2f}; by chance {each.chance:.2f}"
        else:
            figure = f"correlation {abs(each.score):.2f}; by chance {each.chance:.2f}"
        chance = f"{figure}; the cell is {'low' if low else 'high'} where the feature is"
        chance += " true" if each.kind == "auc" else " high"
        parts.append(
            f"<h3>{escape(each.feature)}: cell {cell} of layer {layer} <small>({chance})</small></h3>"
            f"<pre class=text>{''.join(_diverging(trace.text, values))}</pre>"
        )
    about = (
        "Single cells that follow a feature of the text, found on one half of it and scored on the other. "
        "Orange: after this character the cell is higher than its mean on this text; blue: lower."
    )
    return _section("What single cells follow", about, "".join(parts))


def _diverging(text: str, values: npt.NDArray[np.float32]) -> Iterator[str]:
    for char, value in zip(text, values.tolist(), strict=True):
        colour = "214,110,30" if value > 0 else "40,110,190"
        style = f"background:rgba({colour},{abs(value) * 0.7:.2f})"
        yield f'<span style="{style}" title="{value:+.2f}">{escape(char)}</span>'


def _context_section(model: Model, text: str, stepper: Stepper, progress: Callable[[int, int], None] | None) -> str:
    try:
        found: Context = context(model, text, places=60, stepper=stepper, progress=progress)
    except GenerationError:  # the text is shorter than the longest context
        return ""
    lengths = np.array(found.lengths, np.float64)
    curves = [
        ChartCurve("only the last characters", lengths, np.array(found.losses)),
        ChartCurve("after others in random order", lengths, np.array(found.shuffled)),
    ]
    about = (
        f"Loss by how many characters the model has read, over {found.places} characters. It uses about {found.used} "
        "characters: more change the loss by less than 0.01 nats."
    )
    return _section("How far it looks back", about, line_chart(curves, "characters read", "loss in nats", log_x=True))


def _continuations(model: Model, prime: str, stepper: Stepper) -> str:
    root = multiverse(model, prime, depth=16, cutoff=CUTOFF, stepper=stepper)
    words = "".join(
        f"<li>{escape(each.word or '(the word ends)')} <small>{each.probability:.1%}</small></li>"
        for each in next_words(model, prime, stepper=stepper)
    )
    about = (
        f"After “…{prime[-40:]}”: every continuation with a probability of {CUTOFF:.0%} or more. A block is a "
        "character, its height the probability of the text up to it. The likeliest next words:"
    )
    return _section("What could come next", about, f"<ol class=words>{words}</ol>{multiverse_picture(root)}")


def _start_of_paragraph(text: str) -> int:
    """Where the first paragraph or line of the text begins that is not cut off; 0 if there is none nearby."""
    for end in ("\n\n", "\n"):
        if (at := text.find(end, 0, SHOWN_CHARS)) >= 0:
            return at + len(text[at:]) - len(text[at:].lstrip("\n"))
    return 0


def _start_of_sentence(text: str) -> str:
    """Up to 200 characters of the text that end after a sentence, or before the last word."""
    start = text[:200]
    ends = max(start.rfind(end) for end in (". ", "! ", "? ", ".\n"))
    return start[: ends + 2] if ends > 0 else start[: start.rfind(" ") + 1] or start


# -- pictures ----------------------------------------------------------------------------------------------------


def multiverse_picture(root: Branch, width: int = 760, height: int = 420) -> str:
    """The tree of continuations as SVG: x is time, the height of a block its probability."""
    depth = max(1, _depth(root))
    column = width / depth
    blocks: list[str] = []

    def draw(branch: Branch, level: int, top: float) -> None:
        for child in branch.children:
            tall = child.probability * height
            blocks.append(
                f'<rect x="{level * column:.1f}" y="{top:.1f}" width="{column - 1:.1f}" '
                f'height="{max(0.5, tall - 1):.1f}" '
                f'class="b{level % 2}"><title>{escape(child.char)} {child.probability:.1%}</title></rect>'
            )
            if tall >= 9:
                size = min(22.0, max(9.0, tall * 0.7), column * 0.8)
                blocks.append(
                    f'<text x="{(level + 0.5) * column:.1f}" y="{top + tall / 2 + size * 0.35:.1f}" '
                    f'font-size="{size:.1f}">{escape(_visible(child.char))}</text>'
                )
            draw(child, level + 1, top)
            top += tall

    draw(root, 0, 0.0)
    return f'<svg class=multiverse viewBox="0 0 {width} {height}" role="img">{"".join(blocks)}</svg>'


def _depth(branch: Branch) -> int:
    level, depth = branch.children, 0
    while level:
        level, depth = [below for each in level for below in each.children], depth + 1
    return depth


def _visible(char: str) -> str:
    return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(char, char)
