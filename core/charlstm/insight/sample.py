"""How much of a text a model is explained on.

Commands, report, app and library read the same part of a text. So they give the same answer for the same model and
text, and where they do not, the text or the training step is another one, which stands beside each answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.model.file import Model

READ_CHARS = 50_000
"""Characters from the beginning of a text that are read, unless the user says otherwise. At 2 × 512 that takes 9 s
of one core, or 5 s on two."""


def model_step(model: Model) -> int | None:
    """After how many training steps a model was saved; None where its file does not say."""
    step = model.info.get("step")
    return step if isinstance(step, int) else None


def step_words(step: int | None) -> str:
    """``at step 5,088``, or an empty string where the step is not known."""
    return "" if step is None else f"at step {step:,}"
