"""Show the text of a session in a notebook, coloured by how surprising each character was."""

from __future__ import annotations

import html
from collections.abc import Iterable
from itertools import groupby

from charlstm.display import visible

MOST_CHARS = 5000
"""Characters of a text that are shown, the last ones."""

_LIMITS = (1.0, 2.0, 4.0, 6.0, 8.0)
"""Bits of surprise from which the next of the colours begins."""


def surprise_html(prime: str, chars: Iterable[tuple[str, float]]) -> str:
    """``prime`` and then characters with their surprise in bits, as HTML: the stronger the colour behind a character,
    the less the model expected it.

    The colours are transparent, and the text has the colour of the page, so that it can be read on light and dark ones.
    """
    spans = [f'<span style="opacity:0.6">{_escape(prime)}</span>'] * bool(prime)
    for level, run in groupby(chars, key=lambda each: sum(each[1] >= limit for limit in _LIMITS)):
        text = _escape("".join(char for char, _ in run))
        colour = f"background-color:rgba(214,110,30,{0.13 * level:.2f})"
        spans.append(f'<span style="{colour}">{text}</span>' if level else text)
    style = "white-space:pre-wrap;overflow-wrap:anywhere;font-family:monospace"
    return f'<div dir="auto" style="{style}">{"".join(spans)}</div>'


def _escape(text: str) -> str:
    return html.escape(visible(text, keep="\n\t"))
