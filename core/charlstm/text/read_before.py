"""When a loss on a text means little because the model has read the text, and how that is shown."""

from __future__ import annotations

from charlstm.display import percent, visible

MUCH = 0.05
"""The share of a text from which on a loss on it is marked. Between two of 86 books it was 2 % at most. Read text costs
about a fifth less, so that of so much of it lowers the loss by 1 %."""
MARK = "†"
LEGEND = f"{MARK} read: the model had read much of the held-out part, so the loss is lower than on new text"


def is_much(share: float | None) -> bool:
    """Whether a loss on a text of which the model has read this share means little; ``None`` is not known."""
    return share is not None and share >= MUCH


def mark(share: float | None) -> str:
    """What stands before such a loss, as ``~`` before an estimate; else empty."""
    return MARK if is_much(share) else ""


def words(share: float | None, by: str, part: str = "held-out part") -> str:
    """A sentence for a loss that is marked, without a full stop; else empty. ``by`` is the model that training started
    from; empty where the training part of the text has the same words."""
    if not is_much(share):
        return ""
    if not by:
        return (
            f"{percent(share or 0)} of the {part} is word for word in the training part too, so the loss on it is too "
            "low: remove text that occurs twice"
        )
    name = visible(by, keep="")
    return (
        f"{name}, from which training starts, has read {percent(share or 0)} of the {part}, so the loss is lower "
        "than on new text"
    )
