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

    When nothing is left, and unless ``empty_is_fine``, it starts from what comes before a new beginning in the model's
    own text (``info["start"]``), else from a newline; a model that knows none starts from its most frequent character
    (``info["frequent"]``, else the space, else the first).
    """
    ids, unknown = model.vocabulary.encode(model.text_options.apply(prime))
    ids = ids.astype(np.intp)
    if not len(ids) and not empty_is_fine:
        return Prime("", _start(model), unknown)
    return Prime(model.vocabulary.decode(ids), ids, unknown)


def _start(model: Model) -> npt.NDArray[np.intp]:
    for start in (model.info.get("start"), "\n", model.info.get("frequent"), " "):
        if isinstance(start, str) and start:
            ids, unknown = model.vocabulary.encode(start)
            if not unknown:
                return ids.astype(np.intp)
    return np.zeros(1, np.intp)


def prime_suggestion(model: Model) -> str:
    """What to put into an empty prime: a line start of the model's own text, where its file remembers one."""
    prime = model.info.get("prime")
    return prime if isinstance(prime, str) else ""
