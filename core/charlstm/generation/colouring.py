"""The colours of text: the same levels in the app, on web pages and in notebooks, and how pages show them."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from charlstm.display import as_html

Colour = Literal["rank", "probability", "entropy"]
"""The figure of a character that colours it. Of the probability it is the surprise, −log2 p."""

LIMITS: dict[Colour, tuple[float, ...]] = {"rank": (2, 4, 11), "probability": (1, 3, 6), "entropy": (1, 2, 3.5)}
"""Where the levels after 0, which has no colour, begin: the rank, and the surprise and the entropy in bits."""

_ORANGE, _BLUE = "214,110,30", "40,110,190"
STYLES = (
    "",
    f"background-color:rgba({_ORANGE},0.18)",
    f"background-color:rgba({_ORANGE},0.36);text-decoration:underline",
    f"background-color:rgba({_ORANGE},0.6);font-weight:bold",
)
"""Each level in CSS: differs by underline and weight too, not by colour alone. The colours are transparent, and the
text has the colour of the page, so that it can be read on light and dark ones."""

MOST_CHARS = 5000
"""Characters of a text that a notebook shows, the last ones."""


def levels(colour: Colour, values: npt.NDArray[np.floating[Any] | np.integer[Any]]) -> npt.NDArray[np.intp]:
    """The level of each value, from 0."""
    return np.searchsorted(LIMITS[colour], values, "right")


def signed_style(share: float) -> str:
    """A figure in CSS: orange from 0 to 1, blue from 0 to -1."""
    return f"background-color:rgba({_ORANGE if share > 0 else _BLUE},{abs(share) * 0.75:.2f})"


def surprise_html(prime: str, text: str, bits: npt.NDArray[np.floating[Any]]) -> str:
    """``prime`` and then ``text``, coloured by the surprise of each character in bits, as HTML for a notebook."""
    spans = [f'<span style="opacity:0.6">{as_html(prime)}</span>'] * bool(prime)
    found = levels("probability", bits).tolist()
    for level, run in groupby(zip(text, found, strict=True), key=lambda each: each[1]):
        shown = as_html("".join(char for char, _ in run))
        spans.append(f'<span style="{STYLES[level]}">{shown}</span>' if level else shown)
    style = "white-space:pre-wrap;overflow-wrap:anywhere;font-family:monospace"
    return f'<div dir="auto" style="{style}">{"".join(spans)}</div>'
