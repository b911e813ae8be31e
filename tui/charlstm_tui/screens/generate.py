"""Generate: play a model. The text streams while its candidates move; walk back, choose, branch, change its age.

The screen keeps what the thread in ``playing`` tells it and turns keys into what it asks of that thread. How text,
candidates and settings look is the widgets' business, what a character is worth ``charlstm.generation``'s.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import ContentSwitcher, Static

from charlstm.errors import CharLSTMError
from charlstm.generation.samplers import SamplerSettings
from charlstm_tui import kept_sessions, words
from charlstm_tui.actions import Action, bindings
from charlstm_tui.playing import FULL, PAUSE_AFTER, Picture, Player, Wish
from charlstm_tui.remembered import Memory, recall, remember
from charlstm_tui.screens.base import ModeScreen
from charlstm_tui.widgets.branch_tree import BranchTree
from charlstm_tui.widgets.candidates import Candidates
from charlstm_tui.widgets.duel_room import VOICES, DuelRoom
from charlstm_tui.widgets.generate_bar import GenerateBar, StatusLine
from charlstm_tui.widgets.marks import RANK, SCALES, Origin, uniform
from charlstm_tui.widgets.prime_input import PrimeInput
from charlstm_tui.widgets.sampler_panel import SamplerPanel, adjust, faster, speed_words
from charlstm_tui.widgets.score_room import ScoreRoom
from charlstm_tui.widgets.stream_view import StreamView

if TYPE_CHECKING:
    from charlstm.generation.session import Session
    from charlstm_tui.app import ModelChoice
    from charlstm_tui.backend import Snapshot

AFTER = 40
"""Characters of text that the candidates' title may show."""
BUILT = ("play", "write", "score", "duel")
"""The views that can be entered."""


class PicturesReady(Message):
    """The player has pictures; at most one of these is under way at a time."""

    bubble = False


