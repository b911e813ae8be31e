"""Generate: play a model. The screen owns the texts and the views, and dispatches keys to the view that is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from charlstm.display import plural, visible
from charlstm.errors import CharLSTMError
from charlstm.insight.cells import SHORTEST
from charlstm.model.file import read_info
from charlstm.runs.models import DEMO, demo_path
from charlstm_tui.actions import BY_ID, bindings, key_of
from charlstm_tui.background import in_thread
from charlstm_tui.choices import ModelChoice, playable
from charlstm_tui.clipboard import Copyable
from charlstm_tui.dialogs import Choice, ChoiceDialog, ask
from charlstm_tui.formatting import home, shorten
from charlstm_tui.generate.awaited import (
    Awaited,
    better_model,
    run_to_play,
    slowed_words,
)
from charlstm_tui.generate.cells_view import CellsView
from charlstm_tui.generate.context_view import ContextView
from charlstm_tui.generate.duel_view import DuelView
from charlstm_tui.generate.model_picker import ModelPicker
from charlstm_tui.generate.multiverse_view import MultiverseView
from charlstm_tui.generate.play_view import BEGINNING, PlayView, loss_words
from charlstm_tui.generate.report_page import is_too_short, make_page, open_page
from charlstm_tui.generate.score_view import ScoreView
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.text_picker import TextPicker
from charlstm_tui.generate.view import GenerateView
from charlstm_tui.generate.view_bar import GenerateBar, StatusLine
from charlstm_tui.mode_screen import ModeScreen
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.model_thread import ModelThread
from charlstm_tui.player.opening import LoadedModel, ModelFacts, PlayRequest, model_of_session
from charlstm_tui.player.played import Played
from charlstm_tui.player.preferences import Preferences
from charlstm_tui.player.session_saver import SessionSaver
from charlstm_tui.player.shown_text import Display
from charlstm_tui.player.text_player import TextPlayer
from charlstm_tui.process import SAVE_WITHIN
from charlstm_tui.run_watcher import RunsState
from charlstm_tui.to_play import Asked, OnBetter, Playing, ToPlay
from charlstm_tui.widgets.find import FindBar

INFO_SECONDS = 6.0
"""How long a message stands in the status line; an error stays until the next action."""
YIELDING_SECONDS = 12.0
"""How long it is said that training yields to other programs: two sentences."""
TITLE, SHORT_TITLE = 30, 15
"""The most characters of the session's title, which stands before the model's name, in a wide and a narrow terminal."""
SHORT_NAME = 10
"""Characters of the model's name beside its step where there is little space."""
LOOK_EVERY = 0.25
"""Seconds between two looks at a run that has no model to play yet."""
FOLLOW_EVERY = 1.0
"""Seconds between two looks for a better model of the run that is played."""
FIGURES_INTERVAL = 0.25
"""Seconds between two updates of the figures while text streams. The line is at the foot of the screen, so Textual
composes everything between it and the text anew with each."""


