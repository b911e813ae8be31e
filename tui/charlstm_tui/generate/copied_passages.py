"""The passages of the played text that stand in the run's training text, marked in the view."""

from __future__ import annotations

from pathlib import Path

from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player.overlap import Overlap, OverlapCheck


class CopiedPassages:
    """What of the text in ``view`` is copied. Only a run knows its training text."""

    def __init__(self, view: StreamView) -> None:
        self._view = view
        self.found: Overlap | None = None
        """``None`` while that is not known."""
        self._check: OverlapCheck | None = None
        self._base = 0  # characters of the prime, which is not searched
        self._marked: set[tuple[int, int]] = set()

    def check(self, run: Path | None, min_length: int, base: int) -> OverlapCheck | None:
        """Begin anew, with passages of ``min_length`` characters or more after ``base`` of prime. The check that is
        returned is to be watched, and what it finds shown."""
        self.found = self._check = None
        if run is not None:
            self._check = OverlapCheck(run, min_length)
            self._base = base
            self._check.replace_from(0, self._view.text(base))
        return self._check

    def text_changed(self, start: int, text: str) -> None:
        """From ``start`` on, counted without the prime, the text is another."""
        if self._check is not None:
            self._check.replace_from(start, text)

    def forget(self, base: int) -> None:
        """Another text is shown, after ``base`` characters of prime: what is known is of the one before."""
        self.found, self._marked, self._base = None, set(), base
        self.text_changed(0, "")

    def show(self, found: Overlap) -> None:
        """Mark what was found."""
        self.found = found
        marked = {(self._base + match.start, self._base + match.stop) for match in found.matches}
        for start, stop in self._marked - marked:
            self._view.mark_copied(start, stop, False)
        for start, stop in marked:
            self._view.mark_copied(start, stop)
        self._marked = marked

    def after(self, position: int) -> int | None:
        """Where the next passage after ``position`` of the view begins, or the first if there is no further one."""
        starts = [] if self.found is None else [self._base + match.start for match in self.found.matches]
        return next((start for start in starts if start > position), next(iter(starts), None))
