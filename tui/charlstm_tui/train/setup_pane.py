"""The body of Train before a run: the presets with what each will cost on this text, the plan, and what to beat.

Figures that need no measuring are there at once. Speed, memory and how busy the processor is are measured in other
processes, and shown when they are known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.widgets import Static
from textual.worker import Worker, WorkerCancelled, WorkerError

from charlstm.display import plural, visible
from charlstm.errors import CharLSTMError
from charlstm.model.file import ModelConfig
from charlstm.runs.contention import BACKGROUND_NICENESS, NOTABLE_SLOWDOWN
from charlstm.runs.folder import Run, run_of_model
from charlstm.runs.launch import NewRun, start_run
from charlstm.runs.models import DEMO, demo_path, find_model
from charlstm.runs.start_models import StartModel, expected_losses, find_start, try_model
from charlstm.text.corpus import open_corpus, reopen_corpus
from charlstm.text.reading import USUAL
from charlstm.text.sources import ReadProgress
from charlstm.training.ending import risk_words
from charlstm.training.estimate import memory_bytes
from charlstm.training.presets import DEFAULT, PRESETS, preset
from charlstm.training.schedule import LearningRate
from charlstm.training.settings import Settings, write_setting
from charlstm_tui.actions import Action, key_of
from charlstm_tui.background import in_thread, run_command
from charlstm_tui.base import View, is_detached
from charlstm_tui.choices import CorpusChoice, file_stamps
from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog
from charlstm_tui.formatting import loss, shorten, unit
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.train.baselines import BaselineLosses, baseline_losses
from charlstm_tui.train.preset_list import PresetFacts, PresetList
from charlstm_tui.train.run_plan import (
    LONGEST_NAME,
    UNKNOWN,
    LossToBeat,
    RunChoices,
    TextFacts,
    beats_all,
    busy_words,
    longer_minutes,
    losses_to_beat,
    number,
    origin_words,
    plan_lines,
    planned_seconds,
    read_before_words,
    start_words,
    unit_words,
    without_effect_words,
)
from charlstm_tui.train.settings_dialog import SettingsDialog
from charlstm_tui.widgets.bars import bar, sparkline
from charlstm_tui.widgets.path_input import PathSuggester

MODELS_OFFERED = 7
READING = "reading …"
NARROW, TALL = 72, 32

SHORT_BAR = 16
"""Cells for the shortest bars with their figures, beside the names of the losses."""


class SizedText(Static):
    """Text that ``make`` makes for the size of this widget, again when that changes: a widget that was hidden has its
    size only some time after it is shown."""

    def __init__(self, make: Callable[[Size], Content], id: str) -> None:
        super().__init__(id=id, markup=False)
        self._make = make

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        self.update(self._make(self.size))


class SetupPane(View):
    """Choose preset, settings and first weights for the chosen text.

    What is chosen belongs to the text: another text starts from the preset as it is, and a text that was chosen before
    gets back what was chosen for it.
    """

    MAIN_PANE = "#presets"

    def __init__(self, preset: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._first_choices = RunChoices(preset)
        self.corpus: CorpusChoice | None = None
        self.text_facts: TextFacts | None = None
        self.choices = self._first_choices
        self.costs_of_presets: dict[str, dict[str, Any]] = {}
        self.costs_with_changes: dict[str, dict[str, Any]] = {}
        self.references: BaselineLosses | None = None
        """``None`` until they are counted; empty for a text that is too short, or gone."""
        self._measurements = 0  # a cancelled one may end after the next has begun
        self.starting = False
        """Whether a run is being made."""
        self.note, self.note_is_error = "", False
        self.problem = ""
        self._choices_of: dict[str, RunChoices] = {}  # by the text's source
        self._reading = READING  # what is done with the text until it is known
        self._highest_rate: float | None = None  # what limit_rate() asked for before the text was known
        self._read_or_refused = asyncio.Event()
        self._trying: Worker[bool] | None = None  # reads the model to start from that was chosen last
        self._beside: tuple[ChoiceDialog, Path] | None = None  # the question whether to train beside this run
        self._head_line, self._about, self._start_line, self._note_line, self._warnings, self._plan_pane = (
            Static(id=name, markup=False)
            for name in ("setup-head", "preset-about", "setup-start", "setup-note", "setup-warnings", "plan")
        )
        self._losses = SizedText(lambda size: self._baselines(size.width - 2), "baselines")
        self._rates = SizedText(lambda size: self._rate_plan(size.width - 4, min(size.height - 1, 12)), "rate-plan")
        self._presets = PresetList(id="presets")
        self._plans = Horizontal(self._plan_pane, self._losses, id="plans")

    def compose(self) -> ComposeResult:
        yield from (self._head_line, self._presets, self._about, self._start_line, self._note_line, self._warnings)
        yield from (self._plans, self._rates)

    def on_mount(self) -> None:
        if is_detached(self):
            return
        self._presets.border_title = Content("PRESETS")
        self._losses.border_title = Content("LOSS TO BEAT, on the held-out text")
        self._rates.border_title = Content("LEARNING RATE, from the first step to the last")
        self.draw()

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self.set_class(event.size.height >= TALL, "-tall")
        self.call_after_refresh(self.draw)  # when what the classes show or hide has its size

    # ---- the keys
    @property
    def opens(self) -> bool:
        return self.works_at("start") or (self.startable and not self.ready)

    def can(self, action: Action) -> bool:
        if self.works_at("start"):
            return False
        match action.handler:
            case "start":
                return self.startable
            case "preset" | "all_settings" | "from_model":
                return self.ready
            case "from_nothing":
                return self.can_choose_start
            case "reset":
                return self.ready and self.changes_count > 0
            case "more_time":
                return self.can_train_longer
            case _:
                return True

    @property
    def ready(self) -> bool:
        """Whether the text is known, and so what the presets mean for it."""
        return self.corpus is not None and self.text_facts is not None and not self.problem

    @property
    def startable(self) -> bool:
        """Whether Enter will start a run, if need be as soon as the text has been read."""
        return self.corpus is not None and not self.problem

    # ---- the text
    def show_text(self, choice: CorpusChoice | None) -> None:
        """Plan for this text. What was known and chosen for another text does not apply to it."""
        if choice == self.corpus and not self.problem:
            if choice is not None and self.text_facts is not None:
                self.run_worker(self._read_if_changed(choice, self.text_facts), group="read", exclusive=True)
            return
        first = self._first_choices
        self.choices = first if choice is None else self._choices_of.get(choice.source, first)
        self._highest_rate = None
        self._forget_tried()
        self._read_anew(choice)

    def _read_anew(self, choice: CorpusChoice | None) -> None:
        self.corpus, self.text_facts, self.references = choice, None, None
        self.costs_of_presets, self.costs_with_changes = {}, {}
        self.problem, self._reading = "", READING
        self._note("")
        self._read_or_refused.clear()
        self.workers.cancel_group(self, "measure")
        if choice is not None:
            self.run_worker(self._read(choice), group="read", exclusive=True)
        self.draw()

    async def _read_if_changed(self, choice: CorpusChoice, known: TextFacts) -> None:
        """Read a text again that was chosen before if its files have changed since."""
        stamps = await in_thread(lambda check: file_stamps(choice))
        if choice != self.corpus or self.starting:
            return
        if stamps != known.stamps:
            self._read_anew(choice)
        elif not self.measuring:
            self._measure_what_is_missing(again=True)  # other programs may have come or gone

    async def _read(self, choice: CorpusChoice) -> None:
        try:
            loop = asyncio.get_running_loop()

            def tell(words: str) -> None:
                loop.call_soon_threadsafe(self._show_reading, choice, words)

            self.text_facts = await in_thread(lambda check: read_text_facts(choice, check, tell))
            self._drop_limit_above_preset()
        except CharLSTMError as error:
            self.problem = str(error)
            self._note("")
        except Exception as error:
            self.problem = f"Reading the text failed: {type(error).__name__}: {error}"
            raise
        finally:
            self._read_or_refused.set()
            self.draw()
            self.post_message(self.Changed())
        if self.text_facts is not None and not self.starting:
            self._measure_what_is_missing()

    def _show_reading(self, choice: CorpusChoice, words: str) -> None:
        if choice == self.corpus and words != self._reading and self.is_attached:
            self._reading = words
            self._head_line.update(self._head(choice))

    # ---- what is measured
    @property
    def measuring(self) -> bool:
        """Whether it is being measured what the presets cost."""
        return self._measurements > 0

    def _measure_what_is_missing(self, again: bool = False) -> None:
        if self.charlstm.run_path is None:  # else it would slow a run that trains, for figures that nobody sees
            self.run_worker(partial(self._measure_all, again), group="measure", exclusive=True)

    async def _measure_all(self, again: bool) -> None:
        """Everything that the pane does not know yet, one after the other, so that they do not slow each other down;
        with ``again`` also what the presets cost."""
        choice, facts = self.corpus, self.text_facts
        if choice is None or facts is None:
            return
        self._measurements += 1
        try:
            if self.references is None:
                self.references = await baseline_losses(facts.record, self.settings()) or ()
                self.draw()
            if again or not self.costs_of_presets:
                self.costs_of_presets = await self._measure_costs(choice, {}) or self.costs_of_presets
            changes = self.differences
            if changes and (again or not self.costs_with_changes):
                measured = await self._measure_costs(choice, changes)
                if measured and changes == self.differences:
                    self.costs_with_changes = measured
        finally:
            self._measurements -= 1
            self.draw()

    async def _measure_costs(self, choice: CorpusChoice, changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What each preset costs on this machine; empty if that cannot be measured, and the table keeps its dashes."""
        given = {"niceness": BACKGROUND_NICENESS, **changes}  # what a run has that the app starts
        words = [word for name, value in given.items() for word in ("--set", f"{name}={write_setting(name, value)}")]
        if (start := self.choices.start_word) is not None:
            words += ["--from", start]
        try:
            answer = await run_command("presets", choice.source, *_flags(choice), *words)
            return {str(each["name"]): each for each in answer}
        except (CharLSTMError, KeyError, TypeError):
            return {}

    # ---- the choices
    @property
    def preset_name(self) -> str:
        """The chosen preset."""
        return self.choices.preset

    @property
    def usual(self) -> Settings:
        """The settings of the chosen preset for this text, without any change."""
        return self.preset_settings()

    def preset_settings(self, name: str | None = None) -> Settings:
        """The settings of a preset (default: the chosen one) for this text."""
        split = self.corpus.split if self.corpus is not None else "tail"
        return self.choices.preset_settings(self.text_facts, split, name)

    @property
    def differences(self) -> dict[str, Any]:
        """The settings that differ from the preset."""
        return self.choices.differences(self.usual)

    @property
    def changes_count(self) -> int:
        """The number of choices that differ from the preset."""
        return self.choices.count(self.usual)

    def settings(self) -> Settings:
        """The settings of the next run."""
        return self.usual.with_changes(**self.differences)

    @property
    def costs(self) -> Mapping[str, Any]:
        """What the chosen settings cost here; empty until it is measured."""
        measured = self.costs_with_changes if self.differences else self.costs_of_presets
        return measured.get(self.preset_name, {})

    @property
    def slowdown(self) -> float | None:
        """How many times as long training takes because of other programs; ``None`` until it is measured."""
        return number(self.costs or self.costs_of_presets.get(self.preset_name, {}), "slowdown")

    @property
    def live_runs(self) -> tuple[RunView, ...]:
        """The runs that a new one would share the processor with."""
        return tuple(view for view in self.runs_state.live if view.status.state in ("starting", "running"))

    @property
    def busy(self) -> bool:
        """Whether other programs would slow a run down."""
        return not self.live_runs and (self.slowdown or 1.0) >= NOTABLE_SLOWDOWN

    @property
    def can_train_longer(self) -> bool:
        """Whether a longer time limit would make up for a busy processor."""
        minutes, usual = self.settings().max_minutes, self.usual.max_minutes
        return self.ready and self.busy and minutes is not None and minutes == usual

    def choose(self, choices: RunChoices) -> None:
        """Choose for the next run on this text."""
        before, differences, split, self.choices = self.choices, self.differences, _split_of(self.settings()), choices
        if self.corpus is not None:
            self._choices_of[self.corpus.source] = choices
        if not self._is_trying:
            self._note("")
        another_start = choices.start_word != before.start_word
        if another_start:
            self.costs_of_presets = {}
        if another_start or self.differences != differences:
            self.costs_with_changes = {}
        if another_split := _split_of(self.settings()) != split:
            self.references = None
        if another_start or another_split or (self.differences != differences and self.costs_of_presets):
            self._measure_what_is_missing()
        self.draw()
        self.post_message(self.Changed())

    def do_preset(self, by: int) -> None:
        """To the next (1) or previous (-1) preset."""
        names = list(PRESETS)
        self.choose(replace(self.choices, preset=names[(names.index(self.preset_name) + by) % len(names)]))

    @on(PresetList.Chosen)
    def _chosen(self, event: PresetList.Chosen) -> None:
        self.choose(replace(self.choices, preset=list(PRESETS)[event.index]))

    def do_reset(self) -> None:
        """Back to the preset as it is, and to the weights that it starts from."""
        self._forget_tried()
        self.choose(RunChoices(self.preset_name))

    def limit_rate(self, rate: float) -> None:
        """Lower the learning rate to ``rate``, unless it is below that already."""
        self._highest_rate = rate if self.text_facts is None else None
        if self.corpus is not None and self.settings().lr > rate:
            self.choose(replace(self.choices, changes={**self.choices.changes, "lr": rate}))

    def _drop_limit_above_preset(self) -> None:
        """Once the text is known, the preset may start from a model, and have a rate below that of ``limit_rate``."""
        rate, self._highest_rate = self._highest_rate, None
        if rate is not None and rate > self.usual.lr and self.choices.changes.get("lr") == rate:
            kept = {name: value for name, value in self.choices.changes.items() if name != "lr"}
            self.choose(replace(self.choices, changes=kept))

    def do_more_time(self) -> None:
        """Raise the time limit by as much as other programs slow the run down."""
        minutes = self.settings().max_minutes
        if minutes is not None and self.slowdown is not None:
            longer = {"max_minutes": longer_minutes(minutes, self.slowdown)}
            self.choose(replace(self.choices, changes={**self.choices.changes, **longer}))

    def do_all_settings(self) -> None:
        """All settings as a form."""
        before = self.settings()

        def edited(settings: Settings | None) -> None:
            if settings is not None:
                choices, lifted = self.choices.edited(before, settings, self.usual)
                self.choose(choices)
                if lifted:
                    self._note("The usual limit is lifted, since you set another; set it again to have both.")
                    self.draw()

        without_effect = without_effect_words(self.corpus, self.choices)
        self.app.push_screen(SettingsDialog(self.preset_name, self.settings(), self.usual, without_effect), edited)

    def do_from_model(self) -> None:
        """Where the first weights come from."""
        runs_dir = self.charlstm.start_options.runs_dir
        runs = [view for view in self.runs_state.runs if view.run.model_path.is_file()][:MODELS_OFFERED]
        choices = [Choice("n", "nothing: random weights", ("", None))]
        for place, view in enumerate(runs, 1):
            label = f"{visible(view.name)}, the best model of the run"
            choices.append(Choice(str(place), label, (view.name, view.run.model_path)))
        if (demo := demo_path()) is not None:
            choices.append(Choice("d", "the model in the box", (DEMO, demo)))
        choices.append(Choice("p", "a model file: type its path", "path"))

        def path_chosen(text: str | None) -> None:
            if text:
                path = find_model(text, runs_dir)
                self.start_from(_model_name(path), path)

        def answered(answer: Any) -> None:
            if answer == "path":
                about = "A .safetensors file, or the name or folder of a run."
                dialog = PromptDialog(
                    "A model file", about, check=lambda text: _check_model(text, runs_dir), suggester=PathSuggester()
                )
                self.app.push_screen(dialog, path_chosen)
            elif answer is not None:
                self.start_from(*answer)

        about = (
            "A run that starts from a model has its weights and its size. Characters that the model does not know are "
            "added."
        )
        chosen = self.choices.start(self.text_facts)
        path = None if chosen is None else chosen.path
        cursor = next((at for at, each in enumerate(choices[:-1]) if each.value[1] == path), 0)
        self.app.push_screen(ChoiceDialog("Start from", about, choices, cursor), answered)

    def start_from(self, name: str, path: Path | None) -> None:
        """Start from the weights of this model, ``None`` for random ones."""
        self._forget_tried()
        if path is None:
            self.choose(replace(self.choices, start_from=None, from_nothing=self._box_helps))
        elif name == DEMO and self._box_helps:
            self.choose(replace(self.choices, start_from=None, from_nothing=False))
        else:
            self._note(f"Reading {visible(name, keep='')} …")
            self.draw()
            self._trying = self.run_worker(self._try_start(name, path), group="model", exclusive=True)

    async def _try_start(self, name: str, path: Path) -> bool:
        """Read this model, and choose it. Returns whether it is one; else the pane says why not."""
        await self._read_or_refused.wait()
        corpus, facts = self.corpus, self.text_facts
        if corpus is None or facts is None:
            return False
        model, problem = None, ""
        try:
            model = await in_thread(lambda check: try_start(name, path, facts.record, corpus.split))
        except CharLSTMError as error:
            problem = f"✗ {error}"
        self._trying = None
        from_nothing = self.choices.from_nothing and model is None
        self.choose(replace(self.choices, start_from=model, from_nothing=from_nothing))
        if problem:
            self._note(problem, is_error=True)
            self.draw()
        return model is not None

    @property
    def _is_trying(self) -> bool:
        """Whether the model to start from that was chosen last is still being read."""
        return self._trying is not None and not self._trying.is_finished

    def _forget_tried(self) -> None:
        """Read no longer the model that was chosen before: something else is chosen now."""
        self.workers.cancel_group(self, "model")
        self._trying = None

    async def _wait_for_model(self) -> bool:
        """Wait until the model to start from has been read. Returns whether what was chosen last can be started."""
        usable = True
        while (trying := self._trying) is not None and not trying.is_finished:
            try:
                usable = await asyncio.shield(trying.wait())  # ``wait`` alone takes a cancel of this for one of it
            except WorkerError as error:
                usable = isinstance(error, WorkerCancelled)  # then something else was chosen meanwhile
        return usable

    @property
    def _box_helps(self) -> bool:
        return self.text_facts is not None and self.text_facts.box is not None

    @property
    def can_choose_start(self) -> bool:
        """Whether the preset starts from the model in the box unless one chooses otherwise."""
        return self.ready and (self.choices.from_nothing or self.choices.start(self.text_facts) is not None)

    def do_from_nothing(self) -> None:
        """From nothing instead of from a model, and back to the model in the box."""
        self._forget_tried()
        self.choose(replace(self.choices, start_from=None, from_nothing=not self.choices.from_nothing))

    def _note(self, sentence: str, is_error: bool = False) -> None:
        self.note, self.note_is_error = sentence, is_error

    # ---- the start
    def do_start(self) -> None:
        """Start the run; beside one that trains only when that is confirmed."""
        if self.works_at("start"):  # as by a click: its thread could not be called back, and would start a second run
            return
        live = self.live_runs
        if not live:
            self._start_and_show()
            return

        def answered(answer: Any) -> None:
            if answer == "start":
                self._start_and_show()
            elif answer is not None:
                self.charlstm.attach(answer, show=False)

        name = live[0].name
        about = (
            "Both would share the processor: each takes about twice as long, and with a time limit each learns less."
        )
        choices = [Choice("w", f"watch {name}", live[0].path), Choice("s", "start it anyway", "start")]
        dialog = ChoiceDialog(f"Train beside {name}?", about, choices)
        self._beside = dialog, live[0].path
        self.app.push_screen(dialog, answered)

    def _close_question_about_ended(self) -> None:
        """Close the question whether to train beside a run, once that has ended."""
        if self._beside is None:
            return
        dialog, path = self._beside
        if dialog not in self.app.screen_stack:
            self._beside = None
        elif path not in (view.path for view in self.runs_state.live):
            self._beside = None
            dialog.dismiss_later(None)
            self.charlstm.notify_info(f"{path.name} has ended; {key_of('train.start')} starts the next run.")

    @work(exclusive=True, group="start")
    async def _start_and_show(self) -> None:
        run = await self.start(self.charlstm.start_options.runs_dir)
        if run is not None:
            self.charlstm.attach(run.path, show=False)

    async def start(self, runs_dir: Path | None) -> Run | None:
        """Make the run and its worker. ``None`` when that is refused; the pane says why."""
        choice = self.corpus
        if choice is None or self.problem:
            return None
        awaited = "the text" if self.text_facts is None else "the model" if self._is_trying else ""
        self._note(f"Starting as soon as {awaited} is read …" if awaited else "Starting …")
        self.starting = True
        self.draw()
        try:
            await self._read_or_refused.wait()
            if not await self._wait_for_model() or self.text_facts is None or choice != self.corpus:
                return None
            self._note("Starting …")
            self.draw()
            self.workers.cancel_group(self, "measure")  # it would slow the run's own first seconds down
            run = await self._start(choice, runs_dir)
            if run is None:
                self._measure_what_is_missing()
            return run
        finally:
            self.starting = False
            self.draw()

    async def _start(self, choice: CorpusChoice, runs_dir: Path | None) -> Run | None:
        settings, name, model = self.settings(), self.preset_name, self.choices.start(self.text_facts)
        if not settings.ends:
            self._note("✗ This run would never end: set epochs, max_steps or max_minutes.", is_error=True)
            return None
        new = NewRun(
            choice.source,
            settings,
            name,
            text_options=choice.options(name),
            validation=choice.validation or None,
            runs_dir=runs_dir,
            model_from=None if model is None else model.path,
        )
        try:
            run = await in_thread(lambda check: start_run(new))
        except CharLSTMError as error:
            self._note(f"✗ {error}", is_error=True)
            return None
        self._note("")
        return run

    # ---- on the screen
    def watch_bits(self) -> None:
        self.draw()

    def watch_runs_state(self, before: RunsState, state: RunsState) -> None:
        """The runs are offered to start from their models, and are losses to beat."""
        self._close_question_about_ended()
        if state.runs != before.runs:
            self.draw()

    def preset_facts(self) -> list[PresetFacts]:
        """What each preset costs, as far as it is known."""
        found, facts = [], self.text_facts
        for name in PRESETS:
            chosen, known = name == self.preset_name, self.choices.knows_start(facts, name)
            settings = self.settings() if chosen else self.preset_settings(name)
            costs = self.costs if chosen else self.costs_of_presets.get(name, {})
            network = memory = None
            if facts is not None:
                symbols = self.choices.symbols(facts, name)
                network = ModelConfig(symbols, settings.hidden_size, settings.num_layers)
                memory = memory_bytes(settings, facts.chars, symbols)
            found.append(
                PresetFacts(
                    name=name,
                    about=f"changed from {name}" if chosen and self.changes_count else PRESETS[name].about,
                    network=f"{settings.num_layers}×{settings.hidden_size}" if known else UNKNOWN,
                    parameters=None if network is None else network.parameters,
                    seconds=number(costs, "seconds") or planned_seconds(settings),
                    most_seconds=None if settings.max_minutes is None else 60 * settings.max_minutes,
                    memory=number(costs, "memory_bytes") or memory,
                    chars_per_second=number(costs, "chars_per_second"),
                    rough=bool(costs.get("crowded")) or (number(costs, "slowdown") or 1.0) > 1.0,
                    changed=chosen and bool(self.changes_count),
                    measuring=self.measuring or (facts is None and not self.problem),
                )
            )
        return found

    def _expected_losses(self) -> tuple[float, float] | None:
        """About what the losses will be in the end, from the model in the box and from nothing."""
        facts, choices = self.text_facts, self.choices
        seconds, speed = number(self.costs, "seconds"), number(self.costs, "chars_per_second")
        if facts is None or facts.box is None or choices.changes or not seconds or not speed:
            return None
        return expected_losses(facts.box, self.preset_name, facts.chars, seconds * speed, choices.from_nothing)

    def draw(self) -> None:
        """Bring the pane up to date."""
        if not self.is_attached:  # a text may be chosen before the first time
            return
        for part in (self._presets, self._about, self._start_line, self._plans, self._warnings):
            part.display = self.corpus is not None
        self.set_class(self.corpus is not None, "-with-text")
        head = self._head_line
        if self.corpus is None:
            head.update(
                Content(
                    f"No text is chosen yet. {key_of('app.mode_corpus')} goes to Corpus; "
                    f"{key_of('corpus.use')} takes a text there."
                )
            )
            return
        head.update(self._head(self.corpus))
        name = self.preset_name
        self._presets.show(self.preset_facts(), list(PRESETS).index(name))
        changed = self.changes_count > 0
        name_words, about = (f"changed from {name}", "") if changed else (f"{name}  ", f"{PRESETS[name].about}.")
        self._about.update(Content.assemble((name_words, "bold $accent"), about))
        words = start_words(self.choices, self.text_facts, self.bits, self._expected_losses())
        self._start_line.display = bool(words)
        self._start_line.update(Content(words))
        plan = self._plan_pane
        plan.update(self._plan())
        resets = f" · * changed, {key_of('train.reset')} resets" if self.changes_count else ""
        plan.border_title = Content(f"WHAT IT WILL DO{resets}")
        self._rates.draw()
        self._losses.draw()
        note = self._note_line
        note.display = bool(self.problem or self.note)
        note.set_class(bool(self.problem) or self.note_is_error, "bad")
        note.update(Content(visible(f"✗ {self.problem}" if self.problem else self.note)))
        keys = {}
        if not self.runs_state.runs and demo_path() is not None:  # else it plays the newest run
            keys["generate"] = key_of("app.mode_generate")
        if self.can_train_longer:
            keys["more_time"] = key_of("train.more_time")
        words = busy_words(self.slowdown, self.live_runs, self.settings(), keys)
        risks = risk_words(self.settings().lr, self.usual.lr), read_before_words(self.choices.start(self.text_facts))
        warnings = [f"! {each}" for each in (words, *risks) if each]
        line = self._warnings
        line.display = bool(warnings)
        line.update(Content("\n".join(warnings)))

    def _head(self, corpus: CorpusChoice) -> Content:
        facts = self.text_facts
        parts = [f"{facts.chars:,} characters", f"{facts.symbols} symbols"] if facts else []
        if facts is None and not self.problem:
            parts.append(self._reading)
        rest = "".join(f" · {part}" for part in parts)
        changed = ""
        if changes := self.changes_count:  # before what can be cut in a narrow terminal
            origin = f" · {words}" if (words := origin_words(self.choices)) else ""
            changed = f" · {plural(changes, 'change')}{origin}"
        name = shorten(visible(corpus.name), max(8, self.size.width - len(changed) - 2))
        return Content.assemble((name, "bold"), (changed, "bold $accent"), (rest, "$foreground 80%"))

    def _plan(self) -> Content:
        """The plan; a line that differs from the preset has a mark and another colour."""
        lines = plan_lines(self.settings(), self.choices, self.usual, self.corpus, self.text_facts, self.costs)
        width = max(len(line.label) for line, _ in lines) + 2
        rows = []
        for line, changed in lines:
            label = f"{'*' if changed else ' '} {line.label.ljust(width)}"
            style, label_style = ("bold", "bold $accent") if changed else ("", "$quiet")
            rows.append(Content.assemble((label, label_style), (line.text, style)))
        return Content("\n").join(rows)

    def _baselines(self, width: int) -> Content:
        """Simple models and earlier runs of this text as bars, the worst first. Not the runs alone, while the simple
        models are counted: it is not known yet which are useless."""
        name, counted = "" if self.corpus is None else self.corpus.name, self.references
        losses = [] if counted is None else losses_to_beat(counted, self.runs_state.runs, name)
        if not losses:
            if self.text_facts is None or self.problem:
                return Content("")
            words = "counting …" if self.references is None else "Too little text for figures."
            return Content.styled(f"  {words}", "$quiet")
        most = max(each.nats for each in losses)
        names = [each.name(max(width - SHORT_BAR, 8), short=width < LONGEST_NAME + SHORT_BAR) for each in losses]
        longest = max(map(len, names))
        cells = max(width - longest - 10, 4)
        lines = [
            Content.assemble(
                (f" {name.ljust(longest)} ", "bold" if each.is_run else "$quiet"),
                (bar(each.nats / most, cells).ljust(cells), _bar_style(each, losses)),
                f" {each.mark + loss(each.nats, self.bits):>6}",
            )
            for name, each in zip(names, losses, strict=True)
        ]
        words = unit_words(unit(self.bits), losses)
        return Content("\n").join([*lines, Content.styled(f" {words}", "$quiet")])

    def _rate_plan(self, width: int, height: int) -> Content:
        """The rate of every step, in outline."""
        if width <= 0 or height <= 0:
            return Content("")
        settings = self.settings()
        steps = 500
        plan = LearningRate(settings.lr, settings.schedule, round(settings.warmup * steps), steps)
        rows = sparkline([plan.rate(step) for step in range(steps)], width, height, low=0)
        return Content.styled("\n".join(f"  {row}" for row in rows), "$train")


