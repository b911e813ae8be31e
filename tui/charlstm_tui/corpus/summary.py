"""What Corpus says of a text: figures, bars, the preview and hints. Content only, no widgets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from textual.content import Content

from charlstm.display import count, percent, plural, symbol, visible
from charlstm.text.encoding import ENCODINGS, is_guess
from charlstm.text.unit_kinds import PREVIEWED, kind_of_units, proposed
from charlstm.training.presets import PRESETS, preset
from charlstm_tui.actions import key_of
from charlstm_tui.corpus.text_state import TextState
from charlstm_tui.formatting import baseline_name, loss, unit
from charlstm_tui.widgets.bars import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from charlstm.text.corpus import Span, TextSplit
    from charlstm.text.statistics import Statistics

USUAL = 1_000_000  # characters of a text for which the presets are made


def figures(stats: Statistics, width: int, *, joined: bool = False) -> Content:
    """``465,112 characters  6,790 lines  97 symbols  LF``, as much of it as fits. Where lines were ``joined``, a hint
    has their number."""
    parts = [
        f"{stats.chars:,} characters",
        "" if joined else plural(stats.lines, "line"),
        f"{stats.distinct:,} symbols",
        stats.newlines if stats.newlines != "none" else "",
    ]
    line = ""
    for part in filter(None, parts):
        longer = f"{line}   {part}" if line else part
        if len(longer) > width:
            break
        line = longer
    return Content(line)


def simple_models(stats: Statistics, width: int, bits: bool) -> Content:
    """A bar for each simple model: its loss on the held-out part, in nats or in ``bits`` per character."""
    title = f"LOSS TO BEAT, {unit(bits)} on the held-out part" + (" (sampled)" if stats.sampled else "")
    lines = [Content.styled(title, "$quiet bold")]
    if stats.bits is None:
        reason = visible(stats.too_little or "Counting …", keep="")
        return Content("\n").join([*lines, Content.styled(reason, "$warning" if stats.too_little else "$quiet")])
    most = max([*stats.bits.values(), 0.01])
    names = [baseline_name(name, short=width < 48) for name in stats.bits]
    label = max(map(len, names)) + 2
    cells = max(6, min(60, width - label - 8))
    for name, value in zip(names, stats.bits.values(), strict=True):
        drawn = bar(value / most, cells)
        figure = loss(value * math.log(2), bits)
        space = " " * (cells - len(drawn))
        lines.append(Content.assemble((f"{name:<{label}}", "$quiet"), (drawn, "$primary"), space, f" {figure:>6}"))
    return Content("\n").join(lines)


def frequent_line(stats: Statistics, width: int) -> Content:
    """The most frequent characters in one line."""
    line = Content.styled("Frequent", "$quiet")
    for char, number in stats.top:
        entry = Content.assemble("  ", (symbol(char), "bold"), f" {percent(number / max(1, stats.chars))}")
        if line.cell_length + entry.cell_length > width:
            break
        line = line + entry
    return line


def frequent_bars(stats: Statistics, width: int, rows: int) -> Content:
    """The most frequent characters, a bar each."""
    lines = [Content.styled("FREQUENT CHARACTERS", "$quiet bold")]
    most = max((number for _, number in stats.top), default=1)
    space = max(6, min(40, width - 12))
    for char, number in stats.top[:rows]:
        drawn = bar(number / most, space)
        sign = Content.styled(symbol(char), "bold")
        lines.append(
            Content.assemble(
                sign, " " * max(1, 3 - sign.cell_length), (drawn, "$secondary"), " " * (space - len(drawn)),
                f"{percent(number / max(1, stats.chars)):>7}",
            )
        )  # fmt: skip
    return Content("\n").join(lines)


def encoding_words(state: TextState) -> str:
    """The encoding as a person calls it, and whether it was guessed or chosen."""
    name = {"utf-8": "UTF-8", "ascii": "ASCII", "none": ""}.get(state.encoding, state.encoding)
    if state.choice.encoding is not None:
        return f"{name}, chosen"
    return f"{name}, guessed" if is_guessed(state) else name


def is_guessed(state: TextState) -> bool:
    """Whether the encoding is neither chosen nor certain."""
    choice, name = state.choice, state.encoding
    return choice.encoding is None and name not in ("", "none") and is_guess(name, [choice.source])


def problem(sentence: str) -> Content:
    """Why a text cannot be used, and what to do."""
    ended = sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
    return Content.assemble(
        (ended, "$error"), "\n\n", (key_of("corpus.open_path"), "bold $primary"), " opens another text."
    )


def preview(state: TextState) -> Content:
    """The beginning of the text, with a rule wherever a held-out part begins or ends."""
    text = state.beginning or ""
    if state.split is not None and state.corpus is not None and state.corpus.units:
        return _preview_of_units(state, state.corpus.units, state.split)
    if state.split is None:
        return Content.assemble(visible(text, keep="\n"), ("" if state.complete else "\n…", "$quiet"))
    parts: list[Content | str | tuple[str, str]] = []
    done = 0
    for start, stop in state.split.held_out:
        if start >= len(text):
            break
        parts += [visible(text[done:start], keep="\n"), _rule(f"held out from character {start + 1:,} on", done)]
        parts.append(visible(text[start:stop], keep="\n"))
        if stop < len(text):
            parts.append(_rule(f"trained on again from character {stop + 1:,} on"))
        done = min(stop, len(text))
    parts.append(visible(text[done:], keep="\n"))
    if not state.complete:
        parts.append(("\n…", "$quiet"))
        if _held_out_follows(state):
            first = state.split.held_out[0].start
            parts += [_rule(f"held out from character {first + 1:,} on"), visible(state.held_out, keep="\n")]
            parts.append(("\n…", "$quiet"))
    return Content.assemble(*parts)


def _preview_of_units(state: TextState, units: Sequence[Span], split: TextSplit) -> Content:
    """The units at the beginning of the text, each with a mark."""
    text, done = state.beginning or "", units[0].start
    marks = {False: ("▸ ", "$accent"), True: ("▹ ", "$warning")}
    parts: list[Content | str | tuple[str, str]] = [
        marks[False], ("a unit   ", "$quiet"), marks[True], ("one that is held out\n\n", "$quiet")
    ]  # fmt: skip
    held_out = iter(split.held_out)
    here = next(held_out, None)
    for start, stop in units:
        if start >= len(text):
            break
        while here is not None and here.stop <= stop - 1:
            here = next(held_out, None)
        is_held_out = here is not None and here.start <= stop - 1
        parts += [visible(text[done:start], keep="\n"), marks[is_held_out], visible(text[start:stop], keep="\n")]
        done = stop
    return Content.assemble(*parts, ("" if state.complete else "\n…", "$quiet"))


def preview_chars(state: TextState) -> int:
    """The characters of the text that the preview shows."""
    return len(state.beginning or "") + (len(state.held_out) if _held_out_follows(state) else 0)


def _held_out_follows(state: TextState) -> bool:
    """Whether the held-out part begins after the beginning that is shown, so that the preview shows its start too."""
    held_out = state.split.held_out if state.split is not None else ()
    return not state.complete and bool(held_out) and held_out[0].start >= len(state.beginning or "")


def _rule(words: str, before: int = 1) -> tuple[str, str]:
    return f"{chr(10) if before else ''}\n── {words} ──\n", "bold $accent"


def hints(state: TextState, width: int) -> Content:
    """What a person should know or do about the text, with the key that does it. ``corpus`` and ``stats`` are known."""
    corpus, stats, choice = state.corpus, state.stats, state.choice
    assert corpus is not None
    assert stats is not None
    found: list[Content] = []
    if is_guessed(state):
        about = ENCODINGS.get(state.encoding, "")
        words = f"{state.encoding}{f' ({about})' if about else ''} is a guess"
        found.append(_warn(f"{words}: charlstm train takes another with --encoding."))
    boilerplate = sum(part.chars for part in corpus.report.boilerplate)
    if boilerplate and not choice.strip_boilerplate:
        words = f"{boilerplate:,} characters of Project Gutenberg header and licence"
        found.append(_warn(f"{words}: {key_of('corpus.licence')} leaves them out."))
    elif boilerplate:
        found.append(_fine(f"Header and licence are left out ({boilerplate:,} characters)."))
    if corpus.report.joined:
        found.append(_fine(f"{corpus.report.joined_of(stats.lines)}; {key_of('corpus.lines')} keeps them."))
    if units := corpus.units_words:
        words = f"{units}; {key_of('corpus.split_units')} changes it."
        is_all_trained = state.split is not None and not state.split.held_out
        found.append(_warn(f"Nothing is held out of {words}") if is_all_trained else _fine(words))
    elif units := proposed((state.beginning or "")[:PREVIEWED]):
        key = key_of("corpus.split_units")
        found.append(_warn(f"{key} reads {visible(kind_of_units(units))} as a unit of its own."))
    if left_out := corpus.report.left_out_words:
        found.append(_fine(f"Left out: {left_out}."))
    if stats.invalid_bytes:
        found.append(_warn(f"{stats.invalid_bytes:,} invalid bytes were read as \N{REPLACEMENT CHARACTER}."))
    if corpus.skipped:
        found.append(_warn(f"{len(corpus.skipped):,} of its files or folders cannot be read."))
    if stats.parts_overlap and not state.built_in:
        found.append(_warn(f"{visible(stats.parts_overlap, keep='')}."))
    words, enough = enough_for(stats.chars)
    found.insert(0, _fine(words) if enough else _warn(words))
    if where := held_out_words(state, width):
        found.insert(1, Content.assemble(("· ", "$quiet"), where))
    return Content("\n").join(found)


def held_out_words(state: TextState, width: int) -> str:
    """Where the held-out part begins, and its first words."""
    if state.split is None or not state.split.held_out:
        return ""
    spans = state.split.held_out
    if state.corpus is not None and state.corpus.units:
        return f"{count(state.split.held_out_chars)} characters held out{_by_preset(state)}, in whole units."
    blocks = f" in {len(spans)} blocks" if len(spans) > 1 else ""
    size = count(state.split.held_out_chars)
    words = f"{size} characters held out{blocks}{_by_preset(state)}, from character {spans[0].start + 1:,} on"
    cells = width - len(words) - 6
    first = " ".join(visible(state.held_out[:200], keep="\n").split())
    return f"{words}: “{first[: cells - 1]}…”" if cells >= 12 and first else f"{words}."


def _by_preset(state: TextState) -> str:
    """The preset that decides how much is held out, where presets differ in that: of a long text."""
    assert state.corpus is not None
    fractions = {preset(name, state.corpus.chars).val_fraction for name in PRESETS}
    return f" by {state.preset}" if len(fractions) > 1 else ""


def enough_for(chars: int) -> tuple[str, bool]:
    """The presets whose network has its usual size for a text of this length, in words, and whether there is one."""
    ours = [name for name in PRESETS if name != "reference"]
    names = [name for name in ours if preset(name, chars).hidden_size == preset(name, USUAL).hidden_size]
    if not names:
        return "Little text: from nothing, networks are smaller and overfit soon.", False
    return f"Enough text for: {', '.join(names)}.", True


def _fine(sentence: str) -> Content:
    return Content.assemble(("✓ ", "$success"), sentence)


def _warn(sentence: str) -> Content:
    return Content.assemble(("! ", "bold $warning"), sentence)
