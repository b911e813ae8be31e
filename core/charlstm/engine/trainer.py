"""Train a network: a trainer that does one thing at a time, and says as events what it did.

:meth:`Trainer.advance` is the loop and decides what comes next; its methods are below, by topic. Where a trainer is in
its run lies in its attributes alone, so between two calls its state is exact.

What changes the course of a run (the learning rate, the end, the number of threads) acts only once a state that names
it is on disk: see :class:`_Change`. So a resume needs the last state and nothing of what came after it. The one
exception is the clock of ``max_minutes``, which moves the end at once.

This module writes no files and prints nothing: checkpoints go to a
:class:`~charlstm.training.hooks.CheckpointStore`. Elsewhere are a single step (``train_step``), the learning rate of
each step (``training.schedule``), how often to log and validate (``training.plan``), and how to continue a run of an
earlier process (``resume``).
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import torch

from charlstm import arguments, storage
from charlstm.engine import resume
from charlstm.engine.benchmark import initial_network, measure_and_plan, threads_to_try
from charlstm.engine.checkpoint_writer import CheckpointWriter
from charlstm.engine.devices import choose_device
from charlstm.engine.distributed import SINGLE_PROCESS, Ranks
from charlstm.engine.evaluation import evaluate
from charlstm.engine.final_validation import validate_best
from charlstm.engine.kernels import fast_path_problem, kernel_path
from charlstm.engine.network import CharLSTM
from charlstm.engine.resume import ResumePlan
from charlstm.engine.run_constants import RunConstants
from charlstm.engine.train_step import TrainStep
from charlstm.errors import ModelError, RunError, SettingsError, TextError
from charlstm.fields import plain
from charlstm.model.file import PASSAGES, Model, Weights
from charlstm.model.given import GivenModel, given_model
from charlstm.system import DeferredInterrupt
from charlstm.text.batches import TrainingText
from charlstm.text.corpus import Corpus
from charlstm.training.clock import Clock
from charlstm.training.commands import Command, CommandQueue
from charlstm.training.ending import DIVERGED_WITHOUT_STATE, divergence_warning
from charlstm.training.estimate import check_memory
from charlstm.training.events import (
    AnyEvent,
    Controlled,
    Decided,
    Finished,
    Paused,
    Resumed,
    Sampled,
    Started,
    Stepped,
    Validated,
    Warned,
)
from charlstm.training.hooks import NO_HOOKS, CheckpointStore, Hooks
from charlstm.training.plan import (
    MOST_START_SHARE,
    VALIDATION_SPEED,
    Plan,
    final_chars,
    limit_at,
    spread_validations,
    with_added_minutes,
)
from charlstm.training.progress import Progress
from charlstm.training.progress_line import ProgressLine
from charlstm.training.schedule import Amendment, LearningRate
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from charlstm.training.text_warnings import small_text_warning
from charlstm.training.threads import ThreadSearch
from charlstm.training.time_limit import new_steps_left

FINISH_SECONDS = 25.0
"""Time in which *finish* takes the learning rate to zero, at the present pace. The final validation comes after it."""

WAIT_SECONDS = 0.1
"""The longest wait of one :meth:`Trainer.advance`: for a command during a pause, or for a write that has to be on disk
before training goes on."""

MUCH_RARER = 1.5
"""Factor by which a run has to validate more rarely than planned for the clock to change that: each change is saved."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Course:
    """How a run goes on; ``plan`` and ``schedule`` of a new run are missing until it is planned."""

    settings: Settings
    plan: Plan | None = None
    schedule: LearningRate | None = None


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of the course of a run, which acts once a state that names it is on disk: then no resume forgets it, and
    none has to repeat it. No step is taken until then."""

    event: Controlled | Decided
    course: _Course
    since: float = field(default_factory=time.perf_counter)


class _StopRequested(Exception):
    """A stop command arrived during the final validation."""

    def __init__(self, command: Command) -> None:
        self.command = command


class _InterruptRequested(Exception):
    """An interrupt arrived during the final validation."""


class Trainer:
    """One training run: new, from another model's weights, or continued from its exact state (:meth:`resume`).

    Iterate over :meth:`events`, or call :meth:`train`. ``settings`` are those of the run, ``progress`` says how far it
    is. ``plan``, ``schedule`` and ``network`` of a new run exist from its first event on. Earlier reads raise
    :class:`RunError`.
    """

    def __init__(
        self,
        corpus: Corpus,
        settings: Settings,
        *,
        start_from: GivenModel | None = None,
        plan: Plan | None = None,
        spent: float = 0.0,
        store: CheckpointStore | None = None,
        hooks: Hooks = NO_HOOKS,
        info: Mapping[str, Any] | None = None,
        ranks: Ranks = SINGLE_PROCESS,
        logged_until: int = 0,
        continuation: ResumePlan | None = None,
    ) -> None:
        """A run on ``corpus``.

        ``start_from`` gives the first weights and the size of the network: a model, or what
        :func:`charlstm.load_model` takes; characters that it lacks are added. By default the weights are random.
        ``plan`` is the stored plan of a run that was killed before its first checkpoint. ``spent`` seconds of
        ``max_minutes`` were used up before, to start the process. ``store`` and ``hooks`` are described in
        ``training.hooks``. ``info`` goes into every model that is saved; its ``lineage``, with the texts that
        ``start_from`` had learnt, is part of the state too. ``ranks`` are the processes that share each batch; this is
        rank 0. ``logged_until`` is the last step that an earlier process has logged: up to there the number of threads
        stays, so that the same figures are logged again. ``continuation`` is for :meth:`resume`.

        Raises :class:`TextError` for a text that is too short.
        """
        _check_run(corpus, settings)
        start_from = None if start_from is None else given_model(start_from)
        spent = arguments.number("spent", spent, 0, error=RunError)
        self._logged_until = logged_until
        self._next: Callable[[], list[AnyEvent]] | None
        """What :meth:`advance` does now. A new run: _make_plan, _build; a continued one: _load_state; then _go_on until
        it is finished, _final_validation, _save_last_state, _finish; ``None`` when it is over."""
        if continuation is None:
            self._constants, settings, warnings = RunConstants.new(corpus, settings, start_from, info or {})
            self._course = _Course(settings, plan)
            self.progress = Progress(work_seconds=spent)
            self._next = functools.partial(self._make_plan, start_from, warnings)
        else:
            self._constants = RunConstants.continued(continuation, info or {})
            self._course = _Course(continuation.settings, continuation.plan, continuation.schedule)
            self.progress = continuation.progress
            self._next = functools.partial(self._load_state, continuation)
        self.paused = False
        self._train_step_or_none: TrainStep | None = None
        self._best: Weights | None = None
        self._end_reason = ""
        self._finished: Finished | None = None

        self._hooks = hooks
        self._commands = CommandQueue(hooks.commands)
        self._change: _Change | None = None
        self._ranks = ranks
        self._checkpoint_writer = CheckpointWriter(store)
        self._disk_trouble = False
        """Whether the disk takes nothing, and this was said."""
        self._clock = Clock(self.progress)
        self._validation_pace: float | None = None
        """Seconds for a character of the last validation."""

        self._pending: deque[AnyEvent] = deque()
        """Events that no iterator has yielded yet."""
        self._iterating = False
        self._usable = True
        """Whether no call of :meth:`advance` is at work, and none was interrupted."""
        self._interrupt = DeferredInterrupt()

    @classmethod
    def resume(
        cls,
        corpus: Corpus,
        settings: Settings,
        state: TrainingState,
        *,
        store: CheckpointStore | None = None,
        hooks: Hooks = NO_HOOKS,
        info: Mapping[str, Any] | None = None,
        ranks: Ranks = SINGLE_PROCESS,
        logged_until: int = 0,
    ) -> Self:
        """Continue the run that saved ``state``, on the same ``corpus``.

        ``settings`` are those requested for the run, perhaps with changes. The other arguments are those of a new
        trainer. What was decided after ``state`` was saved had not acted yet.

        Raises :class:`SettingsError` for a setting that cannot be changed, :class:`ModelError` for a state that does
        not fit, :class:`TextError` for another text.
        """
        _check_run(corpus, settings)
        continuation = resume.continue_run(corpus, settings, state, ranks)
        return cls(
            corpus,
            settings,
            store=store,
            hooks=hooks,
            info=info,
            ranks=ranks,
            logged_until=logged_until,
            continuation=continuation,
        )

    def __repr__(self) -> str:
        schedule = self._course.schedule
        planned = "" if schedule is None else f" of {schedule.planned_steps:,}"
        return f"Trainer({self._text.corpus!r}, step {self.progress.step:,}{planned})"

    # ── for callers ───────────────────────────────────────────────────────────────────────────────────────────────

    def train(self, callback: Callable[[AnyEvent], object] | None = None, *, progress: bool = False) -> Finished:
        """Train to the end and return the last event. ``callback`` is called with every event. With ``progress`` a line
        shows how far training is (:class:`charlstm.ProgressLine`).

        Raises what :meth:`events` raises. An exception of ``callback`` ends the call between two steps, and so does an
        interrupt (Ctrl-C, the stop button of a notebook): training can then continue with another call, as after
        closing the iterator of :meth:`events`.
        """
        schedule = self._course.schedule
        planned = None if schedule is None else schedule.planned_steps
        show = ProgressLine(enabled=progress, planned_steps=planned)
        with contextlib.closing(self.events()) as events, show:
            for event in events:
                show(event)
                if callback is not None:
                    callback(event)
        assert self._finished is not None
        return self._finished

    def events(self) -> Generator[AnyEvent]:
        """Train, and yield what happens. The first event is ``started`` or ``resumed`` (or, when the disk is full,
        ``paused``), the last one is ``finished``.

        Training advances only when the next event is requested. The iterator may be closed after any event: the write
        that is running completes, and others stay in the queue. The next call of this method then continues with the
        event that would have come next. After ``finished`` there are no more events.

        An interrupt ends the iterator with :class:`KeyboardInterrupt` between two steps, so that it can be continued as
        after closing it. A second one does so at once, perhaps within a step, and training cannot continue then.

        Training sets torch's number of threads, and sets it back to the caller's number before each event. It never
        uses torch's global random generator. Raises :class:`RunError` while another iterator of this trainer is in use,
        and after an exception (such as a second interrupt) has ended training within a step.
        """
        if self._iterating:
            raise RunError("This trainer is already being iterated: continue with that iterator, or close it first")
        self._iterating = True
        try:
            while self._pending or not self.over:
                if not self._pending:
                    self._advance_to_event()
                    continue
                try:
                    yield self._pending[0]
                finally:  # not before, so that no event is lost when an interrupt comes in between
                    self._pending.popleft()
        finally:
            self._iterating = False
            self._checkpoint_writer.close()

    def advance(self) -> list[AnyEvent]:
        """Do one thing and return what happened, which may be nothing: take a step, validate, carry out a command, wait
        a moment for the disk or, during a pause, for a command.

        All that it did is done when it returns, so :meth:`state` is exact between two calls. An exception out of it
        ends training, as weights may be half changed. Raises :class:`RunError` after that, and during another call.
        """
        with self._work():
            return self._advance()

    @property
    def over(self) -> bool:
        """Whether training is over, and the last event was returned by :meth:`advance` or is the next of
        :meth:`events`."""
        return self._next is None

    def stop(self) -> None:
        """Stop between two steps, with a checkpoint, as the command ``stop`` does. May be called from any thread.

        Called before training, it stops the run after its start, before the first step.
        """
        self._commands.put(Command("trainer.stop", "stop"))

    @property
    def settings(self) -> Settings:
        """The settings of the training now."""
        return self._course.settings

    @property
    def plan(self) -> Plan:
        """How many steps, and how often to log and validate, as planned at the start."""
        return self._existing(self._course.plan, "plan")

    @property
    def schedule(self) -> LearningRate:
        """The learning rate of every step, with all changes so far."""
        return self._existing(self._course.schedule, "schedule")

    @property
    def network(self) -> CharLSTM:
        """The network that is validated and saved, as it is now: with ``ema_decay`` the moving average of the weights,
        else the weights that are trained.

        It is not a copy: the next step changes it, and its weights should not be changed. For the best model so far see
        :attr:`best`.
        """
        return self._train_step.network_to_save

    @property
    def best(self) -> Model:
        """The best model so far, which later steps do not change. Raises :class:`ModelError` before the first
        validation."""
        if self._best is None:
            raise ModelError("There is no model yet: training has not started")
        progress, whole = self.progress, self.progress.whole_val is not None
        return self._model(self._best, progress.loss, progress.best_step, whole=whole)

    @property
    def read_before(self) -> dict[str, Any]:
        """See :attr:`RunConstants.read_before`."""
        return self._constants.read_before

    def state(self) -> TrainingState:
        """All that :meth:`resume` needs to continue exactly from here.

        Raises :class:`RunError` before the first event, during a step, after an exception (such as a second interrupt)
        has ended training within a step, and when the loss is no longer a number.
        """
        self._existing(self._train_step_or_none, "state")
        self._check_usable()
        if self.progress.ended == "diverged":
            raise RunError(DIVERGED_WITHOUT_STATE)
        return self._state()

    def _state(self, course: _Course | None = None) -> TrainingState:
        """The state now, or as it will be on ``course``."""
        tensors = self._train_step.tensors()
        tensors |= {f"best.{name}": array for name, array in (self._best or {}).items()}
        if self._constants.passages is not None:
            tensors[PASSAGES] = self._constants.passages
        course = course or self._course
        record = {
            "settings": course.settings.to_dict(),
            "plan": plain(course.plan),
            "schedule": plain(course.schedule),
            "progress": plain(self.progress),
            "environment": resume.environment(course.plan or self.plan, self._ranks),
            **self._constants.record(),
        }
        return TrainingState(self.progress.step, record, tensors)

    @property
    def _text(self) -> TrainingText:
        return self._constants.text

    @property
    def _train_step(self) -> TrainStep:
        return self._existing(self._train_step_or_none, "network")

    @staticmethod
    def _existing(value: _T | None, name: str) -> _T:
        if value is None:
            raise RunError(f"This trainer has no {name} yet: training builds it before its first event")
        return value

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _advance(self) -> list[AnyEvent]:
        """One thing: see :meth:`advance`. Only here, at the beginning, writes are started that earlier calls have
        queued, so the caller has had every event of what is written."""
        events = self._collect_writes()
        if self._disk_trouble or not self._checkpoint_writer.lets_train:
            return events
        return events + self._next() if self._next is not None else events

    def _go_on(self) -> list[AnyEvent]:
        """Between the start and the end of a run: the first of these that there is to do. The command ``more`` is taken
        even after the last step, until the final validation begins."""
        if self._change is not None:
            return self._make_change(self._change)
        if not self.progress.attended:
            return self._attend()
        self._commands.poll()
        if self._is_finished():
            more = self._commands.take("more") if self.progress.ended in (None, "time") else None
            if more is None:
                return self._begin_end()
            self.progress.ended = None
            return self._handle(more)
        if (command := self._commands.next()) is not None:
            return self._handle(command)
        if self.paused:
            self._wait(WAIT_SECONDS)
            return []
        return self._take_step()

    def _take_step(self) -> list[AnyEvent]:
        if self._checkpoint_due():
            self._checkpoint()
        progress, rate = self.progress, self.schedule.rate(self.progress.step)
        before, processor_before = self._clock.count_work(), time.process_time()
        outcome = self._train_step.step(progress.step, rate)  # forward, backward, clip, update, average
        if not outcome.finite:
            progress.ended = "diverged"
            return [self._warning(divergence_warning(progress.step, rate, progress.best_step))]
        seconds = self._clock.count_work() - before
        progress.count_step(outcome.nats, outcome.count, outcome.grad_norm, seconds)
        progress.attended = False
        if progress.step >= self._logged_until:  # up to there the number of threads stays, and with it the last digits
            self._thread_search.add(seconds, time.process_time() - processor_before)
        return []

    def _attend(self) -> list[AnyEvent]:
        """Do what is due after a step, or after the start: log, validate, write a sample and a snapshot, look at the
        clock, and look for a better number of threads."""
        progress, events = self.progress, list[AnyEvent]()
        if progress.step and self._due(self.plan.log_every):
            events.append(self._step_event())
        validate = self._due(self.plan.val_every)
        if validate or self._snapshot_due():
            events += self._validate_and_sample(validate=validate)
        progress.attended = True
        if progress.step == 0:
            self._clock.start_pace()
            self._checkpoint()
            return events
        events += self._check_time_limit()
        self._look_for_threads()
        return events

    def _advance_to_event(self) -> None:
        """Go on until there is an event, or raise KeyboardInterrupt between two steps when one is requested."""
        with DeferredInterrupt() as self._interrupt, self._work():
            while not (self._pending or self.over or self._interrupt.requested):
                self._pending.extend(self._advance())
        if self._interrupt.requested:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def _work(self) -> Iterator[None]:
        """Count the time of the block as work, with torch's threads as the plan has them. An exception makes the
        trainer unusable."""
        self._check_usable()
        callers_threads = torch.get_num_threads()
        self._usable = False
        self._clock.skip()  # the caller may have waited for a disk or a terminal since the last event
        try:
            if self._train_step_or_none is not None:
                torch.set_num_threads(self.plan.threads)
            yield
            self._usable = True
        finally:
            self._clock.count_work()
            torch.set_num_threads(callers_threads)

    def _check_usable(self) -> None:
        if not self._usable:
            raise RunError(
                f"Training is at work, or was interrupted at step {self.progress.step:,}: do this between two events; "
                "after an interrupt use Trainer.resume to continue from the last saved state, or make a new trainer"
            )

    def _is_finished(self) -> bool:
        return self.progress.ended is not None or self.progress.step >= self.schedule.planned_steps

    def _due(self, every: int) -> bool:
        """Whether something that is done every ``every`` steps, and at the end, is due now."""
        return self.progress.step % every == 0 or self.progress.step == self.schedule.planned_steps

    def _snapshot_due(self) -> bool:
        return self.progress.step in self.plan.snapshot_steps

    # ── start ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make_plan(self, start_from: Model | None, warnings: list[str]) -> list[AnyEvent]:
        """Measure, plan and save the plan, unless a stored plan fits this machine. Training waits until the plan is on
        disk."""
        settings, plan = self.settings, self._course.plan
        if plan is None or not resume.fits_machine(plan):
            plan = measure_and_plan(settings, self._text, self._ranks, worked=self._count_start)
            self._checkpoint_writer.queue_plan(plan)
            self._checkpoint_writer.hold_training()
        schedule = LearningRate(settings.lr, settings.schedule, plan.warmup_steps, plan.planned_steps)
        self._course = _Course(settings, plan, schedule)
        self._next = functools.partial(self._build, start_from, warnings)
        return []

    def _count_start(self) -> float:
        """Count the seconds so far as part of ``max_minutes``, but no more than :data:`MOST_START_SHARE` of it, and
        return them. On a busy machine measuring can take longer than a short run."""
        worked = self._clock.count_work()
        if self.settings.max_minutes is not None:
            self.progress.work_seconds = worked = min(worked, MOST_START_SHARE * 60 * self.settings.max_minutes)
        return worked

    def _build(self, start_from: Model | None, warnings: list[str]) -> list[AnyEvent]:
        """Build the network, at step 0. ``warnings`` are those of the text."""
        settings, text, plan = self.settings, self._text, self.plan
        machine_warnings = self._machine_warnings()
        self._build_train_step(initial_network(settings, text.vocabulary, start_from))
        warnings = [*small_text_warning(settings, plan), *warnings]
        self.progress.attended = False
        self._next = self._go_on
        started = Started(
            step=0,
            planned_steps=plan.planned_steps,
            steps_per_epoch=plan.steps_per_epoch,
            parameters=self._train_step.network.config.parameters,
            train_chars=sum(stop - start for start, stop in text.parts.train),
            val_chars=sum(stop - start for start, stop in text.parts.held_out),
            test_chars=sum(stop - start for start, stop in text.parts.test),
            symbols=len(text.vocabulary),
            device=plan.device,
            kernel=plan.kernel,
            kernel_path=kernel_path(plan.kernel),
            threads=plan.threads,
            limit=limit_at(settings, plan.steps_per_epoch, plan.planned_steps),
            max_minutes=settings.max_minutes,
            **self.read_before,
        )
        return [started, *machine_warnings, *map(self._warning, warnings)]

    def _load_state(self, continuation: ResumePlan) -> list[AnyEvent]:
        """Continue an earlier process's run from its exact state."""
        machine_warnings = self._machine_warnings()
        shape = len(self._text.vocabulary), self.settings.hidden_size, self.settings.num_layers
        self._build_train_step(CharLSTM(*shape, init="none"))
        tensors = {name: array for name, array in continuation.state.tensors.items() if name != PASSAGES}
        self._train_step.load(tensors)
        best = {name.removeprefix("best."): array for name, array in tensors.items() if name.startswith("best.")}
        self._best = best or None
        self._clock.start_pace()
        if self._best is not None:  # the model's file may be missing, or from steps after the state
            self._checkpoint_writer.queue_model(self.best)
        if continuation.changes_course:
            self._checkpoint()
            self._checkpoint_writer.hold_training()
        self._next = self._go_on
        return [continuation.event, *machine_warnings]

    def _build_train_step(self, network: CharLSTM) -> None:
        plan = self.plan
        torch.set_num_threads(plan.threads)
        device = choose_device(plan.device)
        counts = threads_to_try(self.settings, device, self._ranks)
        self._thread_search = ThreadSearch(counts, plan.threads)
        batches = self._text.batches(plan.batch_size, plan.seq_length, self.settings.seed)
        network.to(device)
        self._train_step_or_none = TrainStep(network, batches, self.settings, plan.kernel, self._ranks)

    def _machine_warnings(self) -> list[Warned]:
        """Warnings of too little free memory, and that the fast kernel cannot be used here. Raises
        :class:`SettingsError` when the run needs more memory than this machine has."""
        plan, device, rows = self.plan, torch.device(self.plan.device), self._ranks.rows(self.plan.batch_size)
        chars = (rows.stop - rows.start) * plan.seq_length
        on_card = device.type == "cuda"
        memory = check_memory(self.settings, len(self._text.vocabulary), chars, on_card=on_card)
        return [self._warning(each) for each in (memory, fast_path_problem(self.settings, device)) if each is not None]

    # ── after a step ──────────────────────────────────────────────────────────────────────────────────────────────

    def _step_event(self) -> Stepped:
        """The mean loss and speed since the last such event."""
        progress = self.progress
        event = Stepped(
            step=progress.step,
            epoch=progress.step / self.plan.steps_per_epoch,
            train_loss=progress.nats / max(progress.count, 1),
            lr=self.schedule.rate(progress.step - 1),
            grad_norm=progress.grad_norm,
            chars_per_second=progress.count / max(progress.seconds, 1e-9),
            train_seconds=progress.train_seconds,
            work_seconds=self._clock.count_work(),
        )
        progress.start_interval()
        return event

    def _validate_and_sample(self, *, validate: bool) -> Iterator[AnyEvent]:
        """Validate if due and keep the best model, write a sample, save a snapshot if due."""
        progress, text = self.progress, self._text
        loss: float | None = None
        model: Model | None = None  # one copy of the weights, for the best model, the sample and the snapshot
        if validate:
            improved = True  # without held-out text the latest model is the one to keep
            if text.held_out:
                before = time.perf_counter()
                figure = evaluate(
                    self.network, text.ids, text.held_out, self.plan.val_chars,
                    progress=lambda *_: self._clock.count_work(),
                )  # fmt: skip
                self._validation_pace = (time.perf_counter() - before) / max(figure.chars, 1)
                loss = figure.loss
                improved = math.isfinite(loss) and (progress.best_val is None or loss < progress.best_val)
                yield Validated(
                    step=progress.step,
                    loss=loss,
                    chars=figure.chars,
                    best=improved,
                    train_seconds=progress.train_seconds,
                )
            progress.stale = 0 if improved else progress.stale + 1
            if improved:
                model = self._keep_as_best(loss)
            elif not self._is_finished() and self._out_of_patience():
                progress.ended = "patience"
        if self._hooks.sample is not None:
            model = model or self._copy_model(loss)
            try:
                prime, sample = self._hooks.sample(model)
            except ModelError as error:  # the weights diverge: the loss will show it, and the best model is kept
                yield self._warning(f"No sample was written: {error}")
            else:
                yield Sampled(step=progress.step, prime=prime, text=sample)
        if self._checkpoint_writer.has_store and self._snapshot_due():
            self._checkpoint_writer.queue_snapshot(model or self._copy_model(loss), progress.step)

    def _out_of_patience(self) -> bool:
        """Whether ``patience`` ends the run: too many validations in a row (``progress.stale``) without a new best.

        It never ends an extended run: there the learning rate climbs again, so the loss first gets worse for long.
        """
        patience = self.settings.patience
        return patience is not None and self.progress.stale >= patience and not self.schedule.extended

    def _check_time_limit(self) -> Iterator[AnyEvent]:
        """End the run when ``max_minutes`` are over.

        After each validation, and in between when the run has become much slower, estimate the step at which that will
        be and make it the planned end, so that the learning rate has fallen to its last value by then. This alone acts
        before a state names it: a run has up to 30 such moves, and a resume cannot repeat what its clock decides.
        """
        progress, minutes = self.progress, self.settings.max_minutes
        if minutes is None or self._is_finished():
            return
        if self._clock.count_work() >= 60 * minutes:
            progress.ended = "time"
            if not self._due(self.plan.val_every):  # else what was learnt since the last validation would be lost
                yield from self._validate_and_sample(validate=True)
            return
        last = self._final_validation_seconds()
        left = new_steps_left(self.settings, self._clock, self.plan, self.schedule, progress, last)
        if left is None:
            return
        yield Decided(step=progress.step, steps_left=left)
        schedule = self.schedule.amended(Amendment(progress.step, "replan", left))
        self._course = replace(self._course, schedule=schedule)
        spread = spread_validations(self.plan, self.settings, left)
        if spread.val_every >= MUCH_RARER * self.plan.val_every:
            self._course = replace(self._course, plan=spread)
            self._checkpoint()  # the clock of a resume would choose other steps to validate at

    def _look_for_threads(self) -> None:
        """Change the number of threads if the search for the fastest one wants that after the last step."""
        count = self._thread_search.count
        if count != self.plan.threads and not self._is_finished():
            event = Decided(step=self.progress.step, threads=count)
            self._propose(event, replace(self._course, plan=replace(self.plan, threads=count)))

    # ── commands and changes ──────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, command: Command) -> list[AnyEvent]:
        """Carry out a command, or propose the change that it asks for."""
        event = Controlled(
            step=self.progress.step,
            id=command.id,
            command=command.command,
            value=None if command.value is None else float(command.value),
        )
        match command.command:
            case "set-lr" if event.value is not None:
                amendment = Amendment(event.step, "set-lr", event.value, event.id, ends_climb=True)
                self._propose(event, replace(self._course, schedule=self.schedule.amended(amendment)))
                return []
            case "finish":
                steps = min(self._finish_steps(), self._steps_left)
                amendment = Amendment(event.step, "finish", float(steps), event.id)
                course = replace(self._course, schedule=self.schedule.amended(amendment))
                self._propose(replace(event, value=float(steps)), course)
                return []
            case "more" if event.value is not None:
                self._lengthen(event, event.value)
                return []
            case "stop":
                self.progress.ended = "stopped"
            case "checkpoint":
                self._checkpoint()
            case "pause" if not self.paused:
                self.paused = True
                self._checkpoint()
                return [event, Paused(step=event.step)]
            case "resume" if self.paused:
                return [event, self._end_pause()]
        return [event]

    def _lengthen(self, event: Controlled, minutes: float) -> None:
        """Propose to raise the limits of the run, so that it ends ``minutes`` later."""
        settings, plan, step = self.settings, self.plan, self.progress.step
        steps_left = self._steps_left + max(1, round(60 * minutes / self._step_seconds))
        limit = limit_at(settings, plan.steps_per_epoch, self.schedule.planned_steps)
        by_time = limit == "max_minutes" and not self.schedule.finishing and settings.max_minutes is not None
        longer = with_added_minutes(settings, minutes, step + steps_left, by_time=by_time)
        change = Amendment(step, "replan", float(steps_left), event.id)
        if self._steps_left <= 0:  # nothing is left of the curve to be stretched
            change = replace(change, kind="extend", peak=resume.extension_peak(longer))
        course = _Course(longer, spread_validations(plan, longer, steps_left), self.schedule.amended(change))
        self._propose(replace(event, value=float(steps_left), minutes=minutes), course)

    def _propose(self, event: Controlled | Decided, course: _Course) -> None:
        """Change to ``course`` once a state with it is on disk, and then emit ``event``."""
        self._change = _Change(event, course)
        self._checkpoint(course)
        self._checkpoint_writer.hold_training()

    def _make_change(self, change: _Change) -> list[AnyEvent]:
        self._change = None
        self._course = change.course
        if isinstance(change.event, Decided):
            torch.set_num_threads(self.plan.threads)
            self._thread_search.price = time.perf_counter() - change.since
        events: list[AnyEvent] = [replace(change.event, time=time.time())]
        if isinstance(change.event, Controlled) and change.event.command == "finish" and self.paused:
            events.append(self._end_pause())
        return events

    def _end_pause(self) -> Resumed:
        self.paused = False
        return self._resumed()

    def _resumed(self) -> Resumed:
        """Training goes on after a pause."""
        planned, minutes = self.schedule.planned_steps, self.settings.max_minutes
        return Resumed(step=self.progress.step, planned_steps=planned, max_minutes=minutes)

    @property
    def _steps_left(self) -> int:
        return self.schedule.planned_steps - self.progress.step

    @property
    def _step_seconds(self) -> float:
        """Seconds per step at the present pace, validations included."""
        return self._clock.pace() or self.plan.seconds_per_step

    def _finish_steps(self) -> int:
        return max(1, round(FINISH_SECONDS / self._step_seconds))

    def _wait(self, seconds: float) -> None:
        """Sleep. The time does not count as work."""
        self._clock.count_work()
        time.sleep(seconds)
        self._clock.skip()

    # ── checkpoints ───────────────────────────────────────────────────────────────────────────────────────────────

    def _checkpoint_due(self) -> bool:
        every, minutes = self.settings.checkpoint_steps, self.settings.checkpoint_minutes
        if every is not None and self.progress.step % every == 0 and self.progress.step:
            return True
        return minutes is not None and time.perf_counter() - self._checkpoint_writer.last_state >= 60 * minutes

    def _checkpoint(self, course: _Course | None = None) -> None:
        """Copy the state, as it will be on ``course`` if given, to be written in the background."""
        if not self._checkpoint_writer.has_store:
            return
        self._clock.count_work()
        before = time.perf_counter()
        state = self._state(course)
        self._checkpoint_writer.queue_state(state, time.perf_counter() - before)

    def _collect_writes(self) -> list[AnyEvent]:
        """The events of finished writes, after starting the next one. While the disk is full, one attempt a second."""
        writer = self._checkpoint_writer
        if self._disk_trouble:
            self._wait(storage.RETRY_SECONDS)
        waits = self._disk_trouble or not writer.lets_train
        try:
            events: list[AnyEvent] = [*writer.collect(WAIT_SECONDS if waits else 0.0)]
        except OSError as error:
            reason = storage.reason_to_wait(error, lambda: self._commands.take("stop") is not None)
            if self._disk_trouble:
                return []
            self._disk_trouble = True
            return [Paused(step=self.progress.step, reason=f"nothing can be written: {reason}")]
        if self._disk_trouble and not writer.failing:
            self._disk_trouble = False
            events.append(self._resumed())
            if self.paused:
                events.append(Paused(step=self.progress.step))
        return events

    def _keep_as_best(self, val_loss: float | None) -> Model:
        """Take the network as it is now as the best model so far."""
        self.progress.best_val, self.progress.best_step = val_loss, self.progress.step
        model = self._copy_model(val_loss)
        self._best = model.weights
        self._checkpoint_writer.queue_model(model)
        return model

    def _copy_model(self, val_loss: float | None) -> Model:
        """The network as it is now, as a model with copies of the weights."""
        weights = self.network.to_model(self._text.vocabulary).weights
        return self._model(weights, val_loss, self.progress.step, whole=False)

    def _model(self, weights: Weights, loss: float | None, step: int, *, whole: bool) -> Model:
        config = self._train_step.network.config
        return self._constants.model(config, weights, self.settings, step=step, loss=loss, whole=whole)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_end(self) -> list[AnyEvent]:
        """There is no final validation for a run that was stopped."""
        progress, self.paused = self.progress, False
        progress.ended = self._end_reason = progress.ended or "done"
        if self._end_reason == "stopped" or progress.whole_val is not None or progress.best_val is None:
            self._next = self._save_last_state
            return []
        self._next = self._final_validation
        if self._hooks.validation_progress is not None:
            self._hooks.validation_progress(0.0)  # on a busy machine the state and the first report take a while
        if self._saves_at_end:
            self._checkpoint()  # the final validation may take long
            self._checkpoint_writer.hold_training()
        return []

    @property
    def _saves_at_end(self) -> bool:
        """Nothing is saved after a divergence, so that a resume starts from the last good state."""
        return self.progress.ended != "diverged"

    def _save_last_state(self) -> list[AnyEvent]:
        if self._end_reason == "stopped" and not self._text.held_out and self.progress.best_step != self.progress.step:
            self._keep_as_best(None)  # without held-out text the latest model is the one to keep
        if self._saves_at_end:
            self._checkpoint()
        self._checkpoint_writer.hold_training()
        self._next = self._finish
        return []

    def _finish(self) -> list[AnyEvent]:
        progress, self._next = self.progress, None
        self._commands.poll()
        missed = [command.command for command in iter(self._commands.next, None) if command.command != "stop"]
        self._finished = Finished(
            step=progress.step,
            reason=self._end_reason,
            loss=progress.loss,
            best_step=progress.best_step,
            train_seconds=progress.train_seconds,
            best_whole=progress.whole_val is not None,
            work_seconds=self._clock.count_work(),
            limit=self._limit(self._end_reason),
            **self.read_before,
        )
        if not missed:
            return [self._finished]
        return [self._warning(f"The run ended before this could be done: {', '.join(missed)}"), self._finished]

    def _limit(self, reason: str) -> str:
        """The setting that ended the run for ``reason``; empty when none did."""
        if reason == "done" and not self.schedule.ends_by_command:
            return limit_at(self.settings, self.plan.steps_per_epoch, self.progress.step)
        return {"time": "max_minutes", "patience": "patience"}.get(reason, "")

    def _final_validation_seconds(self) -> float:
        """Seconds that calibration and the final validation would take, at the pace of the last validation or else that
        of the steps."""
        plan, chars = self.plan, final_chars(self.settings, self._text.held_out_targets)
        if self._validation_pace is not None:
            return chars * self._validation_pace
        return chars * self._step_seconds / (VALIDATION_SPEED * plan.batch_size * plan.seq_length)

    def _final_validation(self) -> list[AnyEvent]:
        """Calibrate and validate the best model. A stop ends this early, and a resume then does it again. After an
        interrupt it begins anew."""
        progress, worked = self.progress, self._clock.count_work()
        seconds = self._final_validation_seconds()
        try:
            found = validate_best(
                *(self.best, self._text, self.settings, self.plan),
                seconds=seconds,
                worked=worked,
                report=self._report_validation,
            )
        except _InterruptRequested:
            return []
        except _StopRequested as stop:
            if self._saves_at_end:
                self._end_reason = "stopped"
            self._next = self._save_last_state
            return [Controlled(step=progress.step, id=stop.command.id, command="stop")]
        self._next = self._save_last_state
        events: list[AnyEvent] = [self._warning(found.warning)] if found.warning else []
        if found.figure is None:
            return events
        self._best = found.best.weights
        if found.whole:
            progress.whole_val = found.figure.loss
            validated = Validated(
                step=progress.step,
                loss=found.figure.loss,
                chars=found.figure.chars,
                best=False,
                whole=True,
                train_seconds=progress.train_seconds,
            )
            events.append(validated)
        else:
            progress.final_val = found.figure.loss
        self._checkpoint_writer.queue_model(self.best)
        return events

    def _report_validation(self, share: float) -> None:
        self._clock.count_work()
        if self._hooks.validation_progress is not None:
            self._hooks.validation_progress(share)
        if (command := self._commands.take("stop")) is not None:
            raise _StopRequested(command)
        if self._interrupt.requested:
            raise _InterruptRequested

    def _warning(self, message: str) -> Warned:
        return Warned(step=self.progress.step, message=message)


def _check_run(corpus: Corpus, settings: Settings) -> None:
    arguments.instance("corpus", corpus, Corpus, "a Corpus, such as charlstm.open_corpus gives", error=TextError)
    arguments.instance("settings", settings, Settings, "Settings, such as charlstm.preset gives", error=SettingsError)
