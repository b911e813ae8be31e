"""Play and Write: the text with the candidates at its cursor, the sampler's settings, the branches and the prime.

Write is the same text with the keys of a writer: letters are typed into it, and the model suggests how to continue.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from charlstm.display import quoted, visible
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.novelty import MIN_LENGTH
from charlstm.generation.saving import export_text
from charlstm.generation.session_text import SessionText
from charlstm.generation.tree import Alternative
from charlstm.runs.folder import Run
from charlstm_tui.actions import ANYWHERE, OUTSIDE, PANES, Action, active, key_of
from charlstm_tui.background import in_thread
from charlstm_tui.base import is_detached
from charlstm_tui.dialogs import PromptDialog
from charlstm_tui.formatting import home, percent, plural, shorten
from charlstm_tui.generate import exports
from charlstm_tui.generate.branch_tree import BranchTree
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.continuations_dialog import CONTEXT, COUNT, LENGTH, LINES, ContinuationsDialog
from charlstm_tui.generate.copied_passages import CopiedPassages
from charlstm_tui.generate.explaining_view import ExplainingView, started
from charlstm_tui.generate.played_text import PlayedText
from charlstm_tui.generate.prime_input import PrimeInput
from charlstm_tui.generate.sampler_dialog import Chosen, SamplerDialog
from charlstm_tui.generate.sampler_panel import SamplerPanel, adjust, faster, speed_words
from charlstm_tui.generate.session_text_dialog import FORMATS
from charlstm_tui.generate.stream_view import StreamView, default_scale
from charlstm_tui.generate.suggestion_list import SuggestionList
from charlstm_tui.generate.view_bar import Legend, char_figures, held_words
from charlstm_tui.player import operations, saved_sessions
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.marks import SCALES, Scale
from charlstm_tui.player.operations import SeenPosition
from charlstm_tui.player.overlap import Overlap, OverlapCheck
from charlstm_tui.player.playback import PAUSE_AFTER
from charlstm_tui.player.preferences import Preferences, recall, remember
from charlstm_tui.player.state import FULL, ModelFacts, PlaybackState, PlayRequest
from charlstm_tui.player.thread import Player
from charlstm_tui.process import settle_garbage
from charlstm_tui.save_dialog import SaveDialog
from charlstm_tui.widgets.find import FindBar
from charlstm_tui.widgets.split import Split

CHOICES_PAGE = 10
"""Choices that a page key passes."""
HELD_FOR = 0.4
"""Seconds after which a key is not held any more: Ctrl+→ that went on by words to the end accepts none meanwhile."""
SAME_BEGINNING = 12
"""Characters in which two versions of one text begin alike."""
BEGINNING = 25
"""Characters of a session's beginning that a message has."""
LONGEST_TITLE, SHORTEST_TITLE = 30, 12
"""Characters of the session's title beside the prime, and how many of them are worth showing."""
LEAST_PRIME = 40
"""Columns that the prime, its caption and its key have before the title."""
TITLE_CONTEXT = 40
"""Characters before the cursor that the candidates' title may show."""
LEFT_OUT_SHOWN = 3
"""Different characters that were left out and are named: as many as fit on a line."""
PANELS_INTERVAL = 0.25
"""Seconds between two sets of candidates while text races by at full speed: drawing them takes as long as the text."""