class GenerateScreen(ModeScreen):
    """Play, and the other views of the same session."""

    MODE = "generate"
    MAIN_PANE = "#stream"
    CSS_PATH = "generate.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("generate")]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"), (52, "-narrow"), (76, "-normal"), (110, "-wide"), (160, "-huge"),
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._player = Player(lambda: self.post_message(PicturesReady()))
        self._wish: Wish | None = None
        self._asked: ModelChoice | None = None
        self._picture: Picture | None = None
        self._scale = RANK
        self._settings = SamplerSettings()
        self._speed = 60.0
        self._choosing = False
        self._note = ""
        self._last: Path | None = None
        self._opened = False
        self._writing = False
        self._duel_wishes: dict[int, Wish] = {}
        self._ghost_hidden = False

    # ---- composing

    def compose_body(self) -> ComposeResult:
        yield GenerateBar(id="generate-bar")
        with Horizontal(id="prime-row"):
            yield Static(Content("Prime"), id="prime-caption", classes="quiet")
            yield PrimeInput(id="prime")
            yield Static(Content("e edit"), id="prime-hint", classes="quiet")
        yield Static(id="unknown")
        with ContentSwitcher(initial="play", id="rooms"):
            with Horizontal(id="play"):
                yield Static(id="empty")
                yield StreamView(id="stream")
                with Vertical(id="side"):
                    yield Candidates(id="candidates")
                    with Vertical(id="tree-pane"):
                        yield Static(Content("BRANCHES"), classes="caption")
                        yield BranchTree(id="tree")
                    yield SamplerPanel(id="sampler")
            yield ScoreRoom(id="score")
            yield DuelRoom(id="duel")
        yield StatusLine(id="status")

    @property
    def stream(self) -> StreamView:
        return self.query_one("#stream", StreamView)

    @property
    def prime_input(self) -> PrimeInput:
        return self.query_one("#prime", PrimeInput)

    def on_mount(self) -> None:
        self._player.start()
        self._draw_empty()

    def on_unmount(self) -> None:
        self._remember()
        self._player.close()

    # ---- which model

    def entered(self) -> None:
        choice = self.charlstm.model or self._first_choice()
        if choice is None:
            self._draw_empty()
        elif choice != self._asked:
            self._asked = choice
            self._open(choice.model, choice.step)

    def _first_choice(self) -> ModelChoice | None:
        """Without being told: the run that is looked at, a live one, the newest; else the model in the box."""
        from charlstm.runs.models import demo_path
        from charlstm_tui.app import ModelChoice

        snapshot = self.charlstm.snapshot
        attached = snapshot.attached_run
        for view in ((attached,) if attached else ()) + snapshot.live + snapshot.runs:
            if view.run.model_path.is_file() or view.run.snapshots():
                return ModelChoice(str(view.path))
        return ModelChoice("demo") if demo_path() is not None else None

    def _open(self, word: str, step: int | None = None) -> None:
        """Play another model, as it was last played."""
        self._remember()
        self._opened, self._last, self._note = True, None, ""
        memory = recall(word) or Memory()
        self._scale = next((scale for scale in SCALES if scale.name == memory.colour), RANK)
        self.stream.scale = self._scale
        self._load(
            Wish(
                word, step, self.charlstm.opening.runs_dir, memory.prime, settings=memory.settings, speed=memory.speed,
                go=memory.speed > 0,
            )
        )  # fmt: skip

    def _load(self, wish: Wish) -> None:
        self._wish, self._settings, self._speed = wish, wish.settings, wish.speed
        self._choosing = False
        self._player.load(wish)

    def _replay(self, wish: Wish) -> None:
        """From the prime on, with the settings of now."""
        self._load(replace(wish, settings=self._settings, speed=self._speed, go=self._speed > 0, session=None))

    def _remember(self) -> None:
        wish = self._wish
        if wish is not None and self._picture is not None and self._picture.facts is not None:
            remember(wish.word, Memory(self._settings, self._speed, self._scale.name, wish.prime))

    # ---- what the player tells

    def on_pictures_ready(self) -> None:
        pictures = self._player.take()
        if not self.is_mounted:
            return
        with self.app.batch_update():
            for picture in pictures:
                if picture.voice in VOICES:
                    self._show_duel(picture)
                else:
                    self._show(picture)

    def _show(self, picture: Picture) -> None:
        before, self._picture = self._picture, picture
        stream = self.stream
        if before is None or before.take != picture.take or before.prime != picture.prime:
            stream.clear()
            stream.append(picture.prime, uniform(picture.prime, Origin.PRIME))
            self.prime_input.give(picture.wish.prime if picture.wish.prime is not None else picture.prime)
            self._draw_unknown(picture)
        if picture.outlook is not None and (before is None or before.outlook is None or before.take != picture.take):
            self._settings = picture.settings
            if self._opened:
                self._opened = False
                self._offer_last(picture)
        base = len(picture.prime)
        if picture.text or base + picture.length != stream.length:
            stream.replace_from(base + picture.start, picture.text, picture.marks)
        stream.show_ghost("" if self._ghost_hidden else picture.ghost)
        if self._writing and (before is None or bool(before.ghost) != bool(picture.ghost)):
            self.refresh_keys()
        if not stream.at_end or picture.position < picture.length:
            stream.cursor = base + picture.position
        if before is None or (before.running, bool(before.facts)) != (picture.running, bool(picture.facts)):
            self._draw_empty()
            self.refresh_keys()
        if before is None or before.error != picture.error or before.busy != picture.busy:
            self._draw_empty()
        if picture.note:
            self._note = picture.note
        self.query_one(BranchTree).show(picture.branches)
        self._draw_panels()

    def _draw_panels(self) -> None:
        picture, stream = self._picture, self.stream
        self.query_one(SamplerPanel).show(self._settings, self._speed)
        if picture is None:
            return
        cursor = stream.cursor
        self.query_one(Candidates).show(
            picture.outlook, picture.settings, picture.standing, stream.text(max(0, cursor - AFTER), cursor)
        )
        facts = picture.facts
        if facts is not None:
            step = "" if facts.step is None else f" @ step {facts.step:,}"
            planned = f" of {facts.planned:,}" if step and facts.planned else ""
            names = (facts.name + step + planned, facts.name + step, facts.name)
            about = f"{facts.shape} · {facts.vocab_size:,} symbols · "
            self.query_one(GenerateBar).show(
                self.room,
                BUILT if self.room == "play" else ("play", self.room),
                (about + names[0], *names),
                bool(facts.ages),
            )
        self._draw_status()

    def _draw_status(self) -> None:
        picture = self._picture
        figures = []
        if picture is not None and picture.facts is not None and not picture.error:
            if picture.running:
                rate = f"{picture.rate:,.0f} ch/s" if picture.rate else speed_words(self._speed)
                figures.append(f"▶ {rate}")
            else:
                figures.append(f"‖ {picture.why or 'paused'}")
            if picture.bits is not None:
                figures.append(f"{picture.bits:.2f} bits")
            figures.append(f"{picture.length:,} chars")
        if self.room == "score":
            figures = list(self.score_room.figures)
        elif self.room == "duel":
            figures = ["▶ " + speed_words(self._speed or 60.0) if self.duel.running else "‖ paused", "Tab other side"]
        looks = [self.stream.look(level) for level in range(1, 5)]
        self.query_one(StatusLine).show(self._scale, looks, figures, self._note)

    def _draw_unknown(self, picture: Picture) -> None:
        line = self.query_one("#unknown", Static)
        line.display = bool(picture.unknown)
        if picture.unknown:
            from charlstm.text.visible import symbol

            some = " ".join(symbol(char) for char in picture.unknown[:20]) + (" …" if len(picture.unknown) > 20 else "")
            line.update(Content(f"This model has never seen {some} — left out of the prime."))

    def _draw_empty(self) -> None:
        """The sentence in the pane when there is nothing to play: what is the matter and the key that mends it."""
        picture = self._picture
        said: Content | None = None
        if picture is not None and picture.error:
            said = Content.assemble((picture.error, "$error"), "\n\n", ("o", "bold $primary"), " opens another model")
        elif picture is not None and picture.busy:
            said = Content.styled(picture.busy, "$quiet")
        elif self._wish is None:
            key = "bold $primary"
            said = Content.assemble(
                "Nothing to play yet.\n\n", ("1", key), " chooses a text to train on\n", ("o", key), " opens a model"
            )
        empty = self.query_one("#empty", Static)
        empty.display = said is not None
        for part in ("#stream", "#side"):
            self.query_one(part).display = said is None
        if said is not None:
            empty.update(said)
        elif self.focused is None:
            self.focus_main()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """A live run grows older while its model is played."""
        picture = self._picture
        if picture is None or picture.facts is None or picture.facts.run is None:
            if self._wish is None:
                self.entered()
            return
        view = snapshot.find(picture.facts.run)
        if view is not None and view.status.planned_steps != picture.facts.planned:
            facts = replace(picture.facts, planned=view.status.planned_steps)
            self._picture = replace(picture, facts=facts)
            self._draw_panels()

    # ---- keys: what is active

    @property
    def playing(self) -> bool:
        """Whether there is a session."""
        return self._picture is not None and self._picture.outlook is not None

    def scopes(self) -> tuple[str, ...]:
        if self._choosing:
            return ("generate.choices",)
        if self.room == "write":
            ghost = bool(self._picture and self._picture.ghost) and not self._ghost_hidden
            return ("generate.write", *(("generate.write.ghost",) if ghost else ()))
        if self.room == "score":
            return ("generate.score",)
        if self.room == "duel":
            return ("generate", "generate.duel")
        if self.focused is not None and self.focused.id == "stream":
            return ("generate", "generate.text")
        if isinstance(self.focused, BranchTree):
            return ("generate", "generate.tree")
        return ("generate",)

    def can(self, action: Action) -> bool:
        if action.handler in ("write", "score", "duel"):
            return action.handler in BUILT
        if self.room == "duel" and action.handler in ("edit_prime", "find", "save", "last_session"):
            return False
        if action.handler == "last_session":
            return self._last is not None
        if action.scope == "generate.tree":
            branch = self.query_one(BranchTree).highlighted_branch
            return branch is not None and (branch.parent is not None or action.handler != "prune_branch")
        if action.scope == "generate.choices":
            return action.args[0] <= len(self.query_one(Candidates).alternatives)
        if action.handler == "age":
            return self._picture is not None and self._picture.facts is not None and bool(self._picture.facts.ages)
        if action.handler == "open_model":
            return True
        return action.mode != self.MODE or self.playing

    def labels(self) -> dict[str, str]:
        running = self._picture is not None and self._picture.running
        if self.room == "duel":
            running = self.duel.running
        return {
            "generate.stream": "pause" if running else "one more" if self._speed == 0 else "go on",
            "generate.pick_1": "to 9 take it and branch",
        }

    def step_out(self) -> bool:
        if self.room == "write" and not self._ghost_hidden and self._picture is not None and self._picture.ghost:
            self._ghost_hidden = True
            self.stream.show_ghost("")
            self.refresh_keys()
        elif self.room != "play":
            self.enter_room("play")
        elif self._choosing:
            self._choose(False)
        elif self._note:
            self._say("")
        elif self.focused is not self.stream:
            if self.has_class("-tree"):
                self.remove_class("-tree")
            self.focus_main()
        else:
            return False
        return True

    def _say(self, note: str) -> None:
        self._note = note
        self._draw_status()

    # ---- keys: playing

    def do_stream(self) -> None:
        picture = self._picture
        if self.room == "duel":
            for voice in VOICES:
                self._player.pause(voice) if self.duel.running else self._player.go(PAUSE_AFTER, voice)
            return
        self._say("")
        if picture is not None and picture.running:
            self._player.pause()
        else:
            self.stream.cursor = None
            self.stream.reveal(self.stream.length)
            self._player.go(PAUSE_AFTER)

    def do_speed(self, direction: int) -> None:
        self._speed = faster(self._speed, direction)
        for voice in VOICES if self.room == "duel" else (0,):
            self._player.set_speed(self._speed, voice)
        self._draw_panels()
        self.refresh_keys()

    def do_adjust(self, name: str, direction: int) -> None:
        if self.room == "duel":
            voice = self.duel.chosen
            if (side := self.duel.picture(voice)) is not None:
                settings = adjust(side.settings, name, direction)
                self.duel.show(replace(side, settings=settings, start=side.length, text=""))
                self._player.set(settings, voice)
            return
        self._settings = adjust(self._settings, name, direction)
        self._player.set(self._settings)
        self._draw_panels()

    def do_walk(self, characters: int, lines: int) -> None:
        stream, picture = self.stream, self._picture
        if picture is None:
            return
        if characters > 0 and stream.at_end and not picture.running:
            self._player.make_one()
            return
        least = len(picture.prime)
        position = max(least, stream.walk(characters, lines))
        if position != stream.cursor:
            stream.cursor = position
        self._player.walk(position - least)

    @on(StreamView.Walked)
    def _walked(self, event: StreamView.Walked) -> None:
        if self._picture is not None:
            self._player.walk(max(0, event.position - len(self._picture.prime)))

    def do_find(self) -> None:
        from charlstm_tui.widgets.dialogs import PromptDialog

        def found(needle: str | None) -> None:
            if not needle or self._picture is None:
                return
            place = self.stream.find(needle, self.stream.cursor + 1)
            if place is None:
                self._say(f"There is no “{needle}” in the text.")
                return
            self.stream.cursor = place
            self.stream.reveal(place)
            self._player.walk(max(0, place - len(self._picture.prime)))

        self.app.push_screen(PromptDialog("Find in the text"), found)

    def do_colour(self) -> None:
        self._scale = SCALES[(SCALES.index(self._scale) + 1) % len(SCALES)]
        for view in self.query(StreamView):
            view.scale = self._scale
        self._say("")

    # ---- keys: choosing and branching

    def _choose(self, choosing: bool) -> None:
        self._choosing = choosing
        candidates = self.query_one(Candidates)
        candidates.set_class(choosing, "-choosing")
        self._draw_panels()
        self.refresh_keys()
        if choosing:
            self._say("1–9 pick a character, and the text branches there; Esc leaves it as it is.")
        else:
            self._say("")

    def do_choices(self) -> None:
        if self._picture is not None and self._picture.running:
            self._player.pause()
        self._choose(True)

    def do_pick(self, number: int) -> None:
        alternatives = self.query_one(Candidates).alternatives
        if number <= len(alternatives):
            self._pick(alternatives[number - 1].char)

    @on(Candidates.Picked)
    def _picked(self, event: Candidates.Picked) -> None:
        self._pick(event.char)

    def _pick(self, char: str) -> None:
        if self._picture is None:
            return
        self._player.choose(char, self.stream.cursor - len(self._picture.prime))
        self._choose(False)

    def do_again(self) -> None:
        if self._picture is not None:
            self._player.again(self.stream.cursor - len(self._picture.prime))

    def do_own_text(self) -> None:
        from charlstm_tui.widgets.dialogs import PromptDialog

        if self._picture is None:
            return
        self._player.pause()
        position = self.stream.cursor - len(self._picture.prime)

        def typed(text: str | None) -> None:
            if text:
                self._player.type(text, position)

        about = "It goes in at the cursor; what stood there stays as a branch."
        self.app.push_screen(PromptDialog("Your own text", about), typed)

    def do_branches(self) -> None:
        shown = not self.has_class("-tree")
        self.set_class(shown, "-tree")
        tree = self.query_one(BranchTree)
        if shown:
            tree.focus()
        else:
            self.focus_main()

    def do_prune_branch(self) -> None:
        branch = self.query_one(BranchTree).highlighted_branch
        if branch is not None:
            self._player.prune(branch.number)

    def do_name_branch(self) -> None:
        from charlstm_tui.widgets.dialogs import PromptDialog

        branch = self.query_one(BranchTree).highlighted_branch
        if branch is None:
            return

        def named(name: str | None) -> None:
            if name is not None:
                self._player.rename(branch.number, name)

        self.app.push_screen(PromptDialog("Name this branch", value=branch.name), named)

    @on(BranchTree.OptionHighlighted)
    def _branch_highlighted(self) -> None:
        self.refresh_keys()

    @on(BranchTree.Taken)
    def _branch_taken(self, event: BranchTree.Taken) -> None:
        self._player.switch(event.number)
        self.focus_main()

    # ---- the other views

    @property
    def room(self) -> str:
        """The view that is shown: play, write, score or duel."""
        if self._writing:
            return "write"
        return self.query_one("#rooms", ContentSwitcher).current or "play"

    def enter_room(self, room: str) -> None:
        """Show a view; Play's text stays as it is meanwhile. Write is Play's own text with the keys for the writer."""
        self._player.pause()
        if self.room == "duel":
            for voice in VOICES:
                self._player.drop(voice)
        if self._writing != (room == "write"):
            self._writing = room == "write"
            self._ghost_hidden = False
            self._player.write(self._writing)
        self._choosing = False
        self._note = ""
        self.query_one("#rooms", ContentSwitcher).current = "play" if room == "write" else room
        self.query_one("#prime-row").display = room == "play"
        self.query_one("#sampler").display = room == "play"  # in Write its keys are letters
        if room in ("play", "write"):
            self.focus_main()
        self._draw_panels()
        self.refresh_keys()

    def action_leave_room(self) -> None:
        self.enter_room("play")

    def in_input(self) -> bool:
        return self.room == "write" or super().in_input()

    def do_write(self) -> None:
        self.enter_room("write")
        self._say("Type; the grey text is the model's. Backspace erases, Esc goes back to Play.")

    def on_key(self, event: events.Key) -> None:
        """In Write, whatever no binding took is written."""
        if self.room != "write" or self.focused is not self.stream:
            return
        if event.key == "backspace":
            self._player.erase()
        elif event.key == "enter":
            self._player.write_text("\n")
        elif event.character is not None and event.is_printable:
            self._player.write_text(event.character)
        else:
            return
        event.stop()
        if self._ghost_hidden:
            self._ghost_hidden = False
            self.refresh_keys()

    def on_paste(self, event: events.Paste) -> None:
        if self.room == "write":
            event.stop()
            self._player.write_text(event.text)

    def do_take_ghost(self) -> None:
        if self._picture is not None:
            self._player.take_ghost(len(self._picture.ghost))

    def do_take_word(self) -> None:
        word = re.match(r"\s*\S+", self._picture.ghost if self._picture is not None else "")
        if word is not None and not self._ghost_hidden:
            self._player.take_ghost(word.end())

    def do_duel(self) -> None:
        """The same prime and dice on both sides; the second side begins with a higher temperature."""
        picture, wish = self._picture, self._wish
        if picture is None or wish is None:
            return
        self.enter_room("duel")
        self.duel.enter(self._scale)
        hotter = replace(self._settings, temperature=round(min(2.0, self._settings.temperature + 0.4), 2))
        for voice, settings in zip(VOICES, (self._settings, hotter), strict=True):
            self._duel_wishes[voice] = replace(
                wish, prime=picture.prime, settings=settings, speed=self._speed or 60.0, go=True, session=None
            )
            self._player.load(self._duel_wishes[voice], voice)

    @property
    def duel(self) -> DuelRoom:
        return self.query_one(DuelRoom)

    def _show_duel(self, picture: Picture) -> None:
        if self.room != "duel":
            return
        before = self.duel.running
        self.duel.show(picture)
        if picture.note:
            self._note = picture.note
        if before != self.duel.running:
            self.refresh_keys()
        self._draw_status()

    def do_duel_again(self) -> None:
        for voice in VOICES:
            picture, wish = self.duel.picture(voice), self._duel_wishes[voice]
            settings = wish.settings if picture is None else picture.settings
            self._duel_wishes[voice] = replace(wish, seed=wish.seed + 1, settings=settings, go=True)
            self._player.load(self._duel_wishes[voice], voice)

    def do_score(self) -> None:
        picture = self._picture
        if picture is None or picture.facts is None:
            return
        self.enter_room("score")
        self.score_room.enter(picture.facts, self.stream.text(), self._scale)

    @property
    def score_room(self) -> ScoreRoom:
        return self.query_one(ScoreRoom)

    def do_score_open(self) -> None:
        from charlstm_tui.widgets.dialogs import PromptDialog

        def named(path: str | None) -> None:
            if path:
                self.score_room.open(Path(path).expanduser())

        self.app.push_screen(PromptDialog("Score a text", "The path of a text; or paste a text into the view."), named)

    def do_score_next(self) -> None:
        self.score_room.next_place()

    def do_score_walk(self, characters: int, lines: int) -> None:
        self.score_room.walk(characters, lines)

    @on(ScoreRoom.Changed)
    def _scored(self) -> None:
        self._draw_status()

    # ---- keys: prime and model

    def do_edit_prime(self) -> None:
        self.prime_input.focus()

    @on(PrimeInput.Taken)
    def _prime_taken(self, event: PrimeInput.Taken) -> None:
        if self._wish is not None:
            self._load(
                replace(self._wish, prime=event.text, settings=self._settings, speed=self._speed, go=self._speed > 0)
            )
        self.focus_main()

    def do_age(self, direction: int) -> None:
        """The younger or older self: the same prime, dice and settings on another snapshot of the run."""
        picture, wish = self._picture, self._wish
        if wish is None or picture is None or picture.facts is None or picture.facts.run is None:
            return
        ages = self._ages(picture.facts.run)
        here = (picture.facts.step or 0, wish.step)
        place = max((place for place, age in enumerate(ages) if age[0] <= here[0]), default=0) + direction
        if direction > 0 and place >= len(ages):
            place = len(ages) - 1
        if place < 0:
            self._say("It cannot be younger: this is the model before its first step.")
            return
        step = ages[place][1]
        self._say("" if ages[place] != here else "This is the oldest there is so far.")
        word = str(picture.facts.run)
        self._replay(replace(wish, word=word, step=step))

    @staticmethod
    def _ages(folder: Path) -> list[tuple[int, int | None]]:
        """(step, what to ask for) of all of a run's models, youngest first; the best is asked for by ``None``."""
        from charlstm.model.file import read_info
        from charlstm.runs.folder import Run

        run = Run(folder)
        ages: dict[int, int | None] = {snapshot.step: snapshot.step for snapshot in run.snapshots()}
        with contextlib.suppress(CharLSTMError):
            step = read_info(run.model_path)[1].get("step")
            if isinstance(step, int):
                ages[step] = None
        return sorted(ages.items(), key=lambda age: age[0])

    def do_open_model(self) -> None:
        from charlstm_tui.app import ModelChoice
        from charlstm_tui.widgets.model_picker import ModelPicker

        def chosen(word: str | None) -> None:
            if word is not None and self.room == "duel":
                voice = self.duel.chosen
                wish = self._duel_wishes[voice] = replace(self._duel_wishes[voice], word=word, step=None)
                self._player.load(wish, voice)
            elif word is not None:
                self._asked = self.charlstm.model = ModelChoice(word)
                self._open(word)

        here = "" if self._wish is None else self._wish.word
        self.app.push_screen(ModelPicker(self.charlstm.snapshot, here, self.charlstm.opening.runs_dir), chosen)

    # ---- saving

    def do_save(self) -> None:
        """Ask where to: the file's ending says whether it is the session or its text."""
        from charlstm_tui.widgets.dialogs import PromptDialog

        picture = self._picture
        if picture is None or picture.facts is None:
            return
        place = kept_sessions.folder(picture.facts.run, picture.facts.path)
        offered = kept_sessions.new_name(place, "session-")
        about = "Ending in .json: the session with all of its branches. In .txt, .md or .html: the text."

        def named(name: str | None) -> None:
            if name:
                self._player.run_with(partial(save_as, Path(name).expanduser(), self._scale.name))

        self.app.push_screen(PromptDialog("Save the session, or export its text", about, str(offered)), named)

    def do_last_session(self) -> None:
        if self._wish is not None and self._last is not None:
            self._load(replace(self._wish, session=self._last, go=False, speed=self._speed))
            self._last = None
            self.refresh_keys()

    def _offer_last(self, picture: Picture) -> None:
        """Name the session that was played before this one, once."""
        if picture.facts is None or picture.keep is None or picture.wish.session is not None:
            return
        kept = kept_sessions.last(kept_sessions.folder(picture.facts.run, picture.facts.path), but=picture.keep)
        self._last = None if kept is None else kept.path
        if kept is not None:
            ago = words.clock(max(0.0, time.time() - kept.saved))
            self._note = f"l goes on with the last session, of {ago} ago."


def save_as(path: Path, colour: str, session: Session) -> str:
    """Save a session, or export its text, as the ending of ``path`` says; a sentence on what was done."""
    from charlstm.generation.export import export_session
    from charlstm.generation.saving import save_session

    try:
        kept_sessions.make(path.parent)
        if path.suffix.lower() in ("", ".json"):
            path = path.with_suffix(".json")
            save_session(session, path)
            return f"Saved as {path}"
        export_session(session, path, "rank" if colour == "off" else cast(Any, colour))
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}."
    return f"Exported to {path}"


__all__ = ["FULL", "GenerateScreen", "PicturesReady"]
