"""Suggestions in Write from a copy of the model that learns from what is written."""

from __future__ import annotations

from collections.abc import Awaitable

from textual.worker import Worker

from charlstm.errors import CharLSTMError
from charlstm_tui.actions import key_of
from charlstm_tui.generate.view import GenerateView
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.opening import LearntModel
from charlstm_tui.player.played import Played
from charlstm_tui.player.text_player import TextPlayer

STRENGTHS = (1.0, 2.0, 4.0)
"""How much the copy learns, in the order of the key: factors of the learning rate."""
AGAIN_AFTER = 500
"""Characters after which the copy learns from what is new."""


class Learning:
    """Whether suggestions come from a copy that learns, and how much it learns. It ends where another text, or another
    model, is played."""

    def __init__(self, view: GenerateView, player: TextPlayer, insight: InsightJobs) -> None:
        self._view, self._player, self._insight = view, player, insight
        self._strength: float | None = None  # of the copy; none learns while it is None
        self._worker: Worker[None] | None = None
        self._share = 0.0  # how much is read, 0 to 1
        self._read = 0  # characters of the text when the copy began to learn last

    @property
    def key_label(self) -> str:
        """What the key does next."""
        if self._strength is None:
            return "learn"
        return "fixed weights" if self._strength == STRENGTHS[-1] else "learn more"

    @property
    def _is_learning(self) -> bool:
        return self._worker is not None and not self._worker.is_finished

    @property
    def figure(self) -> str:
        """What to say of it beside the other figures; empty where the model itself suggests."""
        if self._strength is None or self._view.state is None:
            return ""
        if self._is_learning and self._view.state.learnt_strength != self._strength:
            return f"learning {100 * self._share:.0f} %"
        return f"learns, strength {self._strength:g}"

    def follow(self, before: Played | None, state: Played) -> None:
        """Learn again when enough has been written."""
        if self._strength is None:
            return
        if before is None or before.session_id != state.session_id:
            self._end()
        elif self._view.view_name == "write" and not self._is_learning and abs(state.size - self._read) >= AGAIN_AFTER:
            self._begin(self._strength)

    def _show_progress(self, share: float) -> None:
        self._share = share
        self._view.post_message(self._view.Changed())

    def do_learn_written(self) -> None:
        """Let a copy that learns from the text suggest; then one that learns more; after the last, the model again."""
        if self._view.state is None:
            return
        key = key_of("generate.learn_written")
        later = [each for each in STRENGTHS if self._strength is None or each > self._strength]
        if not later:
            self._end()
            self._view.say("The model suggests with its fixed weights again.")
            return
        self._strength = later[0]
        self._begin(self._strength)
        words = f"A copy that learns from your text suggests, strength {self._strength:g}."
        self._view.say(f"{words} {key}: {self.key_label}.")

    def _end(self) -> None:
        self._strength = None
        if self._worker is not None:
            self._worker.cancel()
            self._worker = None
        if self._view.state is not None:
            self._player.suggest_with(None, self._view.state.session_id)
        self._view.post_message(self._view.Changed())

    def _begin(self, strength: float) -> None:
        """Read the text in a thread, and let the copy that has learnt from it suggest."""
        state, model, text_view = self._view.state, self._player.model, self._view.text_view
        if state is None or model is None or text_view is None:
            return
        text = text_view.text()
        tell = self._view.progress_teller(self._show_progress)
        self._share, self._read = 0.0, state.size
        learns = self._learn(self._insight.learnt_model(model, text, strength, tell), state.session_id)
        self._worker = self._view.run_worker(learns, group="learning", exclusive=True)
        self._view.post_message(self._view.Changed())

    async def _learn(self, job: Awaitable[LearntModel], session_id: int) -> None:
        try:
            learnt = await job
        except CharLSTMError as error:
            self._end()
            self._view.say(str(error), error=True)
        else:
            self._player.suggest_with(learnt, session_id)
