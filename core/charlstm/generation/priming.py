"""From what a person typed to ids that a model takes: the model's text options, and a start for an empty prime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from charlstm.model.file import Model


@dataclass(frozen=True, slots=True)
class Prime:
    """A prime made ready.

    Attributes:
        text: what is used of it.
        ids: the same, ``(N,)``.
        unknown: characters that the model has never seen, with their counts.
    """

    text: str
    ids: npt.NDArray[np.intp]
    unknown: dict[str, int]


def prepare_prime(model: Model, prime: str, *, empty_is_fine: bool = False) -> Prime:
    """What of ``prime`` the model can be fed.

    When nothing is left, and unless ``empty_is_fine``, it starts from a newline, where a text usually starts; a model
    that knows none starts from its most frequent character (``info["frequent"]``, else the space, else the first).
    """
    ids, unknown = model.vocabulary.encode(model.text_options.apply(prime))
    ids = ids.astype(np.intp)
    if not len(ids) and not empty_is_fine:
        ids = np.array([_start(model)], np.intp)
        return Prime("", ids, unknown)
    return Prime(model.vocabulary.decode(ids), ids, unknown)


def _start(model: Model) -> int:
    for char in ("\n", model.info.get("frequent"), " "):
        which = model.vocabulary.index(char) if isinstance(char, str) and len(char) == 1 else None
        if which is not None:
            return which
    return 0


def prime_suggestion(model: Model) -> str:
    """What to put into an empty prime: a line start of the model's own text, where its file remembers one."""
    prime = model.info.get("prime")
    return prime if isinstance(prime, str) else ""