def _bar_style(shown: LossToBeat, losses: Sequence[LossToBeat]) -> str:
    """The colour of a loss to beat: green is a run that is better than every simple model."""
    if not shown.is_run:
        return "$foreground 30%"
    return "$success" if beats_all(shown, losses) else "$warning"


def _flags(choice: CorpusChoice) -> list[str]:
    """The choice's options as the command line takes them."""
    return [
        *(["--no-strip-boilerplate"] if not choice.strip_boilerplate else []),
        *(["--lines", choice.lines] if choice.lines != USUAL.lines else []),
        *(["--clean"] if choice.clean else []),
        *(["--encoding", choice.encoding] if choice.encoding is not None else []),
        *(word for source in choice.validation for word in ("--val-file", source)),
    ]


def _split_of(settings: Settings) -> tuple[float, str, float]:
    """What of the text the simple models are tried on."""
    return settings.val_fraction, settings.split, settings.test_fraction


def read_text_facts(choice: CorpusChoice, check: Callable[[], None], tell: Callable[[str], None]) -> TextFacts:
    """Read the text. ``check`` raises when nothing needs it any more, and ``tell`` is told what is being done."""

    def report(progress: ReadProgress) -> None:
        check()
        share = f" {100 * min(1.0, progress.done / progress.total):.0f} %" if progress.total else ""
        tell(f"{progress.stage} …{share}")

    stamps = file_stamps(choice)
    corpus = open_corpus(choice.source, choice.options(), validation=choice.validation or None, progress=report)
    tell("trying the model in the box …")
    settings = preset(DEFAULT, corpus.text_chars).with_changes(split=choice.split)
    box = find_start(None, corpus, settings)
    return TextFacts(corpus.text_chars, len(corpus.vocabulary), corpus.to_record(), box, stamps)


def try_start(name: str, path: Path, record: Mapping[str, Any], split: Any) -> StartModel:
    """What the model in the file ``path`` makes of the text of ``record``. Raises :class:`CharLSTMError`."""
    corpus = reopen_corpus(record)
    held_out = preset(DEFAULT, corpus.text_chars).val_fraction
    return try_model(name, path, corpus, corpus.split(held_out, split))


def _check_model(text: str, runs_dir: Path | None) -> str | None:
    """Why ``text`` names no model; ``None`` if it does."""
    try:
        find_model(text, runs_dir)
    except CharLSTMError as error:
        return str(error)
    return None


def _model_name(path: Path) -> str:
    """What the model in this file is called: by its run, or by its file if it belongs to none."""
    if path == demo_path():
        return DEMO
    run = run_of_model(path)
    return path.name if run is None else run.name