class PlayView(ExplainingView):
    """One session. With ``writing`` the user types; with ``choosing`` the digits pick candidates."""

    writing: reactive[bool] = reactive(False, init=False)
    choosing: reactive[bool] = reactive(False, init=False)
    text_only: reactive[bool] = reactive(False, init=False)
    """Focus mode: whether there is nothing on the screen but the text."""

    def __init__(self, player: Player, insight: InsightJobs, usual: Preferences, *, id: str | None = None) -> None:
        super().__init__(player, insight, id=id)
        self.update_classes({"-no-model": True, "-empty": True}, update=False)
        self._usual = usual  # how a model is played that was not played before
        self.state: PlaybackState | None = None
        """The last state of the playback."""
        self._notice: Content | None = None
        self._stream = StreamView(keys_scroll=False, can_replace=True, id="stream")
        self._text = PlayedText(player, self._stream)
        self._copied = CopiedPassages(self._stream)
        self.min_copied = MIN_LENGTH
        """Characters from which on a passage counts as copied."""
        self._panels_at = 0.0
        self._opening: tuple[PlayRequest, Preferences] | None = None  # a request whose model was not played yet
        self._offered: tuple[int | None, str] | None = None  # a model of the run, and words about it
        self._said_of = 0  # the session of which is said what it is
        self._last_model: ModelFacts | None = None  # of that session
        self._suggestion_hidden = False
        self._unaccepted = ""  # what is left of the suggestion that is shown: keys may come faster than the next one
        self._walked_at = 0.0  # when Ctrl+→ went on by a word
        self._continuations: ContinuationsDialog | None = None
        self._preferences_failure = ""  # which is said once
        self._noted = False  # what the last change was is said
        self._saved_as: tuple[int, Path] | None = None  # the session that was saved last, and its file

    def compose(self) -> ComposeResult:
        with Horizontal(id="prime-row"):
            yield Static(Content("Prime"), id="prime-caption", classes="quiet")
            yield PrimeInput(id="prime")
            yield Static(id="prime-hint", classes="quiet")
        yield Static(id="unknown")
        with Split("#side", id="play-body"):
            yield Empty(id="empty")
            yield self._stream
            with Vertical(id="side"):
                yield Candidates(id="candidates").data_bind(PlayView.choosing)
                with Vertical(id="suggestions-pane"):
                    yield Static(Content("SUGGESTIONS"), classes="caption")
                    yield SuggestionList(id="suggestions")
                with Vertical(id="tree-pane"):
                    with Horizontal(id="tree-caption"):
                        yield Static(Content("BRANCHES  Enter shows"), classes="caption")
                        yield Static(Content("from"), classes="caption")
                    yield BranchTree(id="tree")
                yield SamplerPanel(id="sampler")

    def on_mount(self) -> None:
        if not is_detached(self):
            self._draw_empty()
            self._draw_title()

    def on_resize(self) -> None:
        self._draw_title()

    # ---- for the screen

    @property
    def name_shown(self) -> str:
        return "write" if self.writing else "play"

    @property
    def text_view(self) -> StreamView:
        return self._stream

    @property
    def place(self) -> SeenPosition:
        """The place of the cursor."""
        return self._text.cursor

    @property
    def overlap(self) -> Overlap | None:
        """What of the text is copied, if the training text is known."""
        return self._copied.found

    @property
    def prime(self) -> str:
        """The beginning of the text that is its prime."""
        return self.text_view.text(0, self._text.prime_length)

    @property
    def prime_input(self) -> PrimeInput:
        return self.query_one("#prime", PrimeInput)

    @property
    def playing(self) -> bool:
        """Whether there is a session on the screen."""
        return self._notice is None and self.state is not None and self.state.distribution is not None

    @property
    def running(self) -> bool:
        return self.state is not None and self.state.running

    @property
    def takes_letters(self) -> bool:
        return self.writing

    @property
    def suggested(self) -> str:
        """The suggestion, while it is shown."""
        return "" if self.state is None or self._suggestion_hidden else self.state.suggestion

    def scopes(self) -> tuple[str, ...]:
        if self.choosing:
            return (ANYWHERE, PANES, OUTSIDE, "generate.choices")
        if self.writing:
            return (ANYWHERE, "generate.write", "generate.write.suggestion" if self.suggested else PANES)
        focused = self.screen.focused
        if focused is self.text_view:
            return ("generate", "generate.play", "generate.model", "generate.text")
        if isinstance(focused, BranchTree):
            return ("generate", "generate.play", "generate.model", "generate.tree")
        return ("generate", "generate.play", "generate.model")

    def can(self, action: Action) -> bool:
        state = self.state
        if action.handler == "open_model":
            return True
        if action.handler == "edit_prime":
            return self._notice is None and state is not None and state.facts is not None and not state.busy
        if action.handler == "last_session":
            return self.playing
        if action.handler == "checkpoint":
            return self.playing and state is not None and state.facts is not None and bool(state.facts.snapshot_steps)
        if action.handler == "save":
            return self.playing or (state is not None and state.unopened is not None)
        if action.handler == "accept_word":
            return self.playing and bool(self.suggested)
        if action.handler == "another_suggestion":
            has_none = not self.text_view.at_end  # which the key says
            return self.playing and state is not None and (bool(state.suggestion) or has_none)
        if action.handler in ("undo", "redo") and not self.writing:
            return self.playing and state is not None and bool(getattr(state, f"{action.handler}able"))
        if action.scope == "generate.tree":
            branch = self.query_one(BranchTree).highlighted_branch
            return branch is not None and (branch.parent is not None or action.handler != "prune_branch")
        if action.handler == "why" and self.screen.focused is not self.text_view:
            return False
        if action.handler == "pick":
            return action.args[0] <= len(self._shown_candidates)
        return self.playing

    def labels(self) -> dict[str, str]:
        state = self.state
        shown = min(9, len(self._shown_candidates))
        stream = "pause" if state and state.running else "one more" if state and state.speed == 0 else "generate"
        labels = {"generate.stream": stream, "generate.pick_1": f"to {shown} choose"}
        if not self.text_view.at_end:  # there are no suggestions, which the key says
            labels["generate.next_suggestion"] = ""
        return labels

    def figures(self) -> list[str]:
        state = self.state
        if self._notice is not None or state is None or state.facts is None or state.error:
            return []
        figures = []
        if state.running:
            figures.append(f"▶ {state.rate:,.0f} ch/s" if state.rate else f"▶ {speed_words(state.speed)}")
        elif not self.writing and not state.reading:
            figures.append(f"‖ {state.stop_reason or 'paused'}")
        if state.current_char is not None and state.current_probability is not None:
            bits = self.bits or not self.explaining  # as what is said beside it
            known = state.current_probability, state.current_rank
            figures.insert(0, char_figures(state.current_char, *known, bits=bits))
        elif state.bits_per_char is not None:
            figures.append(f"mean {state.bits_per_char:.2f} bits")
        if self.overlap is not None and self.writing:
            figures.append(f"{percent(self.overlap.share)} copied")
        if state.clamps:
            figures.insert(0, held_words(state.clamps))
        figures.append(f"{state.size:,} chars")
        words = plural(self.text_view.words, "word")
        if self.writing:
            figures.insert(0, words)
        else:
            figures.append(words)
        if self.text_view.joined:
            figures.insert(1, "lines joined")
        if state.reading:
            figures.insert(0, state.reading)
        return figures

    def hint(self) -> str:
        if self.prime_input.has_focus:
            return "Enter: play from this prime   Ctrl+J: new line   Esc: cancel"
        if self.explaining:
            return self.explanation
        if self._offered is not None:
            keys = [*([key_of("app.back")] if self.writing else []), key_of("generate.later")]
            return f"A better model has come: {self._offered[1]}.   {' '.join(keys)} goes on with it"
        if self.writing and self.state is not None and self.state.left_out:
            return left_out_words(self.state.left_out)
        if self.writing or self.overlap is None or self.state is None or self.text_view.at_end:
            return ""
        match = self.overlap.match_at(self.text_view.cursor - self._text.prime_length)
        return "" if match is None else self.overlap.source(match)

    def legend(self) -> Legend | None:
        if not self.playing or (legend := super().legend()) is None:
            return None
        copied = None if self.overlap is None or self.writing else self.overlap.share
        return replace(legend, copied=copied, copied_style=self.text_view.copied_style)

    @property
    def escape_label(self) -> str:
        return "hide suggestion" if self.writing and self.suggested else ""

    def handle_escape(self) -> bool:
        if self.writing and self.state is not None and self.state.left_out:
            self.player.do(operations.FORGET_LEFT_OUT)  # by the way: the key does what it does without a warning
            self.say("")
        if self.text_only:
            self.text_only = False
        elif self.writing:
            if self.suggested:
                self._suggestion_hidden = True
                self.text_view.show_suggestion("")
                self.remove_class("-suggesting")
                self.post_message(self.Changed())
            else:
                self.writing = False
        elif self.choosing:
            self.choosing = False
        elif self.explaining:
            self.explaining = False
        elif self.state is not None and self.state.busy:
            self.player.cancel()
        elif self.screen.focused is not self.text_view and not self.has_class("-empty"):
            self.remove_class("-tree")
            self.focus_text()
        else:
            return False
        return True

    def focus_text(self) -> None:
        """Give the focus to the text, or to what stands in its place."""
        if self.screen.has_class("-tiny"):
            self.remove_class("-tree")  # which takes the text's place there
        (self.query_one(Empty) if self.has_class("-empty") else self.text_view).focus()

    def leave(self) -> None:
        """Another view or mode is shown: leave what is only for this one."""
        self.writing = self.choosing = self.explaining = self.text_only = False
        self.player.do(operations.PAUSE)

    # ---- which model

    @work(exclusive=True, group="open")
    async def open(self, model_name: str, step: int | None, session: Path | None, runs_dir: Path | None) -> None:
        """Play another model as it was last played, or continue a saved ``session`` on it."""
        played = self.preferences()

        def preferences(check: object) -> Preferences:
            if played is not None:
                remember(*played)
            return recall(model_name) or self._usual

        try:
            chosen = await in_thread(preferences)
        except GenerationError as error:
            if str(error) != self._preferences_failure:
                self._preferences_failure = str(error)
                self.say(str(error), error=True)
            chosen = self._usual
        request = PlayRequest(
            model_name, step, runs_dir, None if session else chosen.prime, settings=chosen.settings,
            speed=chosen.speed, stream=session is None, session=session,
        )  # fmt: skip
        self._opening = (request, chosen)
        self.load(request)

    def load(self, request: PlayRequest) -> None:
        """Play a request of the same model or another."""
        self.choosing = False
        self._offered = None
        self._notice = None
        self.player.load(request)

    def load_session(self, path: Path, model_name: str | None = None, step: int | None = None) -> None:
        """Continue a saved session with the model that is played, or with the one of its run after so many steps."""
        if self.state is not None:
            request = self.state.request
            if model_name is not None:
                request = replace(request, model_name=model_name, step=step)
            self.load(replace(request, prime=None, settings=None, speed=None, session=path, stream=False))

    def preferences(self) -> tuple[str, Preferences] | None:
        """The model that is played, and how, to be remembered for the next time."""
        state = self.state
        if state is None or state.facts is None or state.distribution is None:
            return None
        prime = state.request.prime if state.request.session is None else self.prime
        colour = None if self.scale is self._usual_scale else self.scale.name
        joined = self.text_view.joined
        return state.request.model_name, Preferences(
            state.settings, state.speed, colour, prime, self.min_copied, joined
        )

    @property
    def _usual_scale(self) -> Scale:
        """What colours the text of a model for which nothing else was chosen."""
        return next((scale for scale in SCALES if scale.name == self._usual.colour), default_scale(self.app))

    def _opened(self, state: PlaybackState, preferences: Preferences) -> None:
        """A model that was asked for is played."""
        scale = next((scale for scale in SCALES if scale.name == preferences.colour), self._usual_scale)
        self.scale, self.min_copied = scale, preferences.copied
        self.text_view.join(preferences.joined)
        settle_garbage()
        last = state.last_session
        if last is not None and state.request.session is None:
            key, others = key_of("generate.last_session"), key_of("generate.open_model")
            of = "" if state.facts is None or last.model == state.facts.name else f" of {last.model}"
            self.say(f"{key} continues the last session{of}, {last.about(BEGINNING)}; {others} lists all.")

    def _say_what_is_played(self, state: PlaybackState, before: ModelFacts | None) -> None:
        """Another text has come: say what became of the one before, and which session it is. Where it came because of
        another checkpoint of the run that was played ``before``, the screen says that."""
        opened, last, replaced = state.opened, state.last_session, state.replaced
        if opened is not None and last is not None and last.is_version_of(opened.path) and last.saved > opened.saved:
            key = key_of("generate.last_session")
            self.say(f"{key} continues a newer version, saved by itself: {last.about(BEGINNING)}.")
        elif replaced is not None and replaced.length and not _is_other_checkpoint(before, state.facts):
            key = key_of("generate.undo")
            self.say(f"{key} brings back the text before: {replaced.about(BEGINNING, moment=False)}.")
        elif opened is not None:
            others = key_of("generate.open_model")
            self.say(f"{opened.name or 'Session'}, {opened.about(BEGINNING)}; {others} lists the others.")

    def show_notice(self, notice: Content | None) -> None:
        """Show a notice in the place of the text, which pauses, until something is loaded; ``None`` removes it."""
        if (notice is None) != (self._notice is None):
            self.leave()
            self.call_after_refresh(self.post_message, self.Changed())
        self._notice = notice
        self._draw_empty()

    # ---- the player's states

    def show(self, state: PlaybackState) -> None:
        """Show what has changed."""
        before, self.state = self.state, state
        text = self.text_view
        new_text = before is None or before.session_id != state.session_id
        if new_text:
            text.clear()
        text.replace(state.start, state.start + state.removed, state.text, state.marks)
        text.set_marks(state.figures_start, state.figures, state.read_to)
        if new_text or before is None or before.prime_length != state.prime_length:
            self._copied.forget(state.prime_length)
            typed = state.request.prime if new_text and (state.prime_length or state.unknown) else None
            self.prime_input.show(text.text(0, state.prime_length) if typed is None else typed)
            self._draw_unknown()
        elif state.text or state.removed:
            self._copied.text_changed(state.start, state.removed, state.text)
        if self._said_of != state.session_id and state.distribution is not None:
            self._said_of, last_model, self._last_model = state.session_id, self._last_model, state.facts
            self._say_what_is_played(state, last_model)
        text.show_suggestion(self.suggested)
        self._unaccepted = self.suggested
        suggestions = state.suggestions if self.suggested else ()
        self.set_class(bool(suggestions), "-suggesting")
        self.query_one(SuggestionList).show(suggestions, state.suggestion_place)
        if self._opening is not None and state.request is self._opening[0] and state.distribution is not None:
            preferences, self._opening = self._opening[1], None
            self._opened(state, preferences)
            self.check_overlap()
        if (not text.at_end or state.position < state.size) and text.cursor != state.position:
            text.cursor = state.position
        if _moves_cursor(before, state):
            if not new_text and state.start < state.position <= state.start + len(state.text):
                text.reveal(state.start)  # what came in before the cursor, or as much of it as the view can show
            text.reveal(text.cursor)
        if self._continuations is not None and state.continuations is not None:
            self._continuations.show(state.continuations)
        if before is not None and not new_text and state.cuts != before.cuts:
            self._say_what_was_cut(len(state.cut))
        if state.note or state.failure:
            self.say(state.failure or state.note, error=bool(state.failure))
        elif self._noted and not (new_text or self.screen.has_class("-finding")) and _moves_cursor(before, state):
            self.say("")  # it was about the change before
        self._noted = bool(state.note) or (self._noted and not _moves_cursor(before, state))
        self.query_one(BranchTree).show(state.branches)
        if not _races_on(before, state) or time.monotonic() - self._panels_at >= PANELS_INTERVAL:
            self._draw_panels()
        if self.explaining:
            if started(before, state) or not self.playing:
                self.explaining = False
            else:
                self.explain()
        if before is None or new_text or _key_state(before) != _key_state(state):
            self._draw_empty()
            self._draw_title()
            self.post_message(self.Changed())
        self._text.shown(state)

    @property
    def _shown_candidates(self) -> tuple[Alternative, ...]:
        """As many candidates as fit. The key bar may be drawn before the view has its parts: then none."""
        return next((each.shown for each in self.query(Candidates)), ())

    def _draw_panels(self) -> None:
        state, text = self.state, self.text_view
        if state is None:
            return
        self._panels_at = time.monotonic()
        self.query_one(SamplerPanel).show(state.settings, state.speed)
        cursor = text.cursor
        self.query_one(Candidates).show(
            state.distribution, state.settings, state.current_char, text.text(max(0, cursor - TITLE_CONTEXT), cursor)
        )

    def _draw_unknown(self) -> None:
        line, state = self.query_one("#unknown", Static), self.state
        line.display = state is not None and bool(state.unknown)
        if state is None or not state.unknown:
            return
        chars = " ".join(map(quoted, state.unknown[:20])) + (" …" if len(state.unknown) > 20 else "")
        replacement = None if state.facts is None else state.facts.replacement
        line.update(
            Content(
                f"This model has never seen {chars}: left out of the prime."
                if replacement is None
                else f"This model has no symbol of its own for {chars}: read as {quoted(replacement)}."
            )
        )

    def _draw_title(self) -> None:
        """Show the title of the session beside the prime, and the key that edits the prime."""
        title = "" if self.state is None else visible(self.state.title, keep="")
        length = min(LONGEST_TITLE, self.size.width - LEAST_PRIME)
        shown = f"“{shorten(title, length)}”   " if title and length >= SHORTEST_TITLE else ""
        key = (key_of("generate.edit_prime"), "bold $primary")
        self.query_one("#prime-hint", Static).update(Content.assemble((shown, "bold $foreground"), key, " edit"))

    def _draw_empty(self) -> None:
        """While nothing is played: why, and the keys that change it."""
        state = self.state
        words = self._why_empty() if self._notice is None else self._notice
        empty = self.query_one(Empty)
        if words is not None:
            empty.update(words)
        changes = self.has_class("-empty") != (words is not None)
        # Textual would give the focus of a text that is hidden to the prime, and letters would be typed there.
        moves = self.screen.focused in (None, self.text_view, empty, self.query_one(BranchTree))
        no_model = self._notice is not None or state is None or state.facts is None
        self.update_classes({"-no-model": no_model, "-empty": words is not None})
        if changes and moves and self.app.app_focus and self.screen.is_current:
            self.focus_text()

    def _why_empty(self) -> Content | None:
        state, key = self.state, "bold $primary"
        open_key, edit_key = key_of("generate.open_model"), key_of("generate.edit_prime")
        if state is not None and state.error:
            edit = ((edit_key, key), " edits the prime   ") if state.facts is not None else ()
            error = (visible(state.error), "$error")
            export = ((key_of("generate.save"), key), " exports its text   ") if state.unopened is not None else ()
            return Content.assemble(error, "\n\n", *edit, *export, (open_key, key), " opens another model")
        if state is not None and state.busy:
            stop = ("\n\n", (key_of("app.back"), key), (" stops", "$quiet")) if state.facts is not None else ()
            return Content.assemble((visible(state.busy), "$quiet"), *stop)
        if state is None and self._opening is None:
            corpus_key = key_of("app.mode_corpus")
            return Content.assemble(
                "Nothing to play yet.\n\n",
                *((corpus_key, key), " chooses a text to train on\n", (open_key, key), " opens a model"),
            )
        return None

    # ---- copied passages

    def check_overlap(self) -> None:
        """Mark what is copied from now on. Only a run knows its training text."""
        state = self.state
        self.workers.cancel_group(self, "overlap")
        run = None if state is None or state.facts is None else state.facts.run
        check = self._copied.check(run, self.min_copied, self._text.prime_length)
        if check is not None:
            self._watch_overlap(check)

    @work(exclusive=True, group="overlap")
    async def _watch_overlap(self, check: OverlapCheck) -> None:
        await check.watch(self._show_overlap)

    def _show_overlap(self, overlap: Overlap) -> None:
        self._copied.show(overlap)
        self.post_message(self.Changed())

    # ---- actions: streaming and settings

    def do_stream(self) -> None:
        self.say("")
        if self.state is not None and self.state.running:
            self.player.do(operations.PAUSE)
        else:
            self.text_view.cursor = None
            self.text_view.reveal(self.text_view.length)
            self.player.do(operations.STREAM, PAUSE_AFTER)

    def do_speed(self, direction: int) -> None:
        self.player.change_speed(lambda speed: faster(speed, direction))

    def do_adjust(self, name: str, direction: int) -> None:
        facts = None if self.state is None else self.state.facts
        symbols = math.inf if facts is None else facts.vocab_size
        self.player.change_settings(lambda settings: adjust(settings, name, direction, symbols))

    def do_all_settings(self) -> None:
        if self.state is None:
            return

        def chosen(answer: Chosen | None) -> None:
            if answer is None:
                return
            self._suggestion_hidden = False
            self.player.change_settings(lambda _: answer.settings)
            if answer.copied is not None and answer.copied != self.min_copied:
                self.min_copied = answer.copied
                self.check_overlap()

        self.app.push_screen(SamplerDialog("How characters are chosen", self.state.settings, self.min_copied), chosen)

    # ---- actions: moving

    def do_walk(self, characters: int, lines: int) -> None:
        text, state = self.text_view, self.state
        if state is None:
            return
        if characters > 0 and text.at_end and not state.running:
            self.player.do(operations.GENERATE_ONE)
            return
        self._text.walk(characters, lines)

    def do_walk_words(self, direction: int) -> None:
        self.player.do(operations.MOVE_BY_WORD, direction)

    def do_walk_row(self, direction: int) -> None:
        self._text.walk_row(direction)

    def do_walk_text(self, direction: int) -> None:
        self._text.walk_text(direction)

    def do_walk_page(self, direction: int) -> None:
        self._text.walk_page(direction)

    @on(StreamView.CursorMoved)
    def _cursor_moved(self, event: StreamView.CursorMoved) -> None:
        event.stop()
        if any(bar.has_class("-replacing") for bar in self.screen.query(FindBar)):  # undo is for what is replaced
            self._text.do(operations.SHOW_PLACE, self._text.cursor)
        else:
            self._text.move_to(self.text_view.cursor)

    def _go_to(self, position: int) -> None:
        """Put the cursor before the character at ``position`` of the view, and show it."""
        self._text.move_to(position)
        self.post_message(self.Changed())

    def do_next_copied(self) -> None:
        """Put the cursor on the next copied passage, after the last on the first: the status line says where from."""
        place = self._copied.after(self.text_view.cursor)
        if place is None:
            self.say("Nothing of this text is known to stand in the training text.")
            return
        self.say("")
        self._go_to(place)

    def replace_found(self, bar: FindBar, text: str, place: int | None) -> None:
        """Replace what the bar has found: at ``place``, or everywhere."""
        view = self.text_view
        at = None if place is None else self._text.at(place)

        def replaced() -> None:
            view.search_origin = view.cursor  # where nothing more is found, what was replaced last stays in view
            bar.text_changed(view.cursor)

        self._text.do(operations.REPLACE_FOUND, bar.search.pattern, text, at, self._text.at(view.search_origin))
        self._text.when_shown(replaced)

    # ---- actions: focus mode

    def do_text_only(self) -> None:
        self.text_only = not self.text_only

    def watch_text_only(self, text_only: bool) -> None:
        self.screen.minimize()
        self.screen.set_class(text_only, "-text-only")
        self.text_view.shows_levels = self.explaining or not text_only
        if text_only:
            self.focus_text()
            key, back = key_of("generate.text_only"), key_of("app.back")
            self.say(f"{back} or {key} shows all panes again.")

    def do_colour(self) -> None:
        """Colour the text by another figure; in focus mode, which has no colours, first by the one that is chosen."""
        if self.text_view.shows_levels:
            super().do_colour()
        else:
            self.text_view.shows_levels = True

    def watch_explaining(self, explaining: bool) -> None:
        super().watch_explaining(explaining)
        self.text_view.shows_levels = explaining or not self.text_only

    # ---- actions: what could come next

    def do_continuations(self) -> None:
        """Show several continuations of the text at the cursor; the one that is picked is put in."""
        if self.state is None:
            return
        self.player.do(operations.PAUSE)
        if not self.writing:
            self._text.move_to(self.text_view.cursor)

        def picked(text: str | None) -> None:
            self._continuations = None
            if text is None:
                self.player.cancel()
            else:
                self.player.do(operations.PUT_IN, text)

        cursor = self.text_view.cursor
        self._continuations = ContinuationsDialog(
            self.text_view.text(max(0, cursor - CONTEXT), cursor),
            lambda first: self.player.find_continuations(COUNT, LENGTH, LINES, first),
        )
        self.app.push_screen(self._continuations, picked)

    def do_alternative(self, direction: int) -> None:
        self.say("")
        self.player.do(operations.ALTERNATIVE, direction, self._text.cursor)

    # ---- actions: undo

    def do_undo(self) -> None:
        self._suggestion_hidden = False
        self.player.do(operations.UNDO)

    def do_redo(self) -> None:
        self._suggestion_hidden = False
        self.player.do(operations.REDO)

    # ---- actions: choosing and branching

    def watch_choosing(self, choosing: bool) -> None:
        self.set_class(choosing, "-choosing")
        if choosing:
            self.screen.minimize()
            self.text_only = False
            self.remove_class("-tree")  # where there is little space it stands in the candidates' place
            up, down, pick = (key_of(f"generate.{name}") for name in ("choice_up", "choice_down", "pick_chosen"))
            first, last, back = key_of("generate.pick_1"), key_of("generate.pick_9"), key_of("app.back")
            self.say(f"{up} {down} and {pick}, or {first}–{last}: the text branches there. {back} cancels.")
        else:
            self.say("")
            self.focus_text()
        self._draw_panels()
        self.post_message(self.Changed())
        self.call_after_refresh(self.post_message, self.Changed())  # by then it is known how many fit

    def do_choices(self) -> None:
        self.player.do(operations.PAUSE)
        self.choosing = True

    def do_choice(self, lines: int) -> None:
        self.query_one(Candidates).move(lines)

    def do_pick_chosen(self) -> None:
        chosen = self.query_one(Candidates).chosen
        if chosen is not None:
            self._pick(chosen.char)

    def do_pick(self, number: int) -> None:
        shown = self._shown_candidates
        if number <= len(shown):
            self._pick(shown[number - 1].char)

    @on(Candidates.Picked)
    def _picked(self, event: Candidates.Picked) -> None:
        self._pick(event.char)

    def _pick(self, char: str) -> None:
        self.player.do(operations.CHOOSE, char, self._text.cursor)
        self.choosing = False

    def do_regenerate(self) -> None:
        self.player.do(operations.REGENERATE, self._text.cursor)

    def do_own_text(self) -> None:
        self.player.do(operations.PAUSE)
        place = self._text.cursor

        def typed(text: str | None) -> None:
            if text:
                self.player.do(operations.INSERT_AT, text, place)

        about = "It goes in at the cursor. The text from there on stays as a branch."
        self.app.push_screen(PromptDialog("Your own text", about, wide=True, lines=True), typed)

    def do_branches(self) -> None:
        """Show the branches and give them the focus; from there, back to the text."""
        tree = self.query_one(BranchTree)
        if tree.has_focus:
            self.remove_class("-tree")
            self.focus_text()
        else:
            self.text_only = False
            self.add_class("-tree")
            tree.focus()

    def do_prune_branch(self) -> None:
        branch = self.query_one(BranchTree).highlighted_branch
        if branch is not None:
            self.player.do(operations.PRUNE, branch.number)

    def do_name_branch(self) -> None:
        branch = self.query_one(BranchTree).highlighted_branch
        if branch is None:
            return

        def named(name: str | None) -> None:
            if name is not None:
                self.player.do(operations.RENAME, branch.number, name)

        self.app.push_screen(PromptDialog("Name this branch", value=branch.name), named)

    @on(BranchTree.OptionHighlighted)
    def _branch_highlighted(self) -> None:
        self.post_message(self.Changed())

    @on(BranchTree.Chosen)
    def _branch_chosen(self, event: BranchTree.Chosen) -> None:
        self.player.do(operations.SWITCH, event.number)
        self.remove_class("-tree")
        self.focus_text()

    # ---- actions: prime, checkpoints, sessions

    def do_give_title(self) -> None:
        """Ask for a title of the session."""
        if self.state is None:
            return

        def answered(title: str | None) -> None:
            if title is not None:
                self.player.give_title(" ".join(title.split()))

        about = "It stands above the text and in the list of sessions. An empty one removes it."
        self.app.push_screen(PromptDialog("Title of the session", about, self.state.title, "a title"), answered)

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _focus_moved(self, event: events.DescendantFocus | events.DescendantBlur) -> None:
        if isinstance(event, events.DescendantFocus) and event.widget is self.prime_input:
            self.player.do(operations.PAUSE)  # nothing is generated while a prime is typed
        self.post_message(self.Changed())

    def do_edit_prime(self) -> None:
        self.text_only = False
        self.screen.set_focus(self.prime_input)

    @on(PrimeInput.Left)
    def _prime_left(self) -> None:
        self.say(f"That prime was not played; {key_of('generate.edit_prime')} has it again.")

    @on(PrimeInput.Submitted)
    def _prime_submitted(self, event: PrimeInput.Submitted) -> None:
        if self.state is not None:
            request = self.state.request
            self.load(replace(request, prime=event.text, settings=None, speed=None, session=None, stream=True))
        self.focus_text()

    def do_join_lines(self) -> None:
        joined = not self.text_view.joined
        self.text_view.join(joined)
        how = "as spaces" if joined else "as they are"
        self.say(f"Line breaks within a paragraph are shown {how}; the text stays the same.")

    def do_checkpoint(self, direction: int) -> None:
        self.say("")
        if direction > 0 and self._offered is not None:
            self.player.load_model_of_run(self._offered[0])
        else:
            self.player.load_checkpoint(direction)
        self._offered = None

    def offer(self, step: int | None, words: str) -> None:
        """Say that a better model has come, with which a key goes on: that of the run after ``step`` steps, or its best
        one."""
        self._offered = step, words
        self.post_message(self.Changed())

    def do_save(self) -> None:
        """Ask for a file: its ending says what is saved."""
        state = self.state
        if state is not None and state.unopened is not None and not self.playing:
            self.export_text(state.unopened.text)
        if state is None or state.facts is None or not self.playing:
            return
        sessions = saved_sessions.folder(state.facts.run, state.facts.path) if state.file is None else state.file.parent
        about = f"In Play, {key_of('generate.open_model')} lists the sessions in {home(sessions)}."
        run = state.facts.run
        if run is not None and sessions.is_relative_to(run) and not run.exists():
            about = ""  # the run is gone: the next change is saved elsewhere

        def named(path: Path | None) -> None:
            if path is not None and (exports.CHECKPOINTS.fits(path) or exports.REPORT.fits(path)):
                self._write_page(path, state)
            elif path is not None:
                self._saved_as = (state.session_id, path)
                self.player.save_as(path, self.scale.name)

        formats = exports.formats(state.facts)
        stem = exports.file_name(state.title) or Path(state.facts.name).stem
        own = Path(state.continues) if self._is_of_this_text(state.continues) else None
        name = self._offered_name(state, f"{stem}{formats[0].ending}") if own is None else home(own)
        self.app.push_screen(SaveDialog("Save the text, or the session", name, formats, about, own), named)

    def export_text(self, found: SessionText) -> None:
        """Ask for a file, and write the text of a session that cannot be continued."""

        def named(path: Path | None) -> None:
            if path is not None:
                self._write_text(path, found)

        name = f"{exports.file_name(found.title) or found.path.stem}{FORMATS[0].ending}"
        self.app.push_screen(SaveDialog("Export the text", name, FORMATS), named)

    @work(exclusive=True, group="page")
    async def _write_text(self, path: Path, found: SessionText) -> None:
        await self._export(path, in_thread(lambda check: export_text(found.text, path, found.title)))

    def _is_of_this_text(self, continued: str) -> bool:
        """Whether the session that is continued is still in its file, with a text that begins like this one."""
        saved = saved_sessions.session_at(Path(continued)) if continued else None
        if saved is None or saved.summary is None:
            return False
        there = saved.summary.begins[:SAME_BEGINNING]
        return self.text_view.text(0, len(there)) == there

    def _offered_name(self, state: PlaybackState, name: str) -> str:
        """The file of this text, if it was saved before; else ``name``, in the folder where another one was saved."""
        if self._saved_as is None:
            return name
        session_id, path = self._saved_as
        return home(path if session_id == state.session_id else path.with_name(name))

    @work(exclusive=True, group="page")
    async def _write_page(self, path: Path, state: PlaybackState) -> None:
        """Write a page about the run whose model is played."""
        assert state.facts is not None
        assert state.facts.run is not None
        run, prime = Run(state.facts.run), self.prime
        self.player.do(operations.PAUSE)

        def write_checkpoints(check: Callable[[], None]) -> None:
            def progress(done: int, total: int) -> None:
                check()
                if done < total:
                    words = f"Generating with checkpoint {done + 1} of {total} …"
                    self.app.call_from_thread(self.say, words)

            exports.write_checkpoints(path, state, prime, run, progress)

        if exports.CHECKPOINTS.fits(path):
            await self._export(path, in_thread(write_checkpoints))
        else:
            self.say("Writing the report; it takes a minute or two.")
            await self._export(path, exports.write_report(path, run.path, state.request.step))

    async def _export(self, path: Path, writing: Awaitable[object]) -> None:
        """Wait for the file to be written, and say what came of it."""
        try:
            await writing
        except CharLSTMError as error:
            self.say(str(error), error=True)
        except OSError as error:
            self.say(f"{home(path)} cannot be written: {error.strerror or error}.", error=True)
        else:
            self.say(f"Exported to {path.name} in {home(path.absolute().parent)}")

    # ---- writing

    def watch_writing(self, writing: bool) -> None:
        self.explaining = False
        self.set_class(writing, "-typing")  # the keys of the settings and of the branches are letters then
        self._suggestion_hidden = False
        self._text.writing = writing
        self.player.do(operations.SET_WRITING, writing)
        self.focus_text()
        if writing:
            back = key_of("app.back")
            self.say(f"Type. Grey is the model's suggestion: {back} hides it, {back} again ends Write.")
        else:
            self.say("")
        self.post_message(self.Changed())

    def on_key(self, event: events.Key) -> None:
        """In Write, keys without a binding are typed into the text. The choices scroll by pages."""
        if self.choosing and event.key in ("pageup", "pagedown"):
            event.stop()
            event.prevent_default()
            self.do_choice(-CHOICES_PAGE if event.key == "pageup" else CHOICES_PAGE)
            return
        if not self.writing or self.screen.focused is not self.text_view:
            return
        if any(event.key in action.keys and self.can(action) for action in active(self.scopes())):
            return
        if self._text.handle(event):
            if event.key == "ctrl+right":
                self._walked_at = time.monotonic()
            event.stop()
            event.prevent_default()
            self._typed()

    def on_paste(self, event: events.Paste) -> None:
        if self.writing:
            event.stop()
            self._text.when_shown(lambda: self._text.type(event.text))
            self._typed()

    def do_cut(self) -> None:
        if not self._text.cut_selected():
            self.say("Nothing is selected: the mouse selects, and so does Shift with the arrows.")

    def do_cut_rest(self) -> None:
        self._text.cut_rest()

    def _say_what_was_cut(self, length: int) -> None:
        if length:
            self.say(f"Cut {plural(length, 'character')}: {key_of('generate.undo_written')} brings them back.")
        else:
            self.say("There is nothing after the cursor.")

    def _typed(self) -> None:
        self.say("")
        if self._suggestion_hidden:
            self._suggestion_hidden = False
            self.post_message(self.Changed())

    def do_accept_suggestion(self) -> None:
        self._accept(len(self._unaccepted))

    def do_accept_word(self) -> None:
        if time.monotonic() - self._walked_at < HELD_FOR:
            self._walked_at = time.monotonic()
            return
        word = re.match(r"\s*\S+", self._unaccepted)
        if word is not None:
            self._accept(word.end())

    def _accept(self, length: int) -> None:
        self.player.do(operations.ACCEPT, self._unaccepted[:length])
        self._unaccepted = self._unaccepted[length:]

    def do_another_suggestion(self, direction: int) -> None:
        if not self.text_view.at_end:
            key = key_of("generate.continuations_written")
            self.say(f"Suggestions come at the end of the text; {key} reads ways on from here.")
            return
        self._suggestion_hidden = False
        self.player.do(operations.ANOTHER_SUGGESTION, direction)

    @on(SuggestionList.Picked)
    def _suggestion_picked(self, event: SuggestionList.Picked) -> None:
        self.player.do(operations.SHOW_SUGGESTION, event.place)


