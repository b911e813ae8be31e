"""Generate: play a model. The text streams while its candidates move; walk back, choose, branch, change its age.

The screen keeps what the thread in ``playing`` tells it and turns keys into what it asks of that thread. How text,
candidates and settings look is the widgets' business, what a character is worth ``charlstm.generation``'s.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual import on

from charlstm.errors import CharLSTMError
from charlstm.generation.sampling import SamplerSettings
from charlstm.user_files import STDOUT
from charlstm_tui.actions import ANYWHERE, OUTSIDE, PANES, Action
from charlstm_tui.formatting import typed_path
from charlstm_tui.generate.branch_tree import BranchTree
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.duel_view import SIDES
from charlstm_tui.generate.prime_input import PrimeInput
from charlstm_tui.generate.sampler_panel import adjust, faster
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.view_keys import ViewKeys
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.marks import SCALES
from charlstm_tui.player.state import PlaybackState
from charlstm_tui.player.thread import PAUSE_AFTER


class GenerateScreen(ViewKeys):
    """Play, and the other views of the same session."""

    # ---- keys: what is active

    def scopes(self) -> tuple[str, ...]:
        if self._choosing:
            return (ANYWHERE, PANES, OUTSIDE, "generate.choices")
        if self.room == "write":
            ghost = bool(self._picture and self._picture.suggestion) and not self._ghost_hidden
            return (ANYWHERE, "generate.write", "generate.write.ghost" if ghost else PANES)
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
        if self.room == "duel" and action.handler in ("edit_prime", "find", "save", "last_session"):
            return False
        if action.handler == "last_session":
            return self._last is not None
        if action.scope == "generate.tree":
            branch = self.query_one(BranchTree).highlighted_branch
            return branch is not None and (branch.parent is not None or action.handler != "prune_branch")
        if action.scope == "generate.choices":
            return action.args[0] <= len(self.query_one(Candidates).shown)
        if action.handler == "age":
            return (
                self._picture is not None
                and self._picture.facts is not None
                and bool(self._picture.facts.snapshot_steps)
            )
        if action.handler == "open_model":
            return True
        if action.handler == "edit_prime" and self._picture is not None and self._picture.facts is not None:
            return not self._picture.busy
        return action.mode != self.MODE or self.playing

    def labels(self) -> dict[str, str]:
        running = self._picture is not None and self._picture.running
        if self.room == "duel":
            running = self.duel.running
        shown = max((len(candidates.shown) for candidates in self.query(Candidates)), default=0)
        return {
            "generate.stream": "pause" if running else "one more" if self._speed == 0 else "go on",
            "generate.pick_1": f"to {min(9, shown)} take it and branch",
        }

    def step_out(self) -> bool:
        if self.room == "write" and not self._ghost_hidden and self._picture is not None and self._picture.suggestion:
            self._ghost_hidden = True
            self.stream.show_suggestion("")
            self.refresh_keys()
        elif self.room == "score" and self.score_room.stop():
            pass
        elif self.room != "play":
            self.enter_room("play")
        elif self._choosing:
            self._choose(False)
        elif self._picture is not None and self._picture.busy:
            self._player.cancel()
        elif self._note and not self.prime_input.has_focus:  # which stands in the note's place
            self._say("")
        elif self.focused is not self.stream:
            if self.has_class("-tree"):
                self.remove_class("-tree")
            self.focus_main()
        else:
            return False
        return True

    # ---- keys: playing

    def do_stream(self) -> None:
        picture = self._picture
        if self.room == "duel":
            for voice in SIDES:
                self._player.pause(voice) if self.duel.running else self._player.stream(PAUSE_AFTER, voice)
            return
        self._say("")
        if picture is not None and picture.running:
            self._player.pause()
        else:
            self.stream.cursor = None
            self.stream.reveal(self.stream.length)
            self._player.stream(PAUSE_AFTER)

    def do_speed(self, direction: int) -> None:
        self._speed = faster(self._speed, direction)
        for voice in SIDES if self.room == "duel" else (0,):
            self._player.change_speed(partial(faster, direction=direction), voice)
        self._draw_panels()
        self.refresh_keys()

    def do_adjust(self, name: str, direction: int) -> None:
        if self.room == "duel":
            if (side := self.duel.picture(self.duel.chosen)) is not None:
                self._set_side(side, adjust(side.settings, name, direction))
            return
        self._settings = adjust(self._settings, name, direction)
        self._player.change_settings(lambda _: self._settings)
        self._draw_panels()

    def _set_side(self, side: PlaybackState, settings: SamplerSettings) -> None:
        """Settings of one side of Duel, shown at once."""
        self.duel.show(replace(side, settings=settings, start=side.length, text=""))
        self._player.change_settings(lambda _: settings, side.number)

    def do_all_settings(self) -> None:
        """Every setting, of the side in focus in Duel."""
        from charlstm_tui.generate.sampler_dialog import Chosen, SamplerDialog

        duel = self.room == "duel"
        side = self.duel.picture(self.duel.chosen) if duel else self._picture
        if side is None:
            return

        def chosen(answer: Chosen | None) -> None:
            if answer is None:
                return
            if duel:
                self._set_side(side, answer.settings)
                return
            self._settings = answer.settings
            self._player.change_settings(lambda _: self._settings)
            if answer.copied is not None and answer.copied != self._copied_from and self._picture is not None:
                self._copied_from = answer.copied
                self._look_for_copies(self._picture)
            self._draw_panels()

        settings, copied = (side.settings, None) if duel else (self._settings, self._copied_from)
        where = ("", " on the left", " on the right")[side.number]
        title = f"How characters are chosen{where}"
        self.app.push_screen(SamplerDialog(title, settings, copied), chosen)

    def do_walk(self, characters: int, lines: int) -> None:
        stream, picture = self.stream, self._picture
        if picture is None:
            return
        if characters > 0 and stream.at_end and not picture.running:
            self._player.generate_one()
            return
        least = len(picture.prime)
        position = max(least, stream.walk(characters, lines))
        if position != stream.cursor:
            stream.cursor = position
        self._player.move_to(position - least)

    @on(StreamView.Walked)
    def _walked(self, event: StreamView.Walked) -> None:
        if self._picture is not None and event.view is self.stream:
            self._player.move_to(max(0, event.position - len(self._picture.prime)))

    def do_find(self) -> None:
        from charlstm_tui.dialogs import PromptDialog

        def found(needle: str | None) -> None:
            if not needle or self._picture is None:
                return
            place = self.stream.find(needle, self.stream.cursor + 1)
            if place is None:
                self._say(f"There is no “{needle}” in the text.")
                return
            self.stream.cursor = place
            self.stream.reveal(place)
            self._player.move_to(max(0, place - len(self._picture.prime)))

        self.app.push_screen(PromptDialog("Find in the text"), found)

    def do_colour(self) -> None:
        self._scale = SCALES[(SCALES.index(self._scale) + 1) % len(SCALES)]
        for view in self.query(StreamView):
            view.scale = self._scale
        self._say("")

    # ---- keys: choosing and branching

    def _choose(self, choosing: bool) -> None:
        self._choosing = choosing
        self.set_class(choosing, "-choosing")
        if choosing:
            self.minimize()
            self.remove_class("-tree")  # where there is little room it stands in the candidates' place
        self._draw_panels()
        self.refresh_keys()
        if choosing:
            self._say("1–9 pick a character, and the text branches there; Esc leaves it as it is.")
            self.call_after_refresh(self.refresh_keys)  # by then it is known how many there is room for
        else:
            self._say("")
            self.focus_main()

    def do_choices(self) -> None:
        if self._picture is not None and self._picture.running:
            self._player.pause()
        self._choose(True)

    def do_pick(self, number: int) -> None:
        shown = self.query_one(Candidates).shown
        if number <= len(shown):
            self._pick(shown[number - 1].char)

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
            self._player.regenerate(self.stream.cursor - len(self._picture.prime))

    def do_own_text(self) -> None:
        from charlstm_tui.dialogs import PromptDialog

        if self._picture is None:
            return
        self._player.pause()
        position = self.stream.cursor - len(self._picture.prime)

        def typed(text: str | None) -> None:
            if text:
                self._player.insert(text, position)

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
            self._player.prune_branch(branch.number)

    def do_name_branch(self) -> None:
        from charlstm_tui.dialogs import PromptDialog

        branch = self.query_one(BranchTree).highlighted_branch
        if branch is None:
            return

        def named(name: str | None) -> None:
            if name is not None:
                self._player.rename_branch(branch.number, name)

        self.app.push_screen(PromptDialog("Name this branch", value=branch.name), named)

    @on(BranchTree.OptionHighlighted)
    def _branch_highlighted(self) -> None:
        self.refresh_keys()

    @on(BranchTree.Taken)
    def _branch_taken(self, event: BranchTree.Taken) -> None:
        self._player.switch_branch(event.number)
        self.focus_main()

    # ---- keys: prime and model

    def do_edit_prime(self) -> None:
        self.prime_input.focus()

    @on(PrimeInput.Taken)
    def _prime_taken(self, event: PrimeInput.Taken) -> None:
        if self._wish is not None:
            self._load(
                replace(
                    self._wish, prime=event.text, settings=self._settings, speed=self._speed, stream=self._speed > 0,
                    session=None,
                )
            )  # fmt: skip
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
        if ages[place] == here:
            self._say("This is the oldest there is so far.")
            return
        step = ages[place][1]
        self._say("")
        word = str(picture.facts.run)
        self._replay(replace(wish, model_name=word, step=step, prime=picture.prime))

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
        from charlstm_tui.choices import ModelChoice
        from charlstm_tui.generate.model_picker import ModelPicker

        def chosen(word: str | None) -> None:
            if word is not None and word.endswith(".json"):
                self._open_session(Path(word))
            elif word is not None and self.room == "duel":
                self._load_side(self.duel.chosen, model_name=word, step=None)
            elif word is not None:
                self._asked = self.charlstm.model = ModelChoice(word)
                self._open(word)

        here = "" if self._wish is None else self._wish.model_name
        facts = None if self._picture is None or self.room == "duel" else self._picture.facts
        sessions = [] if facts is None else saved_sessions.saved(saved_sessions.folder(facts.run, facts.path))
        self.app.push_screen(ModelPicker(self.charlstm.runs_state, here, sessions), chosen)

    def _open_session(self, path: Path) -> None:
        """Go on with a saved session, on the run that it lies in or else on the model that is played."""
        from charlstm_tui.choices import ModelChoice

        run, facts = saved_sessions.run_of(path), None if self._picture is None else self._picture.facts
        if self.room != "play":
            self.enter_room("play")
        if run is not None and (facts is None or facts.run != run):
            self._asked = self.charlstm.model = ModelChoice(str(run))
            self._open(str(run), session=path)
        elif self._wish is None:
            self.charlstm.notify_error("Open the model first that the session was played on, then the session.")
        else:
            self._load(replace(self._wish, prime=None, session=path, stream=False, speed=self._speed))

    # ---- saving

    def do_save(self) -> None:
        """Ask where to: the file's ending says whether it is the session or its text."""
        from charlstm.generation.saving import target
        from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog

        picture = self._picture
        if picture is None or picture.facts is None:
            return
        place = saved_sessions.folder(picture.facts.run, picture.facts.path)
        offered = saved_sessions.new_name(place, "session-")
        about = "Ending in .json: the session with all of its branches. In .txt, .md or .html: the text."

        def save(path: Path) -> None:
            self._player.call(partial(saved_sessions.save_as, path, self._scale.name))

        def named(name: str | None) -> None:
            if not name:
                return
            if name.strip() == STDOUT:
                self._say("Standard output is this terminal: name a file.")
                return
            try:
                path = target(typed_path(name))
            except CharLSTMError as error:
                self._say(f"{error}.")
                return
            if not os.path.lexists(path):
                save(path)
                return
            choices = [Choice("n", "no, keep it as it is", None), Choice("y", "yes, write over it", path)]
            about = "There is a file of that name already."
            self.app.push_screen(ChoiceDialog(f"Replace {path}?", about, choices), replaced)

        def replaced(path: Path | None) -> None:
            if path is not None:
                save(path)

        self.app.push_screen(PromptDialog("Save the session, or export its text", about, str(offered)), named)

    def do_last_session(self) -> None:
        if self._wish is not None and self._last is not None:
            self._load(replace(self._wish, prime=None, session=self._last, stream=False, speed=self._speed))
            self._last = None
            self.refresh_keys()
