"""Play and Write: the text with the candidates at its cursor, the sampler's settings, the branches and the prime.

Write is the same text with the keys of a writer: letters are typed into it, and the model suggests how to continue.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from charlstm.display import percent, plural, visible
from charlstm.errors import CharLSTMError
from charlstm.generation.generate import generate_units
from charlstm.generation.novelty import MIN_LENGTH
from charlstm.generation.rows import Alternative
from charlstm.runs.folder import RunFolder
from charlstm.runs.text import units_of_text
from charlstm.text.unit_kinds import unit_after
from charlstm_tui.actions import active, key_of
from charlstm_tui.clipboard import Copyable
from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog, WaitDialog, ask
from charlstm_tui.formatting import from_bits, loss, shorten, unit
from charlstm_tui.generate.awaited import BetterModel
from charlstm_tui.generate.branch_tree import BranchTree
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.continuations_dialog import CONTEXT, COUNT, LENGTH, LINES, ContinuationsDialog, Picked
from charlstm_tui.generate.copied_passages import CopiedPassages
from charlstm_tui.generate.explaining_view import ExplainingView, started
from charlstm_tui.generate.learning import Learning
from charlstm_tui.generate.played_text import EDITING_KEYS, PlayedText
from charlstm_tui.generate.prime_input import PrimeInput
from charlstm_tui.generate.sampler_dialog import Chosen, SamplerDialog
from charlstm_tui.generate.sampler_panel import SamplerPanel, adjust, faster, speed_words
from charlstm_tui.generate.session_files import SessionFiles
from charlstm_tui.generate.stream_view import StreamView, default_scale
from charlstm_tui.generate.view_bar import Legend, char_figures, held_words
from charlstm_tui.generate.writing import Writing
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.marks import OFF, SCALES, Scale
from charlstm_tui.player.opening import ModelFacts, PlayRequest
from charlstm_tui.player.overlap import Overlap, OverlapCheck
from charlstm_tui.player.played import FULL, Played
from charlstm_tui.player.preferences import Preferences
from charlstm_tui.player.text_player import TextPlayer
from charlstm_tui.process import settle_garbage
from charlstm_tui.view import is_detached
from charlstm_tui.widgets.find import FindBar

CHOICES_PAGE = 10
"""Choices that a page key passes."""
BEGINNING = 25
"""Characters of a session's beginning that a message has."""
NEW_UNITS = "abcdefghijklmnopqrst"
"""The keys of new units, which are generated together."""
LONGEST_TITLE, SHORTEST_TITLE = 30, 12
"""Characters of the session's title beside the prime, and how many of them are worth showing."""
LEAST_PRIME = 40
"""Columns that the prime, its caption and its key have before the title."""
TITLE_CONTEXT = 40
"""Characters before the cursor that the candidates' title may show."""
PANELS_INTERVAL = 0.25
"""Seconds between two sets of candidates while text races by at full speed: drawing them takes as long as the text."""


