"""The passages of the played text that its model has read, marked in the view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from charlstm.generation.document import State
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player.opening import ModelFacts
from charlstm_tui.player.overlap import Overlap, OverlapCheck
from charlstm_tui.player.played import Played


class CopiedPassages:
    """What of the text in ``view`` is copied."""

    def __init__(self, view: StreamView) -> None:
        self._view = view
        self.found: Overlap | None = None
        """``None`` while that is not known."""
        self.asked = False
        """Whether a passage was looked for before it was known whether there is one."""
        self._check: OverlapCheck | None = None
        self._model: ModelFacts | None = None  # with what it has read the text is compared
        self._base = 0  # characters of the prime, which is not searched

    def check(self, model: ModelFacts | None, min_length: int, current: Callable[[], State]) -> OverlapCheck | None:
        """Begin anew, with passages of ``min_length`` characters or more after the prime of the ``current`` text. The
        check that is returned is to be watched, and what it finds shown."""
        self.found = self._check = None
        self.asked = False
        self._model = model
        self._view.mark_copied(())
        if model is not None:
            self._check = OverlapCheck(model.run, model.path, min_length, current)
            self._base = current().prime_length
        return self._check

    def is_about(self, model: ModelFacts) -> bool:
        """Whether the text is compared with what this model has read; all models of a run have read the same."""
        known = self._model
        return known is not None and (known.run or known.path) == (model.run or model.path)

    def follow(self, before: Played | None, state: Played) -> None:
        """The view shows this state. What was found after a change is no longer known."""
        same_text = before is not None and before.session_id == state.session_id
        if not same_text or before is None or before.prime_length != state.prime_length:
            self.found, self._base = None, state.prime_length
            if self._check is not None:
                self._check.check_again()
        elif state.splice.added or state.splice.removed:
            start = state.splice.start
            if self.found is not None:
                before_it = tuple(match for match in self.found.matches if match.stop <= start - self._base)
                self.found = replace(self.found, matches=before_it)

    def show(self, found: Overlap) -> None:
        """Mark what was found."""
        self.found = found
        self._view.mark_copied((self._base + match.start, self._base + match.stop) for match in found.matches)

    @property
    def comparing(self) -> bool:
        """Whether it is not known yet what of the text is copied."""
        return self.found is None and self._check is not None and not self._check.ended

    @property
    def nothing_found(self) -> str:
        """Why there is no passage to go to."""
        if self.comparing:
            return "The text is still being compared with what the model has read."
        if self.found is None:
            return "It is not known what this model has read, so nothing can be said of copied passages."
        return self.found.search.nothing_found

    def after(self, position: int) -> int | None:
        """Where the next passage after ``position`` of the view begins, or the first if there is no further one."""
        starts = [] if self.found is None else [self._base + match.start for match in self.found.matches]
        return next((start for start in starts if start > position), next(iter(starts), None))
