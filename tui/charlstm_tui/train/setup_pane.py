"""The body of Train before a run: the presets with what each will cost on this text, the settings, where weights start.

Figures that need no measuring are there at once; speed and memory are asked of another process and come when they come.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.model.file import ModelConfig, read_info
from charlstm.runs.folder import Run
from charlstm.runs.launch import start_run
from charlstm.runs.models import DEMO, demo_path, find_model
from charlstm.runs.series import Curve
from charlstm.runs.status import ESTIMATE
from charlstm.training.presets import PRESETS, preset
from charlstm.training.schedule import LearningRate
from charlstm.training.settings import Settings
from charlstm_tui.background import SafeWorkers, in_thread, run_command
from charlstm_tui.base import leaving
from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog
from charlstm_tui.formatting import count, shorten
from charlstm_tui.run_watcher import RunsState
from charlstm_tui.train.baselines import References, references
from charlstm_tui.train.preset_list import PresetFacts, PresetList
from charlstm_tui.train.run_summary import checkpoint_words, ends_words, rate_words
from charlstm_tui.train.settings_dialog import SettingsDialog, written
from charlstm_tui.widgets.bars import bar
from charlstm_tui.widgets.chart_painting import BITS, sparkline
from charlstm_tui.widgets.loss_chart import default_glyphs

if TYPE_CHECKING:
    from charlstm_tui.choices import CorpusChoice

MODELS_OFFERED = 7
NARROW, TALL = 72, 32


@dataclass(frozen=True)
class Known:
    """What reading the text told."""

    chars: int
    symbols: int
    record: dict[str, Any]


class SetupPane(SafeWorkers, Vertical):
    """Choose preset, settings and first weights for the chosen text."""

    class Ready(Message):
        """The pane has all of its parts."""

    class Changed(Message):
        """What can be done here is not what it was."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.corpus: CorpusChoice | None = None
        self.known: Known | None = None
        self.index = 0
        self.changes: dict[str, Any] = {}
        self.model_from: Path | None = None
        self.model_words = "from nothing"
        self.model_size: dict[str, int] = {}
        """The settings that the model to start from decides."""
        self.measured: dict[str, dict[str, Any]] = {}
        self.measured_changed: dict[str, dict[str, Any]] = {}
        """The same with what was changed."""
        self.references: References | None = None
        """``None`` until they are counted; none at all for a text that is too short, or gone."""
        self.measuring = False
        self.starting = False
        """Whether a run is being made."""
        self.note = ""
        self.problem = ""
        self.bits = False
        self._runs_state = RunsState()
        self._read_or_refused = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield Static(id="setup-head", markup=False)
        yield PresetList(id="presets")
        yield Static(id="preset-about", markup=False)
        yield Static(id="setup-note", markup=False)
        with Horizontal(id="plans"):
            yield Static(id="plan", markup=False)
            yield Static(id="beat", markup=False)
        yield Static(id="rate-plan", markup=False)

    def on_mount(self) -> None:
        if leaving(self):
            return
        self.query_one("#presets").border_title = Content("PRESETS")
        self.query_one("#presets").border_subtitle = Content("←→ choose")
        self.query_one("#plan").border_title = Content("WHAT IT WILL DO")
        self.query_one("#beat").border_title = Content("TO BEAT, held out")
        self.query_one("#rate-plan").border_title = Content("LEARNING RATE, from the first step to the last")
        self.draw()
        self.post_message(self.Ready())

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self.set_class(event.size.height >= TALL, "-tall")
        self.call_after_refresh(self.draw)  # when what the classes show or hide has its size

    @property
    def ready(self) -> bool:
        """Whether the text is known, and so what the presets mean for it."""
        return self.corpus is not None and self.known is not None and not self.problem

    @property
    def startable(self) -> bool:
        """Whether Enter will start a run, if need be as soon as the text has been read."""
        return self.corpus is not None and not self.problem

    @property
    def preset_name(self) -> str:
        return list(PRESETS)[self.index]

    # ---- the text
    def choose_corpus(self, choice: CorpusChoice | None) -> None:
        """Plan for this text; what was known of another is forgotten."""
        if choice == self.corpus and not self.problem:
            return
        self.corpus, self.known, self.measured, self.references = choice, None, {}, None
        self.measured_changed = {}
        self.note = self.problem = ""
        self._read_or_refused.clear()
        if choice is not None:
            self.run_worker(self._read(choice), group="read", exclusive=True)
        self.draw()

    async def _read(self, choice: CorpusChoice) -> None:
        try:
            self.known = await in_thread(lambda check: _known(choice, check))
        except CharLSTMError as error:
            self.problem, self.note = str(error), ""
        self._read_or_refused.set()
        self.draw()
        self.post_message(self.Changed())
        if self.known is not None:
            self.references = await references(self.known.record, self.settings()) or ()
            self.draw()
            self.measured = await self._measure(choice, {})
            self.draw()
            if self.altered:
                await self._measure_changed()

    async def _measure(self, choice: CorpusChoice, changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """What each preset costs on this machine; without an answer the table keeps its dashes."""
        self.measuring = True
        self.draw()
        words = [word for name, value in changes.items() for word in ("--set", f"{name}={written(value)}")]
        try:
            answer = await run_command("presets", choice.source, *_flags(choice), *words)
            return {str(each["name"]): each for each in answer}
        except (CharLSTMError, KeyError, TypeError):
            return {}
        finally:
            self.measuring = False

    async def _measure_changed(self) -> None:
        if self.corpus is not None:
            self.measured_changed = await self._measure(self.corpus, self.altered)
        self.draw()

    def _alter(self) -> None:
        """Settings were changed, and what was known of their costs holds no more."""
        self.measured_changed = {}
        self.draw()
        if self.altered and self.measured:
            self.run_worker(self._measure_changed(), group="measure", exclusive=True)

    # ---- the choices
    def settings(self, name: str | None = None, *, changed: bool = True) -> Settings:
        """The settings of a preset (default: the chosen one) for this text, with what was changed by hand."""
        chars, symbols = (self.known.chars, self.known.symbols) if self.known else (1_000_000, 100)
        settings = preset(name or self.preset_name, chars, symbols)
        if self.corpus is not None:
            settings = settings.with_changes(split=self.corpus.split)
        return settings.with_changes(**self.altered) if changed else settings

    @property
    def altered(self) -> dict[str, Any]:
        """What differs from the preset: what was changed by hand, and the size of the model to start from."""
        return {**self.changes, **self.model_size}

    @property
    def costs(self) -> dict[str, Any]:
        """What the chosen settings were measured to cost; empty while nobody knows."""
        return (self.measured_changed if self.altered else self.measured).get(self.preset_name, {})

    def move(self, by: int) -> None:
        """To the next (1) or previous (-1) preset."""
        self.index = (self.index + by) % len(PRESETS)
        self.draw()

    @on(PresetList.Chosen)
    def _chosen(self, event: PresetList.Chosen) -> None:
        self.index = event.index
        self.draw()

    def edit(self) -> None:
        """All settings as a form."""

        def edited(settings: Settings | None) -> None:
            if settings is not None:
                usual = self.settings(changed=False).to_dict()
                self.changes = {
                    name: value
                    for name, value in settings.to_dict().items()
                    if value != usual[name] and name not in self.model_size
                }
                self._alter()

        screen = SettingsDialog(self.preset_name, self.settings(), self.settings(changed=False))
        self.app.push_screen(screen, edited)

    def choose_model(self) -> None:
        """Where the first weights come from."""
        runs = [view for view in self._runs_state.runs if view.run.model_path.is_file()][:MODELS_OFFERED]
        choices = [Choice("n", "nothing: new weights", ("", None))]
        for number, view in enumerate(runs, 1):
            choices.append(
                Choice(str(number), f"{visible(view.name)}, best of its run", (view.name, view.run.model_path))
            )
        if (demo := demo_path()) is not None:
            choices.append(Choice("d", "the model in the box", (DEMO, demo)))
        choices.append(Choice("p", "a model file: type its path", "path"))

        def path_chosen(text: str | None) -> None:
            if text:
                path = find_model(text)
                self._start_from(path.name, path)

        def answered(answer: Any) -> None:
            if answer == "path":
                dialog = PromptDialog("A model file", "A .safetensors file, or a run's folder.", check=_check_model)
                self.app.push_screen(dialog, path_chosen)
            elif answer is not None:
                self._start_from(*answer)

        about = "Weights are kept, new characters get new ones, the optimiser starts afresh."
        self.app.push_screen(ChoiceDialog("Start from", about, choices), answered)

    def _start_from(self, name: str, path: Path | None) -> None:
        self.model_from, self.model_words, self.model_size, self.note = path, "from nothing", {}, ""
        if path is not None:
            try:
                config, _ = read_info(path)
            except CharLSTMError as error:
                self.model_from, self.note = None, f"✗ {error}"
            else:
                self.model_words = f"from {name}"
                self.model_size = {"hidden_size": config.hidden_size, "num_layers": config.num_layers}
        self._alter()

    # ---- the start
    async def start(self, runs_dir: Path | None) -> Run | None:
        """Make the run and its worker. ``None`` when that is refused; the pane says why."""
        choice = self.corpus
        if choice is None or self.problem:
            return None
        self.note = "Starting as soon as the text is read…" if self.known is None else "Starting…"
        self.draw()
        await self._read_or_refused.wait()
        if self.known is None or choice != self.corpus:
            return None
        settings, name = self.settings(), self.preset_name
        if not settings.ends:
            self.note = "✗ It would never end: a sets epochs, max_steps or max_minutes."
            self.draw()
            return None
        self.starting = True
        try:
            run = await in_thread(
                lambda check: start_run(
                    choice.source,
                    settings,
                    name,
                    text_options=choice.options(),
                    validation=choice.validation or None,
                    runs_dir=runs_dir,
                    model_from=self.model_from,
                )
            )
        except CharLSTMError as error:
            self.note = f"✗ {error}"
            self.draw()
            return None
        finally:
            self.starting = False
        self.note = ""
        self.draw()
        return run

    # ---- on the screen
    def show(self, state: RunsState, bits: bool) -> None:
        """Know the runs, for starting from their models and as marks to beat, and the unit of losses."""
        if (state.runs, bits) != (self._runs_state.runs, self.bits):
            self._runs_state, self.bits = state, bits
            self.draw()

    def facts(self) -> list[PresetFacts]:
        """What each preset costs, as far as it is known."""
        found = []
        for number, name in enumerate(PRESETS):
            chosen = number == self.index
            settings = self.settings(name, changed=chosen)
            measured = self.costs if chosen else self.measured.get(name, {})
            found.append(
                PresetFacts(
                    name=name,
                    about=PRESETS[name].about,
                    network=f"{settings.num_layers}×{settings.hidden_size}",
                    parameters=self._parameters(settings),
                    seconds=_figure(measured, "seconds") or _planned(settings),
                    memory=_figure(measured, "memory_bytes"),
                    chars_per_second=_figure(measured, "chars_per_second"),
                    changed=chosen and bool(self.altered),
                    measuring=self.measuring or (self.known is None and not self.problem),
                )
            )
        return found

    def _parameters(self, settings: Settings) -> int | None:
        if self.known is None:
            return None
        return ModelConfig(self.known.symbols, settings.hidden_size, settings.num_layers).parameters

    def draw(self) -> None:
        """Bring the pane up to date."""
        if not self.is_mounted or leaving(self):
            return
        for selector in ("#presets", "#preset-about", "#plans"):
            self.query_one(selector).display = self.corpus is not None
        head = self.query_one("#setup-head", Static)
        if self.corpus is None:
            head.update(Content("No text is chosen yet. 1 goes to Corpus; Enter takes a text there."))
            return
        head.update(self._head(self.corpus))
        self.query_one(PresetList).show(self.facts(), self.index)
        name = self.preset_name
        self.query_one("#preset-about", Static).update(
            Content.assemble((f"{name}  ", "bold $accent"), PRESETS[name].about + ".")
        )
        self.query_one("#plan", Static).update(self._plan())
        rate = self.query_one("#rate-plan", Static)
        rate.update(self._rate_plan(rate.size.width - 4, min(rate.size.height - 1, 12)))
        beat = self.query_one("#beat", Static)
        beat.update(self._beat(beat.size.width - 2))
        note = self.query_one("#setup-note", Static)
        note.display = bool(self.problem or self.note)
        note.set_class(bool(self.problem) or self.note.startswith("✗"), "bad")
        note.update(Content(visible(f"✗ {self.problem}" if self.problem else self.note)))

    def _head(self, corpus: CorpusChoice) -> Content:
        parts = [f"{self.known.chars:,} characters", f"{self.known.symbols} symbols"] if self.known else []
        if self.known is None and not self.problem:
            parts.append("reading…")
        parts.append(self.model_words)
        rest = "".join(f" · {visible(part)}" for part in parts)
        return Content.assemble((visible(corpus.name), "bold"), (rest, "$foreground 80%"))

    def _plan(self) -> Content:
        settings = self.settings()
        lines = [
            ("network", f"{settings.num_layers} layers of {settings.hidden_size}"),
            ("batches", f"{settings.batch_size} rows × {settings.seq_length} characters"),
            ("rate", f"{settings.optimizer} {rate_words(settings.lr)}, {settings.schedule}"),
            ("ends", ends_words(settings)),
            ("held out", self._held_out(settings)),
        ]
        if reads := self._reads(settings):
            lines.insert(4, ("reads", reads))
        if settings.dropout or settings.weight_drop:
            lines.append(("dropout", f"{settings.dropout:g}, recurrent {settings.weight_drop:g}"))
        if settings.test_fraction:
            lines.append(("test", f"{settings.test_fraction * 100:g} % of the text, read by no part of training"))
        lines.append(("checkpoints", checkpoint_words(settings)))
        changed = {name: value for name, value in self.changes.items() if name not in self.model_size}
        lines += [(name, f"{written(value)}, changed") for name, value in changed.items()]
        width = max(len(name) for name, _ in lines) + 2
        return Content("\n").join(
            Content.assemble((f"  {name.ljust(width)}", "$foreground 60%"), text) for name, text in lines
        )

    def _reads(self, settings: Settings) -> str:
        """How often it will read the text, as far as that is known."""
        if settings.epochs is not None:
            return f"{settings.epochs:g} × the text"
        seconds, speed = _figure(self.costs, "seconds"), _figure(self.costs, "chars_per_second")
        if self.known is None or not seconds or not speed:
            return ""
        chars = seconds * speed
        val_fraction = 0.0 if self.corpus is not None and self.corpus.validation else settings.val_fraction
        train_chars = self.known.chars * (1 - val_fraction - settings.test_fraction)
        return f"{chars / train_chars:.1f} × the text, {count(chars)} characters"

    def _beat(self, width: int) -> Content:
        """Simpler models and earlier runs of this text as bars, the worst first."""
        unit = BITS if self.bits else 1.0
        rows = [(name, nats * unit, False, "") for name, nats in self.references or ()]
        name = self.corpus.name if self.corpus is not None else ""
        runs = [view for view in self._runs_state.runs if view.text == name and view.status.best_val is not None]
        runs.sort(key=lambda view: view.status.best_val or 0)
        for view in runs[:3]:
            mark = "" if view.status.best_whole else ESTIMATE
            rows.append((view.name, (view.status.best_val or 0) * unit, True, mark))
        rows = sorted((row for row in rows if math.isfinite(row[1])), key=lambda row: -row[1])
        if not rows:
            if self.known is None or self.problem:
                return Content("")
            words = "counting…" if self.references is None else "Too little text for figures."
            return Content.styled(f"  {words}", "$foreground 50%")
        longest = max(loss for _, loss, _, _ in rows)
        named = min(max(len(name) for name, _, _, _ in rows), max(width // 3, 8))
        room = max(width - named - 10, 4)
        lines = [
            Content.assemble(
                (f" {shorten(visible(name), named).ljust(named)} ", "bold" if own else "$foreground 60%"),
                (bar(loss / longest, room), "$success" if own else "$foreground 30%"),
                f" {mark}{loss:.2f}",
            )
            for name, loss, own, mark in rows
        ]
        words = f" {'bits' if self.bits else 'nats'} per character"
        if any(mark for *_, mark in rows):
            words += f"; {ESTIMATE} estimated from slices"
        return Content("\n").join([*lines, Content.styled(words, "$foreground 50%")])

    def _rate_plan(self, width: int, height: int) -> Content:
        """The rate of every step, in outline."""
        settings = self.settings()
        steps = 500
        plan = LearningRate(settings.lr, settings.schedule, round(settings.warmup * steps), steps)
        curve = Curve(np.arange(steps, dtype=float), np.array([plan.rate(step) for step in range(steps)]))
        rows = sparkline(curve, max(width, 0), max(height, 0), default_glyphs())
        return Content.styled("\n".join(f"  {row}" for row in rows), "$train")

    def _held_out(self, settings: Settings) -> str:
        if self.corpus is not None and self.corpus.validation:
            names = ", ".join(PurePath(source).name for source in self.corpus.validation)
            return f"nothing: validation is on {visible(names, keep='')}"
        if not settings.val_fraction:
            return "nothing: there will be no validation"
        where = "at the end" if settings.split == "tail" else "in blocks spread over the text"
        if self.known is None:
            return f"{settings.val_fraction * 100:g} % of the text {where}"
        return f"{count(self.known.chars * settings.val_fraction)} characters {where}"


def _flags(choice: CorpusChoice) -> list[str]:
    """The choice's options as the command line takes them."""
    return [*(["--strip-boilerplate"] if choice.strip_boilerplate else []), *(["--clean"] if choice.clean else [])]


def _known(choice: CorpusChoice, check: Callable[[], None]) -> Known:
    from charlstm.text.corpus import open_corpus

    validation = choice.validation or None
    corpus = open_corpus(choice.source, choice.options(), validation=validation, progress=lambda progress: check())
    return Known(corpus.text_chars, len(corpus.vocabulary), corpus.to_record())


def _check_model(text: str) -> str | None:
    try:
        find_model(text)
    except CharLSTMError as error:
        return str(error)
    return None


def _figure(measured: dict[str, Any], name: str) -> Any:
    value = measured.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _planned(settings: Settings) -> float | None:
    """Seconds that a run takes at most, where nothing but the clock ends it."""
    by_steps = (settings.epochs, settings.max_steps) != (None, None)
    return settings.max_minutes * 60 if settings.max_minutes is not None and not by_steps else None