class PlayView(ExplainingView):
    """One session. With ``writing`` the user types; with ``choosing`` the digits pick candidates."""

    writing: reactive[bool] = reactive(False, init=False)
    choosing: reactive[bool] = reactive(False, init=False)
    text_only: reactive[bool] = reactive(False, init=False)
    """Focus mode: whether there is nothing on the screen but the text."""

    def __init__(
        self,
        player: TextPlayer,
        text: StreamView,
        insight: InsightJobs,
        preferences: Preferences,
        *,
        id: str | None = None,
    ) -> None:
        super().__init__(player, insight, id=id)
        self._is_empty = True  # whether a sentence is shown instead of the text
        self._preferences = preferences
        self._first_scale: Scale | None = None  # of the beginning of the text
        self._stream = text
        self.prime_input = PrimeInput(id="prime")
        self._prime_row, self._side = Horizontal(id="prime-row"), Vertical(id="side")
        self._prime_hint = Static(id="prime-hint", classes="quiet")
        self._empty = Empty(id="empty")
        self._candidates = Candidates(id="candidates")
        self._tree = BranchTree(player, id="tree")
        self._sampler = SamplerPanel(id="sampler")
        self._text = PlayedText(player, self._stream)
        self._writing = Writing(self, self._text)
        self._units_asked = 0
        self._learning = Learning(self, player, insight)
        self._copied = CopiedPassages(self._stream)
        self.min_copied = MIN_LENGTH
        """Characters from which on a passage counts as copied."""
        self._panels_at = 0.0
        self._opening: PlayRequest | None = None  # the last request for a model
        self._offered: BetterModel | None = None
        self._begins_again: BetterModel | None = None  # the model with which the text is just beginning again
        self.saving = SessionFiles(self)

    def compose(self) -> ComposeResult:
        with self._prime_row:
            yield Static(Content("Prime"), id="prime-caption", classes="quiet")
            yield self.prime_input
            yield self._prime_hint
        with Horizontal(id="play-body"):
            yield self._empty
            yield self._stream
            with self._side:
                yield self._candidates.data_bind(PlayView.choosing)
                with Vertical(id="tree-pane"):
                    with Horizontal(id="tree-caption"):
                        yield Static(Content("BRANCHES"), classes="caption")
                        yield Static(Content("  Enter shows"), classes="caption of-columns -wide")
                        yield Static(Content("from"), classes="caption of-columns")
                    yield self._tree.data_bind(PlayView.state)
                yield self._sampler

    def on_mount(self) -> None:
        if is_detached(self):
            return
        self._draw_empty()
        self._draw_title()
        for part in (
            self._show_prime, self._copied.follow, self._writing.follow, self._learning.follow,
            self._use_preferences, self._check_other_overlap, self._show_panels, self._show_branch_titles,
            self._explain_again, self._show_keys, self._tell,
        ):  # fmt: skip
            self.watch(self, "state", part, init=False)

    # ---- for the screen

    @property
    def view_name(self) -> str:
        return "write" if self.writing else "play"

    @property
    def editing_keys(self) -> Sequence[tuple[str, str]]:
        return EDITING_KEYS if self.writing else ()

    @property
    def text_view(self) -> StreamView:
        return self._stream

    def copyable(self) -> Copyable:
        return Copyable("the text with its prime", self.text_view.text())

    @property
    def overlap(self) -> Overlap | None:
        """What of the text is copied, if the training text is known."""
        return self._copied.found

    @property
    def prime(self) -> str:
        """The beginning of the text that is its prime."""
        return self.text_view.text(0, self.player.document.prime_length)

    @property
    def playing(self) -> bool:
        """Whether there is a session on the screen."""
        state = self.state
        return state is not None and state.distribution is not None and not state.busy

    @property
    def opens(self) -> bool:
        return self.state is not None and bool(self.state.busy)

    @property
    def takes_letters(self) -> bool:
        return self.writing

    @property
    def suggested(self) -> str:
        """The suggestion, while it is shown."""
        return self._writing.suggested

    def part(self, name: str) -> object:
        parts = {"text": self._text, "writing": self._writing, "learning": self._learning}
        return {"": self, "candidates": self._candidates, "tree": self._tree, **parts}[name]

    @property
    def scopes_key(self) -> str:
        if not self.playing:
            return "play, empty"
        if self.choosing:
            return "play, choices"
        if self.writing:
            return "play, suggestion" if self.suggested else "play, writing"
        focused = self.screen.focused
        if focused is self.text_view:
            return "play, text"
        return "play, branches" if isinstance(focused, BranchTree) else "play"

    def has(self) -> dict[str, bool]:
        state, branch = self.state, self._tree.highlighted_branch
        facts = None if state is None else state.facts
        if state is None or facts is None:
            return {}
        return {
            "model": not state.busy,
            "snapshots": self.playing and len(facts.checkpoint_steps) > 1,
            "units": (units := self.player.model is not None and self.player.model.text_options.units is not None),
            "new units": units and facts.run is not None,
            "suggestion": bool(self.suggested),
            "suggestions": bool(state.suggestion) or not state.suggests,  # the key says that there is no suggestion
            "saveable": True,
            "undo": self.writing or bool(state.undoable),
            "redo": self.writing or bool(state.redoable),
            "branch": branch is not None,
            "fork": branch is not None and branch.parent is not None,
            **{f"choice {number}": number <= len(self._shown_candidates) for number in range(1, 10)},
        }

    def labels(self) -> dict[str, str]:
        state = self.state
        shown = min(9, len(self._shown_candidates))
        stream = "pause" if state and state.running else "one more" if state and state.speed == 0 else "generate"
        labels = {"generate.stream": stream, "generate.pick_1": f"to {shown} choose"}
        if state is None or not state.suggests:  # there are no suggestions, which the key says
            labels["generate.next_suggestion"] = ""
        labels["generate.learn_written"] = self._learning.key_label
        return labels

    def figures(self) -> list[str]:
        state = self.state
        if state is None or state.facts is None:
            return []
        if state.busy:
            return [state.busy]
        figures = []
        if state.running:
            figures.append(f"▶ {state.rate:,.0f} ch/s" if state.rate else f"▶ {speed_words(state.speed)}")
        elif not self.writing and not state.reading:
            figures.append(f"‖ {state.stop_reason or 'paused'}")
        if state.read_as:
            figures.append(state.read_as)
        if state.current_char is not None and state.current_probability is not None:
            known = state.current_probability, state.current_rank
            figures.insert(0, char_figures(state.current_char, *known, self.bits))
        elif state.bits_per_char is not None:
            figures.append(f"mean {from_bits(state.bits_per_char, self.bits):.2f} {unit(self.bits)}")
        if self.writing and self.overlap is not None and self.overlap.figure is not None:
            figures.append(f"{percent(self.overlap.figure)} copied")
        if state.clamps:
            figures.insert(0, held_words(state.clamps))
        if self.overlap is not None and self.overlap.units is not None:
            there, whole = self.overlap.units
            figures.append(f"{there:,} of {plural(whole, 'unit')} known")
        figures.append(f"{state.size:,} chars")
        words = plural(self.text_view.words, "word")
        if self.writing:
            figures.insert(0, words)
            if self._learning.figure:
                figures.insert(1, self._learning.figure)
        else:
            figures.append(words)
        if state.reading:
            figures.insert(0, state.reading)
        return figures

    def hint(self) -> str:
        if self.prime_input.has_focus:
            return "Enter: play from this prime   Ctrl+J: new line   Esc: cancel"
        if self.explaining:
            return self.explanation
        if self._offered is not None:
            key, where = key_of("generate.later"), "in Play " if self.writing else ""
            does = "plays it" if self.player.document.is_edited else "begins again with it"
            return f"A better model: {self._offered.sentence(self.bits)}.   {where}{key} {does}"
        if self.writing or self.overlap is None or self.state is None or self.text_view.at_end:
            return ""
        match = self.overlap.match_at(self.text_view.cursor - self.player.document.prime_length)
        return "" if match is None else self.overlap.source(match)

    def legend(self) -> Legend | None:
        if not self.playing or (legend := super().legend()) is None:
            return None
        copied = None if self.overlap is None or self.writing else self.overlap.figure
        state = self.state
        own = state is not None and state.edited and not legend.scale.diverging
        unread = state is not None and not state.running and max(state.position, state.read_to) < state.size
        if self.writing and not self.text_view.shows_levels:
            return replace(legend, scale=OFF, own=own, key=key_of("generate.colour_written"))
        return replace(legend, copied=copied, own=own, unread=unread)

    @property
    def escape_label(self) -> str:
        return "hide suggestion" if self.writing and self.suggested else ""

    def handle_escape(self) -> bool:
        if self.text_only:
            self.text_only = False
        elif self.writing:
            if self.suggested:
                self._writing.hide_suggestion()
            else:
                self.writing = False
        elif self.choosing:
            self.choosing = False
        elif self.explaining:
            self.explaining = False
        elif self.player.cancel():
            pass
        elif self.screen.focused is not self.text_view and not self._is_empty:
            self.remove_class("-tree")
            self.focus_main()
        else:
            return False
        return True

    def focus_main(self) -> None:
        """Give the focus to the text, or to what stands in its place."""
        if self.screen.has_class("-tiny"):
            self.remove_class("-tree")  # the tree hides the text there
        (self._empty if self._is_empty else self.text_view).focus()

    def leave(self) -> None:
        """Another view or mode is shown: leave what is only for this one."""
        self.writing = self.choosing = self.explaining = self.text_only = False
        if self.state is not None:  # else there is no text, and its state would look as if there were one
            self.player.pause()

    # ---- which model

    def open(self, model_name: str, step: int | None, session: Path | None, runs_dir: Path | None) -> None:
        """Play another model as the one before it, or continue a saved ``session`` on it."""
        chosen = self._preferences = self.preferences()
        self.charlstm.remember(preferences=chosen.to_dict())
        prime = chosen.prime if session is None and chosen.model == model_name else None
        self._opening = PlayRequest(
            model_name, step, runs_dir, prime, settings=chosen.settings, speed=chosen.speed, stream=session is None,
            session=session,
        )  # fmt: skip
        self.load(self._opening)

    def load(self, request: PlayRequest) -> None:
        """Play a request of the same model or another."""
        self.choosing = False
        self.player.open(request)

    def load_session(self, path: Path, model_name: str | None = None, step: int | None = None) -> None:
        """Continue a saved session with the model that is played, or with the one of its run after so many steps."""
        if self.state is not None:
            request = self.state.request
            if model_name is not None:
                request = replace(request, model_name=model_name, step=step)
            self.load(replace(request, prime=None, settings=None, speed=None, session=path, stream=False))

    def preferences(self) -> Preferences:
        """How models are played now."""
        state = self.state
        if state is None or state.facts is None or state.distribution is None:
            return self._preferences
        # Once it was edited the text has none, and a new text has an empty one.
        prime = self.prime or (state.request.prime if state.request.stream else None)
        colouring = self._preferences.colouring if self.scale is self._first_scale else self.scale.name
        return Preferences(
            state.settings, state.speed, colouring, self.min_copied, prime, model=state.request.model_name
        )

    def _begins_now(self, before: Played | None, state: Played) -> bool:
        """Whether the text of the model that was asked for begins now."""
        return state.request is self._opening and state.facts is not None and _is_other_text(before, state)

    def _use_preferences(self, before: Played | None, state: Played) -> None:
        """Show the text of a model that was asked for as the one before it."""
        if not self._begins_now(before, state):
            return
        colouring = self._preferences.colouring
        self.scale = next((scale for scale in SCALES if scale.name == colouring), default_scale(self.app))
        self._first_scale = self.scale
        self.min_copied = self._preferences.copied
        settle_garbage()
        self.check_overlap()

    @staticmethod
    def _last_session_words(state: Played) -> str:
        """How to continue the last session of a model that was opened without one."""
        last = state.last_session
        if last is None or state.request.session is not None:
            return ""
        key, others = key_of("generate.last_session"), key_of("generate.texts")
        of = "" if state.facts is None or last.model == state.facts.name else f" of {last.model}"
        return f"{key} continues the last session{of}, {last.about(BEGINNING)}; {others} lists all."

    def _played_words(self, state: Played, before: ModelFacts | None) -> str:
        """Another text has come: with which other model of the run that was played ``before``, else what became of the
        text before, and which session it is."""
        facts, opened, replaced = state.facts, state.opened, state.replaced
        last, others = key_of("generate.last_session"), key_of("generate.texts")
        if facts is not None and is_other_checkpoint(before, facts):
            again, self._begins_again = self._begins_again, None
            if again is not None and again.step == facts.step:
                return f"Begins again with a better model: {again.sentence(self.bits)}."
            count = len(facts.checkpoint_steps)
            if facts.step is None or count < 2:
                return ""
            figure = "" if facts.loss is None else f", {loss_words(facts, self.bits)}"
            words = f"model {facts.number + 1} of {count}: step {facts.step:,}{figure}"
            # First what the key does, as the end is cut off where there is little space.
            return words if replaced is None else f"{last} brings back your text   {words}"
        if replaced is not None and replaced.length:
            return f"{last} brings back the text before: {replaced.about(BEGINNING, moment=False)}."
        if opened is not None:
            return f"{opened.name or 'Session'}, {opened.about(BEGINNING)}; {others} lists the others."
        return ""

    # ---- what is played

    def watch_state(self, before: Played | None, state: Played) -> None:
        """Show the text. The parts of the view, which may read it, watch the state too, and so does the screen, which
        gives it to the view that is shown. They do not depend on each other."""
        self._text.follow(before, state)
        if _is_other_text(before, state):
            self._offered = None

    def _show_prime(self, before: Played | None, state: Played) -> None:
        is_new = _is_other_text(before, state)
        if is_new or before is None or before.prime_length != state.prime_length:
            typed = state.request.prime if is_new and state.prime_length else None
            self.prime_input.show(self.text_view.text(0, state.prime_length) if typed is None else typed)

    def _show_panels(self, before: Played | None, state: Played) -> None:
        if not _races_on(before, state) or time.monotonic() - self._panels_at >= PANELS_INTERVAL:
            self._draw_panels()

    def _show_branch_titles(self, state: Played) -> None:
        self.set_class(len(state.branches) > 1, "-branched")

    def _explain_again(self, before: Played | None, state: Played) -> None:
        if self.explaining and (started(before, state) or not self.playing):
            self.explaining = False
        else:
            self.explain()

    def _show_keys(self, before: Played | None, state: Played) -> None:
        """Show which keys do something, after a change of :func:`_key_state`."""
        if before is None or _is_other_text(before, state) or _key_state(before) != _key_state(state):
            self._draw_empty()
            self._draw_title()
            self.post_message(self.Changed())

    def _tell(self, before: Played | None, state: Played) -> None:
        """Say what was done: else what is played from now on."""
        words = ""
        if _is_other_text(before, state) and not self.writing:  # in Write the keys are letters
            words = self._played_words(state, None if before is None else before.facts)
        if self._begins_now(before, state):
            words = self._last_session_words(state) or words
        said = state.failure or state.note or words
        if said:
            self.say(said, error=bool(state.failure))

    @property
    def _shown_candidates(self) -> tuple[Alternative, ...]:
        """As many candidates as fit."""
        return self._candidates.shown

    def _draw_panels(self) -> None:
        state, text = self.state, self.text_view
        if state is None:
            return
        self._panels_at = time.monotonic()
        self._sampler.show(state.settings, state.speed)
        cursor = text.cursor
        before = text.text(max(0, cursor - TITLE_CONTEXT), cursor)
        self._candidates.show(state.distribution, state.settings, state.current_char, before, self.bits)

    def watch_bits(self) -> None:
        self._draw_panels()
        super().watch_bits()

    def _draw_title(self) -> None:
        """Show the title of the session beside the prime, and the key that edits the prime."""
        title = "" if self.state is None else visible(self.state.title, keep="")
        length = min(LONGEST_TITLE, self.size.width - LEAST_PRIME)
        shown = f"“{shorten(title, length)}”   " if title and length >= SHORTEST_TITLE else ""
        key = (key_of("generate.edit_prime"), "bold $primary")
        self._prime_hint.update(Content.assemble((shown, "bold $foreground"), key, " edit"))

    on_resize = _draw_title

    def _draw_empty(self) -> None:
        """While nothing is played: why, and the keys that change it."""
        state = self.state
        words = self._why_empty()
        empty = self._empty
        if words is not None:
            empty.update(words)
        changes = self._is_empty != (words is not None)
        # Textual would give the focus of a text that is hidden to the prime, and letters would be typed there.
        moves = self.screen.focused in (None, self.text_view, empty, self._tree)
        no_model = state is None or state.facts is None
        self._is_empty = words is not None
        for part, hidden in (
            (self._prime_row, no_model), (empty, not self._is_empty),
            (self._stream, self._is_empty), (self._side, self._is_empty),
        ):  # fmt: skip
            part.styles.display = "none" if hidden else None  # a class of the view would style all of it anew
        if changes and moves and self.app.app_focus and self.screen.is_current:
            self.focus_main()

    def _why_empty(self) -> Content | None:
        state, key = self.state, "bold $primary"
        open_key, corpus_key = key_of("generate.open_model"), key_of("app.mode_corpus")
        if state is not None and state.facts is not None:
            return None
        if state is not None and state.error:
            return Content.assemble((visible(state.error), "$error"), "\n\n", (open_key, key), " opens another model")
        if state is not None and state.busy:
            return Content.assemble((f"{visible(state.busy)}\n\n", "$quiet"), (key_of("app.back"), key), " stops")
        return Content.assemble(
            "Nothing to play yet.\n\n",
            *((corpus_key, key), " chooses a text to train on\n", (open_key, key), " opens a model"),
        )

    # ---- copied passages

    def check_overlap(self) -> None:
        """Mark what is copied from now on."""
        self.workers.cancel_group(self, "overlap")
        model = None if self.state is None else self.state.facts
        check = self._copied.check(model, self.min_copied, lambda: self.player.document.state)
        if check is not None:
            self._watch_overlap(check)

    def _check_other_overlap(self, state: Played) -> None:
        """Where a text goes on with a model that has read something else, compare it with that."""
        if state.facts is not None and not self._copied.is_about(state.facts):
            self.check_overlap()

    @work(exclusive=True, group="overlap")
    async def _watch_overlap(self, check: OverlapCheck) -> None:
        await check.watch(self._show_overlap)
        self._answer_next_copied()  # it is not known what the model has read

    def _show_overlap(self, overlap: Overlap) -> None:
        self._copied.show(overlap)
        self._answer_next_copied()
        self.post_message(self.Changed())

    def _answer_next_copied(self) -> None:
        """The comparison has ended: if a copied passage was looked for before, say whether there is one."""
        if self._copied.asked:
            self._copied.asked = False
            found = () if self.overlap is None else self.overlap.matches
            there = f"{plural(len(found), 'copied passage')}: {key_of('generate.next_copied')} goes there."
            self.say(there if found else self._copied.nothing_found)

    # ---- actions: streaming and settings

    def do_next_unit(self) -> None:
        self.say("")
        self.text_view.go_to_end()
        self.player.stream_unit()

    def do_new_units(self) -> None:
        """Generate new units, others each time, and show them; the one that is chosen is put in at the end."""
        model, facts = self.player.model, None if self.state is None else self.state.facts
        if model is None or facts is None or (run := facts.run) is None:
            return
        self.player.pause()
        recipe = replace(self.player.recipe, seed=self.player.recipe.seed + self._units_asked)
        self._units_asked += 1

        def generate(progress: Callable[[int, int], None]) -> list[str]:
            count, known = len(NEW_UNITS), units_of_text(RunFolder(run))
            return generate_units(
                model, count, recipe=recipe, known=known, unique=True, progress=lambda done: progress(done, count)
            )

        ask(self, WaitDialog("Generating new units …", generate), self._units_generated)

    def _units_generated(self, found: list[str] | CharLSTMError) -> None:
        if isinstance(found, CharLSTMError) or not found:
            self.say(str(found or "No new unit was found: what the model wrote is known or repeated."))
            return
        choices = [Choice(key, unit, unit) for key, unit in zip(NEW_UNITS, found, strict=False)]
        about = "They do not stand in the training text. The one that you choose goes in at the end."
        ask(self, ChoiceDialog(f"{plural(len(found), 'new unit')}", about, choices), self._unit_chosen)

    def _unit_chosen(self, unit: str) -> None:
        if self.player.model is not None:
            kind, text = self.player.model.text_options.units or "", self.text_view.text()
            self._text.move_to(len(text))
            self.player.put_in(unit_after(text, unit, kind))

    def do_speed(self, direction: int) -> None:
        self.player.change_speed(faster(self.player.speed, direction))

    def do_adjust(self, name: str, direction: int) -> None:
        facts = None if self.state is None else self.state.facts
        symbols = math.inf if facts is None else facts.vocab_size
        self.player.change_settings(adjust(self.player.recipe.settings, name, direction, symbols))

    def do_all_settings(self) -> None:
        if self.state is not None:
            dialog = SamplerDialog("How characters are chosen", self.state.settings, self.min_copied)
            ask(self, dialog, self._settings_chosen)

    def _settings_chosen(self, answer: Chosen) -> None:
        settings, copied = answer
        self._writing.expect_suggestion()
        self.player.change_settings(settings)
        if copied is not None and copied != self.min_copied:
            self.min_copied = copied
            self.check_overlap()

    # ---- actions: moving

    @on(StreamView.CursorMoved)
    def _cursor_moved(self, event: StreamView.CursorMoved) -> None:
        event.stop()
        position = self.text_view.length if event.position is None else event.position
        if any(bar.has_class("-replacing") for bar in self.screen.query(FindBar)):  # undo is for what is replaced
            self.player.show_place(position)
        else:
            self._text.move_to(position)

    def do_next_copied(self) -> None:
        """Put the cursor on the next copied passage, after the last on the first: the status line says where from."""
        place = self._copied.after(self.text_view.cursor)
        if place is None:
            self._copied.asked = self._copied.comparing
            self.say(self._copied.nothing_found)
            return
        self.say("")
        self._text.move_to(place)
        self.post_message(self.Changed())

    def replace_found(self, bar: FindBar, text: str, place: int | None) -> None:
        """Replace what the bar has found: at ``place``, or everywhere."""
        view = self.text_view
        self.player.replace_found(bar.search.pattern, text, place, view.search_origin)
        view.search_origin = view.cursor  # where nothing more is found, what was replaced last stays in view
        bar.text_changed(view.cursor)

    # ---- actions: focus mode

    def do_text_only(self) -> None:
        self.text_only = not self.text_only

    def watch_text_only(self, text_only: bool) -> None:
        self.screen.minimize()
        self.screen.set_class(text_only, "-text-only")
        self._show_levels()
        if text_only:
            self.focus_main()
            self.say(f"{key_of('app.back')} or {key_of('generate.text_only')} shows all panes again.")
        else:
            self.say("")

    def do_colour(self) -> None:
        """Colour the text by another figure; in focus mode, which has no colours, first by the one that is chosen. In
        Write by that one, or not at all."""
        text = self.text_view
        if text.shows_levels and not self.writing:
            super().do_colour()
            return
        text.shows_levels = not text.shows_levels
        if text.shows_levels and self.scale is OFF:
            self.scale = default_scale(self.app)
        self.post_message(self.Changed())

    def watch_explaining(self, explaining: bool) -> None:
        super().watch_explaining(explaining)
        self._show_levels()

    def _show_levels(self) -> None:
        """Colour the text, but not where it is to be read or written undisturbed."""
        self.text_view.shows_levels = self.explaining or not (self.text_only or self.writing)

    # ---- actions: what could come next

    def do_continuations(self) -> None:
        """Show several continuations of the text at the cursor; the one that is picked is put in."""
        if self.state is None:
            return
        self.player.pause()
        if not self.writing:
            self._text.move_to(self.text_view.cursor)
        cursor = self.text_view.cursor
        dialog = ContinuationsDialog(
            self.text_view.text(max(0, cursor - CONTEXT), cursor),
            lambda first: self.player.ways_on(COUNT, LENGTH, LINES, first, dialog.show),
            self.bits,
        )
        self.app.push_screen(dialog, self._continuation_picked)

    def _continuation_picked(self, picked: Picked | None) -> None:
        if picked is None:
            self.player.cancel()
        elif picked.first is None:
            self.player.put_in(picked.text)
        else:
            self.player.put_in_sentence(picked.text, COUNT, picked.first)

    def do_alternative(self, direction: int) -> None:
        self.say("")
        self.player.alternative(direction, self.text_view.cursor)

    # ---- actions: choosing and branching

    def watch_choosing(self, choosing: bool) -> None:
        self.set_class(choosing, "-choosing")
        if choosing:
            self.screen.minimize()
            self.text_only = False
            self.remove_class("-tree")  # a small terminal shows the tree instead of the candidates
            up, down, pick = (key_of(f"generate.{name}") for name in ("choice_up", "choice_down", "pick_chosen"))
            first, last, back = key_of("generate.pick_1"), key_of("generate.pick_9"), key_of("app.back")
            self.say(f"{up} {down} and {pick}, or {first}–{last}: the text branches there. {back} cancels.")
        else:
            self.say("")
            self.focus_main()
        self._draw_panels()
        self.post_message(self.Changed())
        self.call_after_refresh(self.post_message, self.Changed())  # by then it is known how many fit

    def do_choices(self) -> None:
        self.player.pause()
        self.choosing = True

    @on(Candidates.Picked)
    def _picked(self, event: Candidates.Picked) -> None:
        self.player.choose(event.char, self.text_view.cursor)
        self.choosing = False

    def do_regenerate(self) -> None:
        self.player.regenerate(self.text_view.cursor)

    def do_own_text(self) -> None:
        self.player.pause()
        cursor = self.text_view.cursor
        about = "It goes in at the cursor. The text from there on stays as a branch."
        dialog = PromptDialog("Your own text", about, wide=True, lines=True)
        ask(self, dialog, lambda text: self.player.insert_at(text, cursor))

    def do_branches(self) -> None:
        """Show the branches and give them the focus; from there, back to the text."""
        tree = self._tree
        if tree.has_focus:
            self.remove_class("-tree")
            self.focus_main()
        else:
            self.text_only = False
            self.add_class("-tree")
            tree.focus()

    @on(BranchTree.OptionHighlighted)
    def _branch_highlighted(self) -> None:
        self.post_message(self.Changed())

    @on(BranchTree.Chosen)
    def _branch_chosen(self, event: BranchTree.Chosen) -> None:
        self.player.switch(event.number)
        self.remove_class("-tree")
        self.focus_main()

    # ---- actions: prime, models of the run, sessions

    def do_give_title(self) -> None:
        """Ask for a title of the session."""
        if self.state is not None:
            about = "It stands above the text and in the list of sessions. An empty one removes it."
            dialog = PromptDialog("Title of the session", about, self.state.title, "a title")
            ask(self, dialog, lambda title: self.player.give_title(" ".join(title.split())))

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _focus_moved(self, event: events.DescendantFocus | events.DescendantBlur) -> None:
        if isinstance(event, events.DescendantFocus) and event.widget is self.prime_input:
            self.player.pause()  # nothing is generated while a prime is typed
        self.post_message(self.Changed())

    def do_edit_prime(self) -> None:
        self.text_only = False
        self.screen.set_focus(self.prime_input)

    @on(PrimeInput.Left)
    def _prime_left(self) -> None:
        self.say(f"That prime was not played; {key_of('generate.edit_prime')} has it again.")

    @on(PrimeInput.Submitted)
    def _prime_submitted(self, event: PrimeInput.Submitted) -> None:
        self._begin_with(event.text, stream=True)
        self.focus_main()

    def begin_empty(self) -> None:
        """Begin a text without a prime, in which nothing is generated by itself."""
        self._begin_with("", stream=False)

    def _begin_with(self, prime: str, *, stream: bool) -> None:
        if self.state is not None:
            request = self.state.request
            self.load(replace(request, prime=prime, settings=None, speed=None, session=None, stream=stream))

    def do_checkpoint(self, direction: int) -> None:
        self.say("")
        if direction > 0 and self._offered is not None:
            self.player.load_model_of_run(self._offered.choice.step)
        else:
            self.player.load_checkpoint(direction)

    def begin_again(self, better: BetterModel) -> None:
        """Begin the text again with a better model of the run."""
        self._begins_again = better
        self.player.load_model_of_run(better.choice.step)

    def offer(self, better: BetterModel) -> None:
        """Say that a better model of the run has come, with which a key goes on."""
        self._offered = better
        self.post_message(self.Changed())

    def do_save(self) -> None:
        """Ask for a file: its ending says what is saved."""
        state = self.state
        if state is not None and state.facts is not None and self.playing:
            self.saving.save(state, state.facts, self.scale)

    # ---- writing

    def watch_writing(self, writing: bool) -> None:
        self.explaining = False
        self._show_levels()
        self.set_class(writing, "-typing")  # the keys of the settings and of the branches are letters then
        self._writing.expect_suggestion()
        self.player.set_writing(writing)
        self.focus_main()
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
            self._candidates.do_choice(-CHOICES_PAGE if event.key == "pageup" else CHOICES_PAGE)
            return
        actions = [action for action in active(self.scopes()) if event.key in action.keys]
        if any(self.screen.check_action("do", (action.id,)) for action in actions):
            return
        if self.take_key(event, 1):
            event.stop()
            event.prevent_default()

    def take_key(self, event: events.Key, times: int) -> int:
        writes = self.writing and self.screen.focused is self.text_view
        return self._writing.handle(event, times) if writes else 0

    def on_paste(self, event: events.Paste) -> None:
        if self.writing:
            event.stop()
            self._writing.paste(event.text)


