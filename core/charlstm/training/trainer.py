"""The training loop as a stream of events: it prints nothing and knows no screen, file or folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Self

from charlstm.training.config import Settings
from charlstm.training.events import Controlled, Event
from charlstm.training.seams import Inbox, Plan, Store
from charlstm.training.state import TrainingState

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus

    from charlstm.model.file import Model

Sample = Callable[["Model"], tuple[str, str]]
"""Writes a sample with a model: (prime, text). Called between two steps, the same prime and seed all through."""


class Trainer:
    """One run of training, from nothing, from a model or from an exact state."""

    def __init__(
        self,
        corpus: Corpus,
        settings: Settings,
        *,
        start_from: Model | None = None,
        sample: Sample | None = None,
        store: Store | None = None,
        inbox: Inbox | None = None,
        plan: Plan | None = None,
        info: dict[str, object] | None = None,
    ) -> None:
        """``plan`` is what an earlier start of the same run measured (run killed before its first state); ``info``
        goes into every model that is saved (run, corpus, lineage)."""
        raise NotImplementedError

    @classmethod
    def resume(
        cls,
        corpus: Corpus,
        settings: Settings,
        state: TrainingState,
        *,
        replay: Sequence[Controlled] = (),
        sample: Sample | None = None,
        store: Store | None = None,
        inbox: Inbox | None = None,
        info: dict[str, object] | None = None,
    ) -> Self:
        """Go on from ``state``. ``replay`` holds every ``control`` line of the log, as read (repeats and all): rate
        changes that the state does not know yet are made again at their logged step."""
        raise NotImplementedError

    def events(self) -> Iterator[Event]:
        """Train; the first event is ``started`` or ``resumed``, the last ``finished``."""
        raise NotImplementedError