class GenerateScreen(ModeScreen):
    """The mode: a bar with the views and the model, a view, and a status line."""

    MODE = "generate"
    ALLOW_IN_MAXIMIZED_VIEW = "StatusLine, KeyBar, FindBar"
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("generate")]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"), (52, "-narrow"), (76, "-normal"), (110, "-wide"), (160, "-huge"),
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._players: dict[int, TextPlayer] = {}
        self.model_thread = ModelThread(lambda number, batch: self._do_later(lambda: self._players[number].take(batch)))
        self.saver = SessionSaver(lambda: self._do_later(lambda: self.player.publish()))
        self.insight = InsightJobs()
        preferences = Preferences.from_dict(self.charlstm.remembered.preferences).changed_by(self.charlstm.config)
        self._text = StreamView(keys_scroll=False, can_replace=True, id="stream")
        self.player = self._make_player(0, self._text, self._show_played, self.saver, self._touch)
        self.play = PlayView(self.player, self._text, self.insight, preferences, id="play")
        self.score = ScoreView(self.player, self.insight, id="score")
        self.cells = CellsView(self.player, self.insight, self._text, id="cells")
        self.duel = DuelView(self.player, self.insight, self._make_player, self.cells.features_of, id="duel")
        self.multiverse = MultiverseView(self.player, self.insight, id="multiverse")
        self.context = ContextView(self.player, self.insight, id="context")
        self.use_views(self.play, later=(self.score, self.cells, self.context, self.multiverse, self.duel))
        self._bar, self._status = GenerateBar(id="generate-bar"), StatusLine(id="status")
        self._told_yielding: Path | None = None
        """The run of which was said that it yields to other programs."""
        self._awaited_line = Static(id="awaited", markup=False)
        self._message = ""
        self._message_is_error = self._message_stays = False
        self._message_timer: Timer | None = None
        self._figures_at = 0.0
        self._draws = False  # whether what has changed is not drawn yet

    def compose_body(self) -> ComposeResult:
        yield self._bar
        yield self._awaited_line
        yield from super().compose_body()

    def compose_foot(self) -> ComposeResult:
        yield self._status

    def on_mount(self) -> None:
        for part in (self._bring_up_to_date, self._tell_not_saved):
            self.watch(self.play, "state", part, init=False)
        self.watch(self.charlstm, "to_play", self._show_awaited, init=False)
        self.charlstm.run_renamed.subscribe(self, lambda folders: self.player.rename_run(*folders), immediate=True)
        self.charlstm.unfinished.append(self._finish)
        if not self.detached:
            self.model_thread.start()

    async def on_unmount(self) -> None:
        self.charlstm.remember(preferences=self.play.preferences().to_dict())
        delete_unkept = not self.charlstm.return_code
        if await in_thread(lambda check: self.player.close(SAVE_WITHIN, delete_unkept=delete_unkept)):
            words = await in_thread(lambda check: self._saved_words())
            self.charlstm.unfinished.remove(self._finish)
            self.charlstm.add_farewell(words)

    def _finish(self) -> str:
        """Wait until all is saved."""
        while not self.player.close(SAVE_WITHIN):
            pass  # it goes on in threads; Ctrl+C ends the process
        return self._saved_words()

    def _saved_words(self) -> str:
        """What to say about the sessions at the end: what could not be saved, or how to continue the one that was
        played."""
        return " ".join(self.player.rescue()) or saved_sessions.kept(self.player.file)

    # ---- the views

    @property
    def view(self) -> GenerateView:
        """See :class:`ModeScreen`."""
        view = super().view
        assert isinstance(view, GenerateView)
        return view

    @property
    def view_name(self) -> str:
        """See :attr:`GenerateView.view_name`."""
        return self.view.view_name

    @property
    def _text_of(self) -> PlayView | ScoreView:
        """The view whose text and cursor the one that is shown is about, such as Multiverse or Context."""
        return self.score if "score" in (self.view.id, self.view.back_to) else self.play

    def show_view(self, name: str) -> None:
        """Show the view, or the mode of Play, with this ``view_name``. The text of Play stays as it is meanwhile."""
        before = self.view
        shown = "play" if name == "write" else name
        if before.id == shown:
            before.leave()
        super().show_view(shown)
        if before not in (self.view, self.play):
            before.state = None  # what a view that is not shown does not watch costs nothing
        if not (before.has_own_scale or self.view.has_own_scale):
            self.view.scale = before.scale
        if name in ("play", "write"):
            self.play.focus_main()
            self.play.writing = name == "write"
        self.show_message("")
        self._draw_bar()
        self.refresh_bindings()

    def action_show_view(self, name: str) -> None:
        if name == "play" or self.play.playing:
            self.show_view(name)

    def view_changed(self) -> None:
        self._draw_bar()
        self._draw_status()
        super().view_changed()

    def _draw_bar(self) -> None:
        state = self.play.state
        if state is None or state.facts is None:
            return
        facts, name = state.facts, self.view_name
        step = "" if facts.step is None else f" @ step {facts.step:,}"
        # The step is worth more than the end of the name.
        short = shorten(facts.name, SHORT_NAME)
        names: tuple[str, ...] = (facts.name + step, short + step, short + step.replace("step ", ""))
        names += (step.strip() or facts.name,)
        if facts.loss is not None:
            names = (f"{names[0]} · {loss_words(facts, self.charlstm.bits)}", *names)
        names = (f"{facts.shape} · {facts.vocab_size:,} symbols · {names[0]}", *names)
        if state.title and name != "play":  # Play shows the title beside the prime
            titles = [f"“{shorten(visible(state.title, keep=''), width)}”" for width in (TITLE, SHORT_TITLE)]
            steps = (names[0], facts.name + step, short + step)
            names = (*(f"{title} · {model}" for title in titles for model in steps), *titles)
        if name == "duel":  # each side names its model
            seed = f"seed {self.duel.seed}"
            names = (f"the same beginning and {seed} on both sides", f"same beginning and {seed}", seed)
        first = next(iter(self.views))
        shown = [first, "write"] if name == first else [self.view.back_to or first, name]
        if name == first or self.view.question:
            shown.append("look_inside")
        count = len(facts.checkpoint_steps) if name == "play" else 0
        self._bar.show(name, shown, names, facts.number, count, self.view.escape_label)

    watch_bits = _draw_bar

    def _draw_status(self) -> None:
        self.charlstm.before_draw(self._draw_status_now)

    def _draw_status_now(self) -> None:
        if self.detached:
            return
        self._figures_at = time.monotonic()
        view = self.view
        note, line = visible(self._message) or self._not_saved or view.hint(), self._status
        if self.play.text_only:  # the line stands below the text, where no message covers it
            line.show(None, (), note)
        else:
            line.show(view.legend(), view.figures(), note)

    # ---- messages

    @property
    def message(self) -> str:
        return self._message

    @property
    def _not_saved(self) -> str:
        """Why a session is not saved, which is said until it is."""
        return "" if self.play.state is None else visible(self.play.state.not_saved)

    def show_message(self, sentence: str, error: bool = False, stays: bool = False) -> None:
        """Say something in the status line for some seconds, an error and what ``stays`` until the next action."""
        if sentence and self._message_is_error and not error:
            return
        self._message, self._message_is_error, self._message_stays = sentence, error, error or stays
        if self._message_timer is not None:
            self._message_timer.stop()
            self._message_timer = None
        if sentence and not self._message_stays:
            self._message_timer = self.set_timer(INFO_SECONDS, lambda: self.show_message(""))
        self._draw_status()

    # ---- what is played

    def _make_player(
        self,
        number: int,
        display: Display,
        changed: Callable[[Played], object],
        saver: SessionSaver | None = None,
        touched: Callable[[], object] = lambda: None,
    ) -> TextPlayer:
        """A text with this number for the thread that computes."""
        player = self._players[number] = TextPlayer(
            self.model_thread, number, display, partial(self._changed, changed), saver=saver, touched=touched,
            known=self._loaded_models,
            spawn=lambda job: self.run_worker(job, group=f"open {number}"),
            post=self._do_later, before_draw=self.charlstm.before_draw,
        )  # fmt: skip
        return player

    def _loaded_models(self) -> list[LoadedModel]:
        return [player.open_text.loaded for player in self._players.values() if player.open_text is not None]

    def _do_later(self, act: Callable[[], object]) -> None:
        """Do something on the message loop. Other threads may call this."""
        self.call_later(self._do, act)

    def _do(self, act: Callable[[], object]) -> None:
        if not self.detached:
            with self.app.batch_update():
                act()

    def _changed(self, changed: Callable[[Played], object], played: Played) -> None:
        """Show how a text is now; the thread goes on when it is drawn."""
        if self.detached:
            return
        changed(played)
        if not self.view.running or time.monotonic() - self._figures_at >= FIGURES_INTERVAL:
            self._draw_status()
        if not self._draws:
            self._draws = True
            self.view.call_after_refresh(self._drawn)

    def _drawn(self) -> None:
        self._draws = False
        self.model_thread.drawn()

    def _show_played(self, played: Played) -> None:
        self.play.state = played

    def keys_wait(self, event: events.Key | events.Paste) -> bool:
        """See :class:`ModeScreen`. Keys for a text wait, too, while the model is asked for a change of it, or for the
        candidates that are picked."""
        if self.play.choosing:
            self.player.bring_up_to_date()
        is_choosing = self.play.choosing and not self.player.played.is_current
        if self.view is self.play and (self.player.keys_wait or is_choosing):
            return isinstance(event, events.Paste) or event.key != "escape"
        return super().keys_wait(event)

    def _bring_up_to_date(self) -> None:
        super()._bring_up_to_date()
        self.view.state = self.play.state

    def _tell_not_saved(self, before: Played | None, state: Played) -> None:
        self.charlstm.not_saved = self._not_saved
        if self._not_saved and (before is None or before.not_saved != state.not_saved):
            self.show_error(self._not_saved)

    def action_move_checkpoint(self, by: int) -> None:
        """Play the model of the run that is so many after the one that is played."""
        if self.view is self.play and by:
            self.player.load_checkpoint(by)

    def on_screen_suspend(self) -> None:
        visible = self in self.app.screen_stack  # behind a dialog it is visible
        self.model_thread.set_visible(visible)
        if not visible:
            for group in ("choice", "follow"):  # who goes elsewhere is not called back; coming back looks again
                self.workers.cancel_group(self, group)

    def watch_runs_state(self) -> None:
        if self.play.state is None and not self._choosing:
            self.entered()
        self._tell_yielding()

    def _tell_yielding(self) -> None:
        """Say once that the run that trains has to wait for other programs; a run that is awaited says it itself."""
        run = self.runs_state.attached_run
        words = "" if run is None or self.to_play.awaited is not None else slowed_words(run.status, shown=True)
        if run is not None and words and run.path != self._told_yielding:
            self._told_yielding = run.path
            self.charlstm.notify(words, markup=False, timeout=YIELDING_SECONDS)

    # ---- which model

    def entered(self) -> None:
        self.model_thread.set_visible(True)
        self._open_choice()

    def dialog_closed(self) -> None:
        self.model_thread.set_visible(True)
        self._drawn()  # Textual may have given that callback to the dialog, with which it is gone

    @property
    def opens(self) -> bool:
        return (self._choosing and self.to_play.awaited is None) or super().opens

    @property
    def busy(self) -> bool:
        return super().busy or (self._choosing and self.to_play.awaited is None)

    def has(self) -> dict[str, bool]:
        return super().has() | {f"not {name}": name != self.view_name for name in (*self.views, "write")}

    @property
    def _choosing(self) -> bool:
        """Whether it is being found out what to play."""
        return self.works_at("choice")

    @property
    def to_play(self) -> ToPlay:
        return self.charlstm.to_play

    @to_play.setter
    def to_play(self, to_play: ToPlay) -> None:
        self.charlstm.to_play = to_play

    def _touch(self) -> None:
        """Something was done: the text stays."""
        self.to_play = self.to_play.touch()

    @work(exclusive=True, group="choice")
    async def _open_choice(self) -> None:
        """Play what is chosen, unless it is played already. At first, without a choice and a run to watch, go on where
        the user left off; else choose. A run that trains is waited for until it has learnt something."""
        state, runs_dir, session = self.charlstm.runs_state, self.charlstm.start_options.runs_dir, self.to_play.session
        if session is None and self.to_play.is_first and state.attached_run is None and not state.live:
            left_off = await in_thread(lambda check: saved_sessions.left_off(runs_dir))
            session = None if left_off is None else left_off.path
        if session is not None:
            model = await in_thread(lambda check: model_of_session(session, runs_dir))
            other = ModelChoice(model[0]) if model else self.to_play.chosen or await self._first_choice()
            other = other or ModelChoice(DEMO)
            self._open(other, ModelChoice(*model) if model else other, session)
            return
        choice = self.to_play.chosen or await self._first_choice()
        if choice is None or self.to_play.is_played(choice):
            self._go_on(choice)
            return
        found = await self._wait_for_model(choice)
        if found is None:
            return
        played, same = self.play.state, choice == self.to_play.played and self.to_play.asked is not Asked.BEGIN
        if same and await in_thread(lambda check: is_newest(found, played, runs_dir)):
            self._go_on(choice)
        else:
            self._open(choice, found)

    def _go_on(self, choice: ModelChoice | None) -> None:
        """Leave what is played as it is, and follow the run that it is of."""
        self.to_play = self.to_play.go_on()
        if choice is not None:
            self._follow(choice)

    async def _first_choice(self) -> ModelChoice | None:
        """What to play without a choice. The runs may change while it is found out, without which it is asked again."""
        state = self.charlstm.runs_state
        choice = await in_thread(lambda check: first_choice(state))
        return choice if choice is not None or state is self.charlstm.runs_state else await self._first_choice()

    async def _wait_for_model(self, choice: ModelChoice) -> ModelChoice | None:
        """The choice with the model that is to be played, once there is one; until then the view says what is awaited.
        Whatever else is chosen meanwhile, and leaving the mode, cancels the worker that waits here. ``None`` if the
        text that is played meanwhile was worked on, and so stays."""
        to_play = await in_thread(lambda check: run_to_play(choice, self.charlstm.start_options.runs_dir))
        if to_play is None:
            return choice
        found, folder = await in_thread(lambda check: to_play.look(self.charlstm.bits)), to_play.run.path
        if isinstance(found, Awaited):
            self.to_play = self.to_play.wait(folder)
        waited = self.to_play.waits_for(folder)
        while isinstance(found, Awaited):
            self._show_what_is_awaited(found)
            await asyncio.sleep(LOOK_EVERY)
            found = await in_thread(lambda check: to_play.look(self.charlstm.bits))
        if waited and (judged := to_play.judge()).is_broken:
            key, name = key_of(f"app.mode_{self._mode_of(folder)}"), to_play.run.name
            leaves = "and this is the model that it leaves"
            self.show_error(f"{name} has {judged.kind}, {leaves}. {key} shows what can be done.")
        if waited and not self.to_play.untouched:
            self.to_play = self.to_play.stay()
            words = f"has learnt something. Your text stays; in Play {key_of('generate.open_model')} lists the run."
            self.show_message(f"{visible(to_play.run.name, keep='')} {words}", stays=True)
            return None
        return found

    def _show_awaited(self) -> None:
        """Show the line about an awaited run, which has no words yet, or hide it."""
        self._awaited_line.display = self.to_play.awaited is not None
        self._draw_bar()

    def _show_what_is_awaited(self, awaited: Awaited) -> None:
        """Say what is awaited above the text, which is one of the model in the box if nothing else is played."""
        mode = self._mode_of(awaited.run.path)
        words = awaited.sentence(shown=mode == "train", stays=not self.to_play.untouched)
        keys = f"   {key_of('app.back')} stops waiting"
        if awaited.over:
            keys = f"   {key_of(f'app.mode_{mode}')} shows what can be done   "
            keys += f"{key_of('generate.open_model')} opens another model   {key_of('app.back')} goes back"
        self._awaited_line.update(Content.assemble((words, "$error" if awaited.over else "$accent"), (keys, "$quiet")))
        if self.play.state is None and demo_path() is not None:
            self.play.open(DEMO, None, None, self.charlstm.start_options.runs_dir)
        self._draw_bar()

    def _mode_of(self, run: Path) -> str:
        """The mode that shows the run in this folder."""
        return "train" if run == self.charlstm.run_path else "runs"

    def _stop_waiting(self) -> None:
        """Go back to what was played before, or to where the run was chosen."""
        awaited, played = self.to_play.awaited, self.to_play.played
        self.workers.cancel_group(self, "choice")
        self.to_play = self.to_play.stop_waiting()
        if played is not None:
            self._follow(played)  # which ended when the mode was left
        elif awaited is not None:  # what is played stands in for the run
            self.charlstm.go(self._mode_of(awaited))

    def _open(self, choice: ModelChoice, found: ModelChoice, session: Path | None = None) -> None:
        """Play ``found``, which is what ``choice`` means now."""
        if self.view_name != "play":  # the other views are of the model that was played
            self.show_view("play")
        self.play.open(found.model, found.step, session, self.charlstm.start_options.runs_dir)
        to_play = self.to_play
        self.to_play = to_play.open(choice, time.monotonic()) if session is None else to_play.open_session(choice)
        self._follow(choice)

    @work(exclusive=True, group="follow")
    async def _follow(self, choice: ModelChoice) -> None:
        """While the chosen run trains: let the text begin again with each clearly better model, and with its best one
        when it ends, until something is done in Generate. From then on such a model is offered."""
        runs_dir = self.charlstm.start_options.runs_dir
        to_play, state = await in_thread(lambda check: run_to_play(choice, runs_dir)), self.play.state
        if to_play is None:
            return
        is_over = not to_play.status.alive
        if is_over and (state is None or state.facts is None or state.request.step is not None):
            return  # else it may have ended elsewhere than here; an earlier model was chosen by its key
        best: ModelFacts | None = None  # that was played or offered
        while True:
            await asyncio.sleep(FOLLOW_EVERY)
            state = self.play.state
            if state is None or state.facts is None or state.busy or state.facts.run != to_play.run.path:
                if not to_play.status.alive:
                    return
                continue
            if is_over and state.request.step is not None:
                return
            facts = state.facts
            best = facts if best is None or (facts.step or 0) > (best.step or 0) else best
            better = await in_thread(partial(better_model, to_play, best, runs_dir))
            if better is None:
                if not to_play.status.alive:
                    return
                continue
            now = time.monotonic()
            use = self.to_play.on_better(now, self.view is self.play)
            if use is OnBetter.OFFER:
                best = replace(best, step=better.step, loss=better.loss)
                self.play.offer(better)
            elif use is OnBetter.BEGIN:
                self.play.begin_again(better)
                self.to_play = self.to_play.begin_again(now)

    def do_open_model(self) -> None:
        shown = self.duel.sides.get(self.duel.chosen) if self.view is self.duel else self.play.state
        here = set() if shown is None else _names(shown)
        self.app.push_screen(ModelPicker(self.charlstm.runs_state, here), self._picked)

    def do_texts(self) -> None:
        """List the texts, to go on with one."""
        state = self.play.state
        folder = None if state is None or state.facts is None else state.facts.sessions
        played = None if state is None else state.file
        picker = TextPicker(self.charlstm.runs_state, folder, played, self.player.give_title)
        self.app.push_screen(picker, self._text_picked)

    def _text_picked(self, name: str | None) -> None:
        """Open what was chosen in the list of texts: a session, a file of text, or a model."""
        if name is None or name.endswith(".safetensors"):
            self._picked(name)
        elif self.play.state is None or Path(name) != self.play.state.file:
            self._open_session(Path(name))

    def _picked(self, name: str | None) -> None:
        """Play the model or open the session that was chosen in a list."""
        if name is None:
            return
        if name.endswith(".json"):
            self._text_picked(name)
        elif self.view is self.duel:
            self._open_in_duel(ModelChoice(name))
        else:
            self._choose_model(ModelChoice(name))

    def _choose_model(self, choice: ModelChoice) -> None:
        """Play another model; ask first what becomes of a text in which the user had a part."""
        state = self.play.state
        if state is None or not state.edited or not self.play.playing:
            self._begin_with(choice)
            return
        choices = (
            Choice("g", "go on with this text", self._go_on_with),
            Choice("n", "begin a new one", self._begin_with),
        )
        about = "The text stays, with its branches and what can be undone; its figures are then those of this model."
        ask(self, ChoiceDialog(f"Play {Path(choice.model).name}", about, choices), lambda use: use(choice))

    def _begin_with(self, choice: ModelChoice) -> None:
        """Begin a new text with a model."""
        self.to_play = self.to_play.choose(choice, Asked.BEGIN)
        self._open_choice()

    @work(exclusive=True, group="choice")
    async def _go_on_with(self, choice: ModelChoice) -> None:
        """Go on with the text in another model, unless that is a run which has not learnt anything yet."""
        found = await self._find_model(choice, "go on with the text")
        if found is None:
            return
        if self.view_name not in ("play", "write"):  # the other views are of the model that was played
            self.show_view("play")
        self.to_play = self.to_play.go_on_with(choice)
        self.player.go_on_with(found.model, found.step, self.charlstm.start_options.runs_dir)
        self._follow(choice)

    async def _find_model(self, choice: ModelChoice, purpose: str) -> ModelChoice | None:
        """The model that a choice means now; ``None``, which is said, for a run that has none yet for the purpose."""
        to_play = await in_thread(lambda check: run_to_play(choice, self.charlstm.start_options.runs_dir))
        found = choice if to_play is None else await in_thread(lambda check: to_play.look())
        if isinstance(found, Awaited):
            self.show_error(f"{found.run.name} has not learnt anything yet that could {purpose}.")
            return None
        return found

    @work(exclusive=True, group="session")
    async def _open_session(self, path: Path) -> None:
        """Continue a saved session: on its own model, else on the one that is played."""
        runs_dir, state = self.charlstm.start_options.runs_dir, self.play.state
        model = await in_thread(lambda check: model_of_session(path, runs_dir))
        played = None if state is None or state.facts is None else _names(state)
        if played is None or (model is not None and model[0] not in played):
            found = ModelChoice(*(model or (DEMO,)))
            self.workers.cancel_group(self, "choice")
            self._open(ModelChoice(found.model), found, path)
        else:
            if self.view_name != "play":
                self.show_view("play")
            self.workers.cancel_group(self, "choice")
            if self.to_play.state is Playing.BEFORE_RUN and self.to_play.played is not None:
                self._follow(self.to_play.played)
            self.to_play = self.to_play.stay()
            self.play.load_session(path, *(model or ()))

    @work(exclusive=True, group="side")
    async def _open_in_duel(self, choice: ModelChoice) -> None:
        """Play another model on a side of Duel, unless that is a run which has not learnt anything yet."""
        found = await self._find_model(choice, "be compared")
        if found is not None:
            self.duel.open_model(found.model, found.step)

    # ---- actions

    async def action_do(self, name: str) -> None:
        if self._message_stays and BY_ID[name].handler != "back":  # which removes it itself
            self.show_message("")
        if BY_ID[name].mode == self.MODE:
            self._touch()
        await super().action_do(name)

    async def do_find(self) -> None:
        await self.find_in_text()

    async def do_replace(self) -> None:
        await self.find_in_text(replace=True)

    @on(FindBar.Replaced)
    def _found_replaced(self, event: FindBar.Replaced) -> None:
        if event.bar.target is self.play.text_view:
            self.play.replace_found(event.bar, event.text, event.place)

    def copyable(self) -> Copyable | None:
        return self.view.copyable() or self._text_of.copyable()

    def handle_escape(self) -> bool:
        if self.to_play.awaited is not None and not self.play.playing:
            self._stop_waiting()
            return True
        if self.view.handle_escape():
            return True
        if self._message and (self._message_is_error or not self.view.back_to):  # what else is said goes with the view
            self.show_message("")
            return True
        if self.leave_view():
            return True
        if self.to_play.awaited is not None:
            self._stop_waiting()
            return True
        return False

    def do_write(self) -> None:
        text_only = self.play.text_only
        self.show_view("write")
        self.play.text_only = text_only

    def do_new_text(self) -> None:
        self.do_write()
        self.play.begin_empty()

    def do_last_session(self) -> None:
        """Continue the last session, of whichever model."""
        state, others = self.play.state, key_of("generate.texts")
        last = None if state is None else state.last_session
        if state is None or last is None:
            self.show_message("There is no other session.")
        elif last.path in (state.request.session, self.player.file):
            self.show_message(f"This is the last session: {last.about(BEGINNING)}; {others} lists the others.")
        else:
            self._open_session(last.path)

    def do_look_inside(self) -> None:
        """Let a person choose among the views that explain, each with the question that it answers."""
        views = [
            Choice(key_of(f"generate.{name}"), f"{name.capitalize():<11} {view.question}", f"generate.{name}")
            for name, view in self.views.items()
            if isinstance(view, GenerateView) and view.question
        ]
        ask(self, ChoiceDialog("Look inside", "", views), lambda action: self.call_later(self.action_do, action))

    async def do_view(self, name: str) -> None:
        """Show the view with this id, for the text of Play or Score; in Score, the key of Score is about its own."""
        before, view = self.view, self.views[name]
        assert isinstance(view, GenerateView)
        if view is not before:
            back_to = next((each for each in view.returns_to if each in (before.id, before.back_to)), "play")
            await self.open_view(name, back_to)
        view.enter(self._text_of if view is before or view.back_to == "score" else self.play)

    def do_report(self) -> None:
        """Make the page of the command ``report`` about the model on the text of the view, and open it."""
        state, text = self.play.state, self.copyable()
        if state is None or state.facts is None or text is None:
            return
        if self.works_at("report"):
            self.show_message("The page is being made: it opens when it is done.")
            return
        self._make_report(state.facts, state.request, text.text)

    @work(group="report")
    async def _make_report(self, facts: ModelFacts, request: PlayRequest, text: str) -> None:
        too_short = is_too_short(facts, text)
        if too_short:
            words = f"Too short for a page (under {SHORTEST}): making one about the run's own text …"
        else:
            words = "Making the page; that may take a minute or two …"
        self.show_message(words, stays=True)
        try:
            page = await make_page(facts, request.model_name, request.step, text)
            opened = await in_thread(lambda check: open_page(page))
        except (CharLSTMError, OSError) as error:
            self.show_error(f"The page could not be made: {error}")
            return
        if opened:
            about = ", about the run's own text as this one is too short" if too_short else ""
            self.show_message(f"Opened in the browser{about}: {home(page)}", stays=True)
        else:
            self.show_message(f"No browser can be opened from here. The page: {home(page)}", stays=True)
            self.notify(f"Open this page in a browser: {page}", markup=False, timeout=30)

    @on(DuelView.Kept)
    def _side_kept(self, event: DuelView.Kept) -> None:
        self.show_view("play")
        self.player.put_in(event.text, f"{plural(len(event.text), 'character')} put in.")


def _names(state: Played) -> set[str]:
    """What may be the name of the model that is played, in a session or a list: as it was asked for, and its paths."""
    paths = () if state.facts is None else (state.facts.run, state.facts.path)
    return {state.request.model_name, *(str(path.absolute()) for path in paths if path is not None)}


def first_choice(state: RunsState) -> ModelChoice | None:
    """If nothing was chosen: the run that is shown in Train, a live one, the newest; else the model in the box."""
    attached = state.attached_run
    for view in ((attached,) if attached else ()) + state.live + state.runs:
        if (choice := playable(view.run)) is not None:
            return choice
    return ModelChoice("demo") if demo_path() is not None else None


def is_newest(choice: ModelChoice, played: Played | None, runs_dir: Path | None) -> bool:
    """Whether what is played is the choice as it is now: a run that trains may have a better model meanwhile."""
    if played is None or played.facts is None or played.request.step != choice.step:
        return False
    try:
        path = saved_sessions.model_file(choice.model, runs_dir, choice.step)
        return path == played.facts.path and read_info(path)[1].get("step") == played.facts.step
    except CharLSTMError:
        return False
