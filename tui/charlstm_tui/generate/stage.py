"""What Generate shows: its widgets, the model it plays, and what the thread in ``playing`` tells of it.

The keys are in ``generate`` and ``generate_views``. How text, candidates and settings look is the widgets' business.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantBlur, DescendantFocus
from textual.message import Message
from textual.widgets import ContentSwitcher, Static

from charlstm.display import visible
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.novelty import MIN_LENGTH
from charlstm.generation.sampling import SamplerSettings
from charlstm_tui import formatting
from charlstm_tui.actions import bindings
from charlstm_tui.background import in_thread
from charlstm_tui.base import ModeScreen
from charlstm_tui.formatting import percent
from charlstm_tui.generate.branch_tree import BranchTree
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.duel_view import SIDES, DuelView
from charlstm_tui.generate.prime_input import PrimeInput
from charlstm_tui.generate.sampler_panel import SamplerPanel, speed_words
from charlstm_tui.generate.score_view import ScoreView
from charlstm_tui.generate.stream_view import StreamView, default_scale
from charlstm_tui.generate.view_bar import GenerateBar, Legend, StatusLine, char_figures
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.marks import SCALES, SURPRISE, Origin, uniform
from charlstm_tui.player.preferences import Preferences, recall, remember
from charlstm_tui.player.state import PlaybackState, PlayRequest, model_path
from charlstm_tui.player.thread import Player
from charlstm_tui.process import SAVE_WITHIN, settle_garbage

if TYPE_CHECKING:
    from charlstm.generation.novelty import Match
    from charlstm.text.corpus import Corpus
    from charlstm_tui.choices import ModelChoice
    from charlstm_tui.player.overlap import Overlap
    from charlstm_tui.run_watcher import RunsState

AFTER = 40
"""Characters of text that the candidates' title may show."""
OFFERED = 10.0
"""Seconds that a hint stands in the legend's place: what a newcomer needs is the legend."""
EDITING = "Enter takes the prime, Ctrl+J begins a new line, Esc leaves it as it was."
FIGURES_EVERY = 0.25
"""Seconds between two looks of the figures while text streams: nobody reads them faster, and the line stands at the
foot of the screen, so that all between it and the text is composed anew with each."""
VIEWS = ("play", "write", "score", "duel")
"""The four views of one session."""


def _state(picture: PlaybackState) -> tuple[bool, bool, bool]:
    """What decides which keys do something."""
    return picture.running, picture.facts is not None, picture.distribution is not None


class PlaybackChanged(Message):
    """The player has pictures; at most one of these is under way at a time."""

    bubble = False