def left_out_words(left_out: Sequence[tuple[str, int]]) -> str:
    """Which characters were typed or pasted and are not in the text, within the 78 columns of a narrow terminal."""
    shown = [f"{quoted(char)}{f' ×{count:,}' if count > 1 else ''}" for char, count in left_out[:LEFT_OUT_SHOWN]]
    chars = ", ".join(shown) + (", …" if len(left_out) > LEFT_OUT_SHOWN else "")
    return f"Left out {chars}: never seen by the model."


class Empty(Static, can_focus=True):
    """What is said in the text's place. It has the focus meanwhile, so that keys reach the screen and no input."""


def _is_other_checkpoint(before: ModelFacts | None, facts: ModelFacts | None) -> bool:
    """Whether both are models of one run, after different numbers of steps."""
    if before is None or facts is None or facts.run is None:
        return False
    return facts.run == before.run and facts.step != before.step


def _races_on(before: PlaybackState | None, state: PlaybackState) -> bool:
    """Whether text goes on streaming at full speed with the same settings."""
    if before is None or not (before.running and state.running):
        return False
    return before.speed == state.speed == FULL and before.settings == state.settings


def _moves_cursor(before: PlaybackState | None, state: PlaybackState) -> bool:
    """Whether the cursor or the text before it is another. Text that streams does not count: one may read another part
    meanwhile."""
    if before is None or before.session_id != state.session_id:
        return True
    if before.running and state.start >= before.size:
        return False
    return before.position != state.position or bool(state.text or state.removed)


def _key_state(state: PlaybackState) -> tuple[object, ...]:
    """What decides which keys do something, and what the empty pane says."""
    return (
        state.running, state.facts is None, state.distribution is None, bool(state.suggestion), state.speed == 0,
        state.busy, state.error, state.facts and state.facts.path, state.request.step, bool(state.undoable),
        bool(state.redoable), state.position < state.size, bool(state.left_out),
        state.title,
    )  # fmt: skip
