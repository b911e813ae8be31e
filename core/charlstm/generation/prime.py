"""Convert a text to ids of a model, and replace an empty prime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from charlstm.model.file import Model


@dataclass(frozen=True, slots=True)
class Prime:
    """A prime as a model reads it.

    Attributes:
        text: the prime.
        ids: ``(N,)``, one for each character of ``text``, or the start of a text if that is empty.
        unknown: characters that the model does not know, with their counts; it reads them as others
            (:meth:`charlstm.text.vocabulary.Vocabulary.read_as`).
    """

    text: str
    ids: npt.NDArray[np.intp]
    unknown: dict[str, int]

    @property
    def known(self) -> int:
        """How many characters of the text the model knows."""
        return len(self.text) - sum(self.unknown.values())


def prepare_prime(model: Model, prime: str, *, empty_is_fine: bool = False) -> Prime:
    """Convert ``prime`` to ids of ``model``, under its text options; see :func:`read_prime`."""
    return read_prime(model, model.text_options.apply(prime), empty_is_fine=empty_is_fine)


def read_prime(model: Model, prime: str, *, empty_is_fine: bool = False) -> Prime:
    """Convert ``prime`` to ids of ``model``, one for each character.

    If it is empty, and unless ``empty_is_fine``, the ids are the first of these that the model knows: what precedes a
    new part in its training text (``info["start"]``), a newline, its most frequent character (``info["frequent"]``), a
    space, its first symbol.
    """
    ids, unknown = model.vocabulary.encode(prime)
    if not len(ids) and not empty_is_fine:
        return Prime("", _start(model), unknown)
    return Prime(prime, ids.astype(np.intp), unknown)


def _start(model: Model) -> npt.NDArray[np.intp]:
    for start in (model.info.get("start"), "\n", model.info.get("frequent"), " "):
        if isinstance(start, str) and start:
            ids, unknown = model.vocabulary.encode(start)
            if not unknown:
                return ids.astype(np.intp)
    return np.zeros(1, np.intp)


def prime_suggestion(model: Model) -> str:
    """A prime for a user to begin with: the start of a line of the training text, or "" if the model has none."""
    prime = model.info.get("prime")
    return prime if isinstance(prime, str) else ""