class GenerateStage(ModeScreen):
    """What Generate consists of and shows. The keys are the subclasses'."""

    MODE = "generate"
    MAIN_PANE = "#stream"
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("generate")]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"), (52, "-narrow"), (76, "-normal"), (110, "-wide"), (160, "-huge"),
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._player = Player(lambda: self.post_message(PlaybackChanged()))
        self._wish: PlayRequest | None = None
        self._asked: ModelChoice | None = None
        self._picture: PlaybackState | None = None
        self._scale = SURPRISE
        self._settings = SamplerSettings()
        self._speed = 60.0
        self._choosing = False
        self._note = ""
        self._last: Path | None = None
        self._opened = False
        self._copied: Overlap | None = None
        self._copied_from = MIN_LENGTH
        self._fall_back = (self._scale, self._copied_from)
        self._corpus: Corpus | None = None
        self._source: tuple[Match, str] | None = None
        self._copied_marks: set[tuple[int, int]] = set()
        self._writing = False
        self._duel_wishes: dict[int, PlayRequest] = {}
        self._ghost_hidden = False
        self._figures_at = 0.0

    # ---- composing

    def compose_body(self) -> ComposeResult:
        yield GenerateBar(id="generate-bar")
        with Horizontal(id="prime-row"):
            yield Static(Content("Prime"), id="prime-caption", classes="quiet")
            yield PrimeInput(id="prime")
            yield Static(Content.assemble(("e", "bold $primary"), " edit"), id="prime-hint", classes="quiet")
        yield Static(id="unknown")
        with ContentSwitcher(initial="play", id="rooms"):
            with Horizontal(id="play"):
                yield Static(id="empty")
                yield StreamView(id="stream")
                with Vertical(id="side"):
                    yield Candidates(id="candidates")
                    with Vertical(id="tree-pane"):
                        yield Static(Content("BRANCHES  Enter takes one"), classes="caption")
                        yield BranchTree(id="tree")
                    yield SamplerPanel(id="sampler")
            yield ScoreView(id="score")
            yield DuelView(id="duel")
        yield StatusLine(id="status")

    @property
    def stream(self) -> StreamView:
        return self.query_one("#stream", StreamView)

    @property
    def prime_input(self) -> PrimeInput:
        return self.query_one("#prime", PrimeInput)

    def focus_main(self) -> None:
        if self.has_class("-tiny"):
            self.remove_class("-tree")  # which has the text's room there
        super().focus_main()

    def on_mount(self) -> None:
        if self.leaving:
            return
        self._player.start()
        self._draw_empty()

    async def on_unmount(self) -> None:
        self._remember()
        await in_thread(lambda check: self._player.close(SAVE_WITHIN))

    @on(DescendantFocus, "#prime")
    @on(DescendantBlur, "#prime")
    def _prime_edited(self) -> None:
        self._draw_status()

    # ---- which model

    def on_screen_suspend(self) -> None:
        self._player.set_visible(self in self.app.screen_stack)  # behind a dialog it is still seen

    def entered(self) -> None:
        self._player.set_visible(True)
        choice = self.charlstm.model or self._first_choice()
        asked, self.charlstm.play_again = self.charlstm.play_again, False
        if choice is None:
            self._draw_empty()
        elif choice != self._asked or (asked and not self._plays(choice)):
            self._asked = choice
            if self.room != "play":  # the other views are of the model that was played
                self.enter_room("play")
            self._open(choice.model, choice.step)

    def _plays(self, choice: ModelChoice) -> bool:
        """Whether what is played is what ``choice`` means by now: a run that trains has soon a better model."""
        from charlstm.model.file import read_info

        picture, wish = self._picture, self._wish
        if picture is None or picture.facts is None or wish is None or wish.step != choice.step:
            return False
        try:
            path = model_path(PlayRequest(choice.model, choice.step, self.charlstm.start_options.runs_dir))
            return path == picture.facts.path and read_info(path)[1].get("step") == picture.facts.step
        except CharLSTMError:
            return False

    def enter_room(self, room: str) -> None:
        """Show a view: what its keys do is the subclass's business."""
        raise NotImplementedError

    def _first_choice(self) -> ModelChoice | None:
        """Without being told: the run that is looked at, a live one, the newest; else the model in the box."""
        from charlstm.runs.models import demo_path
        from charlstm_tui.choices import ModelChoice

        state = self.charlstm.runs_state
        attached = state.attached_run
        for view in ((attached,) if attached else ()) + state.live + state.runs:
            if view.run.model_path.is_file() or view.run.snapshots():
                return ModelChoice(str(view.path))
        return ModelChoice("demo") if demo_path() is not None else None

    def _open(self, word: str, step: int | None = None, session: Path | None = None) -> None:
        """Play another model, as it was last played, or from a saved session on."""
        self._remember()
        self._opened, self._last, self._note = True, None, ""
        memory = self._recall(word)
        self._fall_back = (self._scale, self._copied_from)
        self._scale = next((scale for scale in SCALES if scale.name == memory.colour), default_scale(self.app))
        self.stream.scale = self._scale
        self._copied_from = memory.copied
        self._load(
            PlayRequest(
                word, step, self.charlstm.start_options.runs_dir, None if session else memory.prime,
                settings=memory.settings, speed=memory.speed, stream=session is None, session=session,
            )
        )  # fmt: skip

    def _recall(self, word: str) -> Preferences:
        """How the model was last played, or is at first."""
        try:
            return recall(word) or Preferences()
        except GenerationError as error:
            self.charlstm.notify_error_once(str(error))
            return Preferences()

    def _load(self, wish: PlayRequest) -> None:
        self._wish, self._settings, self._speed = (
            wish,
            wish.settings or self._settings,
            self._speed if wish.speed is None else wish.speed,
        )
        self._choosing = False
        self.remove_class("-choosing")
        self._player.load(wish)

    def _replay(self, wish: PlayRequest) -> None:
        """From the prime on, with the settings of now."""
        self._load(replace(wish, settings=self._settings, speed=self._speed, stream=self._speed > 0, session=None))

    def _remember(self) -> None:
        wish, picture = self._wish, self._picture
        if wish is not None and picture is not None and picture.facts is not None:
            prime = wish.prime if wish.session is None else picture.prime
            colour = None if self._scale is default_scale(self.app) else self._scale.name
            remember(wish.model_name, Preferences(self._settings, self._speed, colour, prime, self._copied_from))

    # ---- what the player tells

    def on_playback_changed(self) -> None:
        pictures = self._player.collect()
        if not self.is_mounted or self.leaving:
            return
        with self.app.batch_update():
            for picture in pictures:
                if picture.number in SIDES:
                    self._show_duel(picture)
                else:
                    self._show(picture)

    def _show(self, picture: PlaybackState) -> None:
        before, self._picture = self._picture, picture
        stream = self.stream
        if before is None or before.session_id != picture.session_id or before.prime != picture.prime:
            stream.clear()
            stream.append(picture.prime, uniform(picture.prime, Origin.PRIME))
            self.prime_input.give(picture.request.prime if picture.request.prime is not None else picture.prime)
            self._draw_unknown(picture)
        if picture.distribution is not None and (
            before is None or before.distribution is None or before.session_id != picture.session_id
        ):
            fell_back = picture.request is not self._wish  # what was to be opened could not be
            self._wish = picture.request
            if fell_back or picture.request.session is not None:  # else they are what was asked, or newer
                self._settings = picture.settings
            if fell_back:
                self._speed = picture.speed
                if self._opened:
                    self._opened = False
                    self._scale, self._copied_from = self._fall_back
                    stream.scale = self._scale
            if self._opened:
                self._opened = False
                settle_garbage()
                self._offer_last(picture)
                self._look_for_copies(picture)
        base = len(picture.prime)
        if picture.text or base + picture.length != stream.length:
            stream.replace_from(base + picture.start, picture.text, picture.marks)
        stream.show_suggestion("" if self._ghost_hidden else picture.suggestion)
        if self._writing and (before is None or bool(before.suggestion) != bool(picture.suggestion)):
            self.refresh_keys()
        if not stream.at_end or picture.position < picture.length:
            stream.cursor = base + picture.position
        if before is None or _state(before) != _state(picture):
            self._draw_empty()
            self.refresh_keys()
            self._figures_at = 0.0
        if before is None or before.error != picture.error or before.busy != picture.busy:
            self._draw_empty()
        if picture.note or picture.failure:
            self._note = picture.note or picture.failure
        self.query_one(BranchTree).show(picture.branches)
        self._draw_panels()

    def _draw_panels(self) -> None:
        picture, stream = self._picture, self.stream
        self.query_one(SamplerPanel).show(self._settings, self._speed)
        if picture is None:
            return
        cursor = stream.cursor
        self.query_one(Candidates).show(
            picture.distribution, picture.settings, picture.current_char, stream.text(max(0, cursor - AFTER), cursor)
        )
        facts = picture.facts
        if facts is not None:
            step = "" if facts.step is None else f" @ step {facts.step:,}"
            planned = f" of {facts.planned_steps:,}" if step and facts.planned_steps else ""
            names: tuple[str, ...] = (facts.name + step + planned, facts.name + step, facts.name)
            names = (f"{facts.shape} · {facts.vocab_size:,} symbols · {names[0]}", *names)
            if self.room == "duel":  # each side says what it plays
                names = ("the same prime and dice on both sides", "same prime and dice")
            rooms = VIEWS if self.room == "play" else ("play", self.room)
            aged = bool(facts.snapshot_steps) and self.room == "play"  # its keys are Play's
            self.query_one(GenerateBar).show(self.room, rooms, names, aged)
        if (
            not picture.running
            or picture.note
            or picture.failure
            or time.monotonic() - self._figures_at >= FIGURES_EVERY
        ):
            self._draw_status()

    def _draw_status(self) -> None:
        self._figures_at = time.monotonic()
        picture = self._picture
        figures = []
        if picture is not None and picture.facts is not None and not picture.error:
            if picture.running:
                rate = f"{picture.rate:,.0f} ch/s" if picture.rate else speed_words(self._speed)
                figures.append(f"▶ {rate}")
            elif self.room != "write":
                figures.append(f"‖ {picture.stop_reason or 'paused'}")
            if picture.current_char is not None and picture.current_probability is not None:
                current = char_figures(picture.current_char, picture.current_probability, picture.current_rank)
                figures.insert(0, current)
            elif picture.bits_per_char is not None:
                figures.append(f"mean {picture.bits_per_char:.2f} bits")
            if self._copied is not None and self.room == "write":
                figures.append(f"{percent(self._copied.share)} copied")
            figures.append(f"{picture.length:,} chars")
        if self.room == "score":
            figures = list(self.score_room.figures)
        elif self.room == "duel":
            figures = [
                "▶ " + speed_words(self._speed or 60.0) if self.duel.running else "‖ paused",
                "Tab other side",
                "t T … its settings",
            ]
        note = self._note or (self._source_at_cursor() if self.room == "play" else "")
        if self.prime_input.has_focus:
            note = EDITING
        self.query_one(StatusLine).show(self._legend(), figures, note)

    def _legend(self) -> Legend:
        stream = self.stream
        copied = self._copied.share if self._copied is not None and self.room == "play" else None
        return Legend(
            self._scale, tuple(map(stream.level_style, range(1, 5))), stream.shows_backgrounds,
            copied, stream.copied_style,
        )  # fmt: skip

    # ---- is it copying?

    def _look_for_copies(self, picture: PlaybackState) -> None:
        """From now on, in what is played; only a run knows the text that it learnt."""
        self._copied = None
        if picture.facts is not None and picture.facts.run is not None:
            self._watch_copying(picture.facts.run)
        else:
            self.workers.cancel_group(self, "copying")

    @work(exclusive=True, group="copying")
    async def _watch_copying(self, run: Path) -> None:
        from charlstm_tui.player import overlap

        def text() -> str:
            picture = self._picture
            return "" if picture is None else self.stream.text(len(picture.prime))

        await overlap.watch(run, self._copied_from, text, self._show_copied)

    def _show_copied(self, corpus: Corpus, copied: Overlap) -> None:
        if self._picture is None:
            return
        if corpus is not self._corpus:
            self._corpus, self._source = corpus, None
        self._copied = copied
        base = len(self._picture.prime)
        marks = {(base + match.start, base + match.stop) for match in copied.matches}
        for start, stop in self._copied_marks - marks:
            self.stream.mark_copied(start, stop, False)
        for start, stop in marks:
            self.stream.mark_copied(start, stop)
        self._copied_marks = marks
        self._draw_status()

    def do_next_copied(self) -> None:
        """Put the cursor on the next copied stretch, the first after the last: the status line says where from."""
        if self._picture is None:
            return
        base, cursor = len(self._picture.prime), self.stream.cursor
        starts = [] if self._copied is None else [base + match.start for match in self._copied.matches]
        if not starts:
            self._say("Nothing of this text is known to stand in the training text.")
            return
        self._say("")
        place = next((start for start in starts if start > cursor), starts[0])
        self.stream.cursor = place
        self.stream.reveal(place)
        self._player.move_to(place - base)
        self._draw_status()

    def _source_at_cursor(self) -> str:
        """Where the copied stretch under the cursor comes from; nothing where nothing is copied."""
        if self._picture is None or self._copied is None or self._corpus is None or self.stream.at_end:
            return ""
        from charlstm_tui.player.overlap import place_of

        place = self.stream.cursor - len(self._picture.prime)
        match = next((match for match in self._copied.matches if match.start <= place < match.stop), None)
        if match is None:
            return ""
        if self._source is None or self._source[0] != match:  # lines of a whole book were counted for it
            self._source = (match, place_of(self._corpus, match))
        return self._source[1]

    def _draw_unknown(self, picture: PlaybackState) -> None:
        line = self.query_one("#unknown", Static)
        line.display = bool(picture.unknown)
        if picture.unknown:
            from charlstm.display import symbol

            some = " ".join(symbol(char) for char in picture.unknown[:20]) + (" …" if len(picture.unknown) > 20 else "")
            stands = picture.facts.replacement if picture.facts is not None else None
            line.update(
                Content(
                    f"This model has never seen {some} — left out of the prime."
                    if stands is None
                    else f"This model has no symbol of its own for {some} — read as {symbol(stands)}."
                )
            )

    def _draw_empty(self) -> None:
        """The sentence in the pane when there is nothing to play: what is the matter and the key that mends it."""
        picture = self._picture
        said: Content | None = None
        key = "bold $primary"
        if picture is not None and picture.error:
            edit = (("e", key), " edits the prime   ") if picture.facts is not None else ()
            error = (visible(picture.error), "$error")
            said = Content.assemble(error, "\n\n", *edit, ("o", key), " opens another model")
        elif picture is not None and picture.busy:
            stop = ("\n\n", ("Esc", key), (" stops", "$quiet")) if picture.facts is not None else ()
            said = Content.assemble((visible(picture.busy), "$quiet"), *stop)
        elif self._wish is None:
            said = Content.assemble(
                "Nothing to play yet.\n\n", ("1", key), " chooses a text to train on\n", ("o", key), " opens a model"
            )
        self.set_class(said is not None, "-empty")
        if said is not None:
            self.query_one("#empty", Static).update(said)
        elif self.focused is None and self.app.app_focus:
            self.focus_main()

    def show_runs_state(self, state: RunsState) -> None:
        """A live run grows older while its model is played."""
        picture = self._picture
        if picture is None or picture.facts is None or picture.facts.run is None:
            if self._wish is None:
                self.entered()
            return
        view = state.find(picture.facts.run)
        if view is not None and view.status.planned_steps != picture.facts.planned_steps:
            facts = replace(picture.facts, planned_steps=view.status.planned_steps)
            self._picture = replace(picture, facts=facts)
            self._draw_panels()

    # ---- in short

    @property
    def playing(self) -> bool:
        """Whether there is a session."""
        return self._picture is not None and self._picture.distribution is not None

    @property
    def room(self) -> str:
        """The view that is shown: play, write, score or duel."""
        if self._writing:
            return "write"
        return self.query_one("#rooms", ContentSwitcher).current or "play"

    @property
    def duel(self) -> DuelView:
        return self.query_one(DuelView)

    @property
    def score_room(self) -> ScoreView:
        return self.query_one(ScoreView)

    def _say(self, note: str, seconds: float = 0.0) -> None:
        """Say something in the legend's place, until something else is said or for so many seconds."""
        self._note = note
        self._draw_status()
        if seconds:
            self.set_timer(seconds, lambda: self._say("") if self._note == note else None)

    # ---- more of what is shown

    def _show_duel(self, picture: PlaybackState) -> None:
        if self.room != "duel":
            return
        before = self.duel.running
        self.duel.show(picture)
        if picture.note or picture.failure:
            self._note = picture.note or picture.failure
        if before != self.duel.running:
            self.refresh_keys()
        self._draw_status()

    def _offer_last(self, picture: PlaybackState) -> None:
        """Name the session that was played before this one, once."""
        if picture.facts is None or picture.file is None or picture.request.session is not None:
            return
        kept = saved_sessions.last(saved_sessions.folder(picture.facts.run, picture.facts.path), but=picture.file)
        self._last = None if kept is None else kept.path
        if kept is not None:
            ago = formatting.clock(max(0.0, time.time() - kept.saved))
            self._say(f"l goes on with the last session, of {ago} ago.", OFFERED)
