"""How much of a text a model is explained on.

Commands, report, app and library read the same parts of a text. So they give the same answer for the same model and
text, and where they do not, the text or the training step is another one, which stands beside each answer.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from charlstm.model.file import Model

READ_CHARS = 50_000
"""Characters that are read for naming cells, from all over a text, unless the user says otherwise. At 2 × 512 that
takes 10 s of one core, or 6 s on two."""

TEXT_CHARS = 2_000_000
"""Characters of a text from all over which they are taken; of a longer text, the first ones. Computing the features of
these takes 2 s."""


def spread_blocks(chars: int, read: int, count: int) -> list[tuple[int, int]]:
    """Start and end of ``count`` blocks at equal distances in a text of ``chars`` characters, which have ``read``
    characters together, or all of the text if it is shorter."""
    edges = np.linspace(0, chars, count + 1).astype(int).tolist()
    length = max(1, read // count) if read < chars else chars
    return [(start, min(stop, start + length)) for start, stop in pairwise(edges)]


def model_step(model: Model) -> int | None:
    """After how many training steps a model was saved; None for a file without the number."""
    step = model.info.get("step")
    return step if isinstance(step, int) else None


def step_words(step: int | None) -> str:
    """``at step 5,088``, or an empty string where the step is not known."""
    return "" if step is None else f"at step {step:,}"
