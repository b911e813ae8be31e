"""What there is to say of a text: its figures, the bars of what simpler models make of it, its characters, hints.

Only content; the figures come from ``charlstm.text.statistics``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from charlstm.display import described, symbol, visible
from charlstm.training.presets import PRESETS, preset
from charlstm_tui.formatting import count, percent
from charlstm_tui.widgets.bars import bar

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus
    from charlstm.text.statistics import Statistics

USUAL = 1_000_000  # characters of a text for which the presets are made


def figures(stats: Statistics, width: int) -> Content:
    """``465,112 characters  6,790 lines  97 symbols  LF``, as much of it as fits."""
    parts = [
        f"{stats.chars:,} characters",
        f"{stats.lines:,} line{'s' * (stats.lines != 1)}",
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


def bits(stats: Statistics, width: int) -> Content:
    """The bars. Short is well predicted: what a trained network should get below."""
    held_out = f" on the {count(stats.held_out_chars)} held out" if stats.held_out_chars else ""
    title = "BITS PER CHARACTER" + held_out + (" · sampled" if stats.sampled else "")
    lines = [Content.styled(title, "$quiet bold")]
    if stats.bits is None:
        reason = visible(stats.too_little or "Counting …", keep="")
        return Content("\n").join([*lines, Content.styled(reason, "$warning" if stats.too_little else "$quiet")])
    most = max([*stats.bits.values(), 0.01])
    room = max(8, min(60, width - 8 - 7))
    for name, value in stats.bits.items():
        drawn = bar(value / most, room)
        lines.append(
            Content.assemble((f"{name:<8}", "$quiet"), (drawn, "$primary"), " " * (room - len(drawn)), f"{value:>6.2f}")
        )
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
    room = max(6, min(40, width - 12))
    for char, number in stats.top[:rows]:
        drawn = bar(number / most, room)
        sign = Content.styled(symbol(char), "bold")
        lines.append(
            Content.assemble(
                sign, " " * max(1, 3 - sign.cell_length), (drawn, "$secondary"), " " * (room - len(drawn)),
                f"{percent(number / max(1, stats.chars)):>7}",
            )
        )  # fmt: skip
    return Content("\n").join(lines)


def hints(corpus: Corpus, stats: Statistics, stripped: bool, cleaned: bool) -> Content:
    """What a person should know or do about the text, with the key that does it."""
    found: list[Content] = []
    boilerplate = sum(stretch.chars for stretch in corpus.report.boilerplate)
    differ, _, advice = visible(stats.parts_differ or "", keep="").rpartition(": ")
    told = "leave it out" in advice
    if boilerplate and not stripped and not told:
        found.append(_warn(f"{boilerplate:,} characters of Project Gutenberg header and licence: l leaves them out."))
    elif boilerplate and not told:
        found.append(_fine(f"Header and licence are left out ({boilerplate:,} characters)."))
    if stats.cleanable and not cleaned:
        most = sorted(stats.cleanable.items(), key=lambda pair: -pair[1])[:3]
        words = ", ".join(f"{number:,} × {described(char).partition(' ')[2]}" for char, number in most)
        found.append(_warn(f"To clean: {words}: n does."))
    elif stats.cleanable:
        found.append(_fine(f"Cleaned: {sum(stats.cleanable.values()):,} characters."))
    if stats.invalid_bytes:
        found.append(_warn(f"{stats.invalid_bytes:,} invalid bytes were read as \N{REPLACEMENT CHARACTER}."))
    if corpus.skipped:
        found.append(_warn(f"{len(corpus.skipped):,} of its files or folders cannot be read."))
    if differ:
        keys = "l leaves it out, h holds out blocks." if told else "h holds out blocks."
        found.append(_warn(f"{differ}: {keys if 'blocks' in advice else f'{advice}.'}"))
    if stats.parts_overlap:
        found.append(_warn(f"{visible(stats.parts_overlap, keep='')}."))
    nothing = not stats.cleanable and not boilerplate and not stats.invalid_bytes
    words, enough = enough_for(stats.chars)
    first = "Nothing to clean. " if nothing else ""
    found.insert(0, _fine(first + words) if enough else Content.assemble(_fine(first) if first else "", _warn(words)))
    return Content("\n").join(found)


def enough_for(chars: int) -> tuple[str, bool]:
    """For which presets a text is long enough to be given a network of the usual size; and whether it is for any."""
    ours = [name for name in PRESETS if name != "reference"]
    names = [name for name in ours if preset(name, chars).hidden_size == preset(name, USUAL).hidden_size]
    if not names:
        return "Little text: the networks are smaller, and soon know it by heart.", False
    return f"Enough text for: {', '.join(names)}.", True


def _fine(sentence: str) -> Content:
    return Content.assemble(("✓ ", "$success"), sentence)


def _warn(sentence: str) -> Content:
    return Content.assemble(("! ", "bold $warning"), sentence)
