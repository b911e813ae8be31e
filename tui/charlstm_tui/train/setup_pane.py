"""The body of Train before a run: the presets with what each will cost on this text, the plan, and what to beat.

Figures that need no measuring are there at once. Speed and how busy the processor is are measured in other processes,
and shown when they are known.
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
from textual.reactive import var
from textual.widgets import Static

from charlstm.display import plural, visible
from charlstm.errors import CharLSTMError
from charlstm.runs.folder import run_of_model
from charlstm.runs.launch import start_run
from charlstm.runs.models import DEMO, demo_path, find_model
from charlstm.runs.queue import add_new_run, begin_or_wait
from charlstm.runs.start_models import StartModel, find_start, try_model
from charlstm.text.corpus import open_corpus, reopen_corpus
from charlstm.text.sources import ReadProgress
from charlstm.training.presets import DEFAULT, preset, presets
from charlstm.training.settings import Settings
from charlstm_tui.actions import key_of
from charlstm_tui.background import in_thread, run_command
from charlstm_tui.choices import CorpusChoice, file_stamps
from charlstm_tui.dialogs import Choice, ChoiceDialog, PathDialog, WaitDialog, ask
from charlstm_tui.formatting import loss, shorten, unit
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.train import run_plan
from charlstm_tui.train.baselines import baseline_losses
from charlstm_tui.train.preset_list import PresetList
from charlstm_tui.train.settings_dialog import SettingsDialog
from charlstm_tui.train.setup import Costs, CostsKey, RunChoices, Setup, TextFacts
from charlstm_tui.view import View, is_detached
from charlstm_tui.widgets.bars import bar

MODELS_OFFERED = 7
NARROW = 72

SHORT_BAR = 16
"""Cells for the shortest bars with their figures, beside the names of the losses."""


class SizedText(Static):
    """Text that ``make`` makes for the size of this widget, again when that changes: a widget that was hidden has its
    size only some time after it is shown."""

    def __init__(self, make: Callable[[Size], Content], id: str) -> None:
        super().__init__(id=id, markup=False)
        self._make = make

    def draw(self) -> None:
        self.update(self._make(self.size))

    on_resize = draw


class SetupPane(View):
    """Choose preset, settings and first weights for the chosen text, as :class:`Setup` has it.

    What is chosen belongs to the text: another text starts from the preset as it is, and a text that was chosen before
    gets back what was chosen for it.
    """

    MAIN_PANE = "#presets"

    state: var[Setup] = var(Setup(), init=False)

    def __init__(self, preset: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._first_choices = RunChoices(preset)
        self.set_reactive(SetupPane.state, Setup(choices=self._first_choices))
        self._choices_of: dict[str, RunChoices] = {}  # by the text's source
        self._measuring: CostsKey | None = None  # the runs whose costs are being measured
        self._start_when_read = False
        self._head_line, self._about, self._start_line, self._problem_line, self._warnings, self._plan_pane = (
            Static(id=name, markup=False)
            for name in ("setup-head", "preset-about", "setup-start", "setup-problem", "setup-warnings", "plan")
        )
        self._losses = SizedText(
            lambda size: loss_bars(self.state, self.runs_state.runs, self.bits, size.width - 2), "baselines"
        )
        self._presets = PresetList(id="presets")
        self._plans = Horizontal(self._plan_pane, self._losses, id="plans")

    def compose(self) -> ComposeResult:
        yield from (self._head_line, self._presets, self._about, self._start_line, self._problem_line, self._warnings)
        yield self._plans

    def on_mount(self) -> None:
        if is_detached(self):
            return
        self._presets.border_title = Content("PRESETS")
        self._losses.border_title = Content("LOSS TO BEAT, on the held-out text")
        self.draw()

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self.call_after_refresh(self.draw)  # when what the classes show or hide has its size

    def watch_state(self) -> None:
        self.draw()
        self.post_message(self.Changed())

    def _change(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)

    # ---- the keys
    @property
    def opens(self) -> bool:
        return self.busy or (self.state.startable and not self.state.ready)

    @property
    def busy(self) -> bool:
        return self.works_at("start")

    def has(self) -> dict[str, bool]:
        state = self.state
        return {
            "text": state.ready,
            "unstarted": state.startable and not self._start_when_read,  # once: the next Enter is for the run
            "start": state.can_choose_start,
            "changes": state.ready and state.changes > 0,
            "slowdown": state.can_train_longer,
            "runs ahead": state.ready and self.runs_state.any_ahead,
        }

    # ---- the text
    def show_text(self, choice: CorpusChoice | None) -> None:
        """Plan for this text. What was known and chosen for another text does not apply to it."""
        state = self.state
        if choice != state.corpus or state.problem:
            first = self._first_choices
            self._open(choice, first if choice is None else self._choices_of.get(choice.source, first))
        elif choice is not None and state.facts is not None:
            self.run_worker(self._open_if_changed(choice, state.facts), group="read", exclusive=True)

    def _open(self, choice: CorpusChoice | None, choices: RunChoices) -> None:
        self.state, self._start_when_read = Setup(choice, choices=choices, live=self.state.live), False
        self.workers.cancel_group(self, "measure")
        if choice is not None:
            self.run_worker(self._read(choice), group="read", exclusive=True)

    async def _open_if_changed(self, choice: CorpusChoice, known: TextFacts) -> None:
        """Read a text again that was chosen before if its files have changed since."""
        stamps = await in_thread(lambda check: file_stamps(choice))
        if choice != self.state.corpus or self.works_at("start"):
            return
        if stamps != known.stamps:
            self._open(choice, self.state.choices)
        elif not self.works_at("measure"):
            self._measure(again=True)  # other programs may have come or gone

    async def _read(self, choice: CorpusChoice) -> None:
        soon, show = asyncio.get_running_loop().call_soon_threadsafe, partial(self._show_reading, choice)
        try:
            self._change(facts=await in_thread(lambda check: read_text_facts(choice, check, partial(soon, show))))
        except CharLSTMError as error:
            self._change(problem=str(error))
        except Exception as error:
            self._change(problem=f"Reading the text failed: {type(error).__name__}: {error}")
            raise
        if self._start_when_read and self.state.ready:
            self._start_when_read = False
            if self.state.live and not self.screen.is_current:  # a dialog would take the keys for what is shown
                self.say(f"The text is read: {key_of('train.start')} starts.", stays=True)
                self._measure()
            else:
                self.do_start()
        elif self.state.ready:
            self._measure()

    def _show_reading(self, choice: CorpusChoice, words: str) -> None:
        if choice == self.state.corpus and self.is_attached:
            self._change(reading=words)

    # ---- what is measured
    def _measure(self, again: bool = False) -> None:
        """Measure what is missing, or again what the chosen settings cost."""
        # else it would slow a run that trains, for figures that nobody sees
        if self.state.ready and self.charlstm.run_path is None:
            self.charlstm.prepare_worker()
            self.run_worker(self._measure_all(again), group="measure", exclusive=True)

    async def _measure_all(self, again: bool) -> None:
        """One thing after the other, so that they do not slow each other down."""
        if again:
            await self._measure_costs(self.state.differences)
        while not self.state.is_measured:
            facts, settings, split = self.state.facts, self.state.settings, self.state.split
            if facts is not None and self.state.references is None:
                self._measuring = None
                losses = await baseline_losses(facts.record, settings)
                if self.state.split == split:
                    self._change(references=losses or ())
            else:
                as_they_are = self.state.costs_key({}) not in self.state.measured
                await self._measure_costs({} if as_they_are else self.state.differences)

    async def _measure_costs(self, changes: Mapping[str, Any]) -> None:
        """Measure what each preset costs on this machine. Where that is not possible the table has dashes."""
        self._measuring = key = self.state.costs_key(changes)
        try:
            answer = await run_command("presets", *self.state.presets_command(changes))
            costs: Costs = {str(each["name"]): each for each in answer}
        except (CharLSTMError, KeyError, TypeError):
            costs = self.state.measured.get(key, {})
        self._change(measured={**self.state.measured, key: costs})

    # ---- the choices
    def choose(self, choices: RunChoices) -> None:
        """Choose for the next run on this text."""
        before = self.state
        self.state = before.choose(choices)
        if before.corpus is not None:
            self._choices_of[before.corpus.source] = choices
        is_useful = self._measuring is None or self._measuring in self.state.costs_keys
        if not self.state.is_measured and not (self.works_at("measure") and is_useful):  # which goes on with the rest
            self._measure()

    def do_preset(self, by: int) -> None:
        """To the next (1) or previous (-1) preset."""
        names, choices = list(presets()), self.state.choices
        self.choose(replace(choices, preset=names[(names.index(choices.preset) + by) % len(names)]))

    @on(PresetList.Chosen)
    def _chosen(self, event: PresetList.Chosen) -> None:
        self.choose(replace(self.state.choices, preset=list(presets())[event.index]))

    def do_reset(self) -> None:
        """Back to the preset as it is, and to the weights that it starts from."""
        self.choose(RunChoices(self.state.choices.preset))

    def limit_rate(self, rate: float) -> None:
        """Have no higher learning rate than ``rate``."""
        self.choose(replace(self.state.choices, highest_rate=rate))

    def do_more_time(self) -> None:
        """Raise the time limit by as much as other programs slow the run down."""
        self.choose(self.state.lengthen())

    def do_all_settings(self) -> None:
        """All settings as a form."""
        before = self.state
        without_effect = run_plan.without_effect_words(before.corpus, before.choices)
        dialog = SettingsDialog(before.choices.preset, before.settings, before.usual, without_effect)
        ask(self, dialog, partial(self._edited, before.settings))

    def _edited(self, before: Settings, settings: Settings) -> None:
        choices, lifted = self.state.choices.edited(before, settings, self.state.usual)
        self.choose(choices)
        if lifted:
            self.say("The usual limit is lifted, since you set another; set it again to have both.")

    def do_from_model(self) -> None:
        """Where the first weights come from."""
        runs = [view for view in self.runs_state.runs if view.run.model_path.is_file()][:MODELS_OFFERED]
        choices: list[Choice] = [Choice("n", "nothing: random weights", ("", None))]
        for number, view in enumerate(runs, 1):
            label = f"{visible(view.name)}, the best model of the run"
            choices.append(Choice(str(number), label, (view.name, view.run.model_path)))
        if (demo := demo_path()) is not None:
            choices.append(Choice("d", "the model in the box", (DEMO, demo)))
        choices.append(Choice("p", "a model file: type its path", ()))
        about = (
            "A run that starts from a model has its weights and its size. Characters that the model does not know are "
            "added."
        )
        path = None if self.state.start is None else self.state.start.path
        cursor = next((at for at, each in enumerate(choices[:-1]) if each.value[1] == path), 0)
        dialog = ChoiceDialog("Start from", about, choices, cursor)
        ask(self, dialog, lambda answer: self.start_from(*answer) if answer else self._ask_for_model_file())

    def _ask_for_model_file(self) -> None:
        find = partial(find_model, runs_dir=self.charlstm.start_options.runs_dir)
        dialog = PathDialog("A model file", "A .safetensors file, or the name or folder of a run.", find)
        ask(self, dialog, lambda typed: self.start_from(model_name(find(typed)), find(typed)))

    def start_from(self, name: str, path: Path | None) -> None:
        """Start from the weights of this model, ``None`` for random ones. A dialog is shown while it is read."""
        state = self.state
        corpus, facts = state.corpus, state.facts
        if path is None or (name == DEMO and state.box_helps):
            nothing = path is None and state.box_helps
            self.choose(replace(state.choices, start_from=None, from_nothing=nothing))
        elif corpus is not None and facts is not None:
            job = partial(try_start, name, path, facts.record, corpus.split)
            ask(self, WaitDialog(f"Reading {name} …", lambda progress: job()), self._start_read)

    def _start_read(self, answer: StartModel | CharLSTMError) -> None:
        if isinstance(answer, CharLSTMError):
            self.say(str(answer), error=True)
        else:
            self.choose(replace(self.state.choices, start_from=answer, from_nothing=False))

    def do_from_nothing(self) -> None:
        """From nothing instead of from a model, and back to the model in the box."""
        choices = self.state.choices
        self.choose(replace(choices, start_from=None, from_nothing=not choices.from_nothing))

    # ---- the start
    def do_start(self) -> None:
        """Start the run, if need be once the text is read; beside one that trains only when that is confirmed."""
        if self.works_at("start"):  # as by a click: its thread could not be called back, and would start a second run
            return
        if not self.state.ready:
            self._start_when_read = True
            self.say("Starting as soon as the text is read …", stays=True)
            return
        if not self.state.live:
            self._start_and_show()
            return
        other = self.state.live[0]
        about = "They would share the processor: each takes longer, and with a time limit learns less."
        choices = [
            Choice("w", f"watch {other.name}", partial(self.charlstm.attach, other.path, show=False)),
            Choice("l", "begin later, when the runs before it have ended", self.do_queue),
            Choice("s", "start it anyway", self._start_and_show),
        ]
        ask(self, ChoiceDialog(f"Train beside {other.name}?", about, choices), lambda act: act())

    @work(exclusive=True, group="start")
    async def do_queue(self) -> None:
        """Let the run begin when those that train or wait now have ended."""
        new = self.state.new_run(self.charlstm.start_options.runs_dir)
        self.say("Reading the text …", stays=True)
        try:
            placed = await in_thread(lambda check: begin_or_wait(add_new_run(new)))
        except CharLSTMError as error:
            self.say(str(error), error=True)
        else:
            self.say(f"{placed.run.name} is {placed.words}.", stays=True)
            self.charlstm.watcher.read_soon()

    @work(exclusive=True, group="start")
    async def _start_and_show(self) -> None:
        state, runs_dir = self.state, self.charlstm.start_options.runs_dir
        self.say("Starting …", stays=True)
        self.workers.cancel_group(self, "measure")  # it would slow the run's own first seconds down
        new, prepared = state.new_run(runs_dir), self.charlstm.prepared_worker
        self.charlstm.prepared_worker = None
        try:
            run = await in_thread(lambda check: start_run(new, prepared))
        except CharLSTMError as error:
            self.say(str(error), error=True)
            self._measure()
        else:
            self.say("")
            self.charlstm.attach(run.path, show=False)

    # ---- on the screen
    def watch_runs_state(self, before: RunsState, state: RunsState) -> None:
        """The runs are offered to start from their models, and are losses to beat."""
        if state.runs != before.runs:
            self._change(live=tuple(each for each in state.live if each.status.state in ("starting", "running")))
            self.draw()

    def draw(self) -> None:
        """Bring the pane up to date."""
        if not self.is_attached:  # a text may be chosen before the first time
            return
        state = self.state
        for part in (self._presets, self._about, self._start_line, self._plans, self._warnings):
            part.display = state.corpus is not None
        self._problem_line.display = bool(state.problem)
        self._problem_line.update(Content(visible(f"✗ {state.problem}")))
        if state.corpus is None:
            choose, use = key_of("app.mode_corpus"), key_of("corpus.use")
            self._head_line.update(
                Content(f"No text is chosen yet. {choose} goes to Corpus; {use} takes a text there.")
            )
            return
        self._head_line.update(head_line(state, self.size.width))
        name, changed = state.choices.preset, state.changes > 0
        self._presets.show(run_plan.preset_rows(state), list(presets()).index(name))
        name_words, about = (f"changed from {name}", "") if changed else (f"{name}  ", f"{presets()[name].about}.")
        self._about.update(Content.assemble((name_words, "bold $accent"), about))
        words = run_plan.start_words(state, self.bits)
        self._start_line.display = bool(words)
        self._start_line.update(Content(words))
        self._plan_pane.update(plan_rows(state))
        resets = f" · * changed, {key_of('train.reset')} resets" if changed else ""
        self._plan_pane.border_title = Content(f"WHAT IT WILL DO{resets}")
        self._losses.draw()
        keys = {}
        if not self.runs_state.runs and demo_path() is not None:  # else it plays the newest run
            keys["generate"] = key_of("app.mode_generate")
        if self.has()["runs ahead"]:
            keys["queue"] = key_of("train.queue")
        if state.can_train_longer:
            keys["more_time"] = key_of("train.more_time")
        found = run_plan.warnings(state, keys)
        self._warnings.display = bool(found)
        self._warnings.update(Content("\n".join(f"! {each}" for each in found)))

    watch_bits = draw


def head_line(state: Setup, width: int) -> Content:
    """The text in a line: name, changes and facts."""
    assert state.corpus is not None
    facts = state.facts
    parts = [f"{facts.chars:,} characters", f"{facts.symbols} symbols"] if facts else []
    if not state.problem and not state.is_measured:
        parts.append(state.reading if facts is None else "measuring the speed …")
    rest = "".join(f" · {part}" for part in parts)
    changed = ""
    if changes := state.changes:  # before what can be cut in a narrow terminal
        origin = f" · {words}" if (words := run_plan.origin_words(state.choices)) else ""
        changed = f" · {plural(changes, 'change')}{origin}"
    name = shorten(visible(state.corpus.name), max(8, width - len(changed) - 2))
    return Content.assemble((name, "bold"), (changed, "bold $accent"), (rest, "$foreground 80%"))


def plan_rows(state: Setup) -> Content:
    """The plan; a line that differs from the preset has a mark and another colour."""
    lines = run_plan.plan_lines(state)
    width = max(len(line.label) for line, _ in lines) + 2
    rows = []
    for line, changed in lines:
        label = f"{'*' if changed else ' '} {line.label.ljust(width)}"
        style, label_style = ("bold", "bold $accent") if changed else ("", "$quiet")
        rows.append(Content.assemble((label, label_style), (line.text, style)))
    return Content("\n").join(rows)


def loss_bars(state: Setup, runs: Sequence[RunView], bits: bool, width: int) -> Content:
    """Simple models and earlier runs of this text as bars, the worst first. Not the runs alone, while the simple models
    are counted: it is not known yet which are useless."""
    corpus, counted = state.corpus, state.references
    on_text = [run for run in runs if corpus and (run.text, run.sources) == (corpus.name, (corpus.source,))]
    losses = [] if counted is None else run_plan.losses_to_beat(counted, on_text, state.start)
    if not losses:
        if state.facts is None or state.problem:
            return Content("")
        words = "counting …" if counted is None else "Too little text for figures."
        return Content.styled(f"  {words}", "$quiet")
    most = max(each.nats for each in losses)
    names = [each.name(max(width - SHORT_BAR, 8), short=width < run_plan.LONGEST_NAME + SHORT_BAR) for each in losses]
    longest = max(map(len, names))
    cells = max(width - longest - 10, 4)
    lines = [
        Content.assemble(
            (f" {name.ljust(longest)} ", "bold" if each.is_run else "$quiet"),
            (bar(each.nats / most, cells).ljust(cells), _bar_style(each, losses)),
            f" {each.mark + loss(each.nats, bits):>6}",
        )
        for name, each in zip(names, losses, strict=True)
    ]
    words = run_plan.unit_words(unit(bits), losses)
    return Content("\n").join([*lines, Content.styled(f" {words}", "$quiet")])


def _bar_style(shown: run_plan.LossToBeat, losses: Sequence[run_plan.LossToBeat]) -> str:
    """The colour of a loss to beat: green is a run that is better than every simple model."""
    if not shown.is_run:
        return "$foreground 30%"
    return "$success" if run_plan.beats_all(shown, losses) else "$warning"


def read_text_facts(choice: CorpusChoice, check: Callable[[], None], tell: Callable[[str], object]) -> TextFacts:
    """Read the text. ``check`` raises when nothing needs it any more, and ``tell`` is told what is being done."""
    stamps, report = file_stamps(choice), partial(_report, check, tell)
    corpus = open_corpus(choice.source, choice.options(), validation=choice.validation or None, progress=report)
    tell("trying the model in the box …")
    settings = preset(DEFAULT, corpus.text_chars).with_changes(split=choice.split)
    box = find_start(None, corpus, settings)
    return TextFacts(corpus.text_chars, len(corpus.vocabulary), corpus.to_record(), box, stamps)


def _report(check: Callable[[], None], tell: Callable[[str], object], progress: ReadProgress) -> None:
    check()
    share = f" {100 * min(1.0, progress.done / progress.total):.0f} %" if progress.total else ""
    tell(f"{progress.stage} …{share}")


def try_start(name: str, path: Path, record: Mapping[str, Any], split: Any) -> StartModel:
    """What the model in the file ``path`` makes of the text of ``record``. Raises :class:`CharLSTMError`."""
    corpus = reopen_corpus(record)
    held_out = preset(DEFAULT, corpus.text_chars).val_fraction
    return try_model(name, path, corpus, corpus.split(held_out, split))


def model_name(path: Path) -> str:
    """The name of the model in this file: the run's, or the file's for a model without a run."""
    if path == demo_path():
        return DEMO
    run = run_of_model(path)
    return path.name if run is None else run.name