class Empty(Static, can_focus=True):
    """What is said in the text's place. It has the focus meanwhile, so that keys reach the screen and no input."""


def is_other_checkpoint(before: ModelFacts | None, facts: ModelFacts | None) -> bool:
    """Whether both are models of one run, after different numbers of steps."""
    if before is None or facts is None or facts.run is None:
        return False
    return facts.run == before.run and facts.step != before.step


def loss_words(facts: ModelFacts, bits: bool) -> str:
    """``loss 1.42 nats``"""
    return f"loss {loss(facts.loss, bits, whole=facts.loss_whole)} {unit(bits)}"


def _races_on(before: Played | None, state: Played) -> bool:
    """Whether text goes on streaming at full speed with the same settings."""
    if before is None or not (before.running and state.running):
        return False
    return before.speed == state.speed == FULL and before.settings == state.settings


def _is_other_text(before: Played | None, state: Played) -> bool:
    return before is None or before.session_id != state.session_id


def _key_state(state: Played) -> tuple[object, ...]:
    """What decides which keys do something, and what the empty pane says."""
    return (
        state.running, state.facts is None, state.distribution is None, bool(state.suggestion), state.speed == 0,
        state.busy, state.error, state.facts and state.facts.path, state.request.step, bool(state.undoable),
        bool(state.redoable), state.suggests, state.title,
    )  # fmt: skip
