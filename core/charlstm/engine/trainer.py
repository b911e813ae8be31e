"""Train a network: the training loop, which yields events.

The loop is :meth:`Trainer._take_steps`; the methods that it calls are below it, by topic. This module writes no files
and prints nothing: it reports everything as events, and passes checkpoints to a
:class:`~charlstm.training.hooks.CheckpointStore`. Elsewhere are a single step (``train_step``), the learning rate of
each step (``training.schedule``), how often to log and validate (``training.plan``), and how to continue a run of an
earlier process (``resume``).
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any, Self, TypeVar

import torch

from charlstm import arguments, storage
from charlstm.engine import resume
from charlstm.engine.benchmark import (
    FasterKernel,
    find_faster_kernel,
    initial_network,
    measure_and_plan,
    threads_to_try,
)
from charlstm.engine.checkpoint_writer import CheckpointWriter
from charlstm.engine.devices import choose_device
from charlstm.engine.distributed import SINGLE_PROCESS, Ranks
from charlstm.engine.evaluation import Evaluation, best_logit_factor, evaluate
from charlstm.engine.event_stream import EventStream
from charlstm.engine.kernels import fast_path_problem
from charlstm.engine.network import CharLSTM
from charlstm.engine.resume import ResumePlan
from charlstm.engine.train_step import StepOutcome, TrainStep
from charlstm.errors import ModelError, RunError, SettingsError, TextError
from charlstm.model.file import PASSAGES, Model, Weights
from charlstm.model.given import GivenModel, given_model
from charlstm.text.batches import Batches, TrainingText, trained_texts
from charlstm.text.corpus import Corpus
from charlstm.text.passages import Passages, joined, passages_in
from charlstm.training import estimate
from charlstm.training.clock import Clock
from charlstm.training.commands import Command, CommandQueue
from charlstm.training.events import (
    AnyEvent,
    Controlled,
    Finished,
    Paused,
    Resumed,
    Sampled,
    Started,
    Stepped,
    Validated,
    Warned,
)
from charlstm.training.hooks import NO_HOOKS, NOTHING_LOGGED, CheckpointStore, Hooks, LoggedRun
from charlstm.training.plan import (
    CALIBRATION_CHARS,
    MOST_START_SHARE,
    VALIDATION_SPEED,
    Plan,
    final_chars,
    final_seconds,
    fit_batch,
    limit_at,
    planned_final,
    spread_validations,
    with_added_minutes,
)
from charlstm.training.progress import Progress
from charlstm.training.progress_line import ProgressLine
from charlstm.training.schedule import Amendment, Kind, LearningRate, commands_to_repeat
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from charlstm.training.text_warnings import held_out_read, text_warnings
from charlstm.training.threads import ThreadSearch
from charlstm.training.time_limit import TimeLimit
from charlstm.training.verdict import Diverged

FINISH_SECONDS = 25.0
"""Time in which *finish* takes the learning rate to zero, at the present pace. The final validation comes after it."""

CHECK_KERNEL_SECONDS = 3.0
"""Seconds of training after which the choice of the kernel is checked."""

WORTH_CHECKING = 20.0
"""Seconds of training that have to be left, else the check would take more time than a faster kernel saves."""

PAUSE_SECONDS = 0.1
"""Seconds between two polls for commands during a pause."""

DISK_RETRY_SECONDS = 1.0
"""Seconds between two attempts to write to a full disk."""

_AMENDMENTS: Mapping[str, Kind] = {"set-lr": "set-lr", "finish": "finish", "more": "replan"}
"""How the commands that change the schedule amend it."""

READ_BEFORE = ("read_share", "read_by")
"""What the info of a model, the state and the events say of :attr:`Trainer.read_before`."""

MUCH_RARER = 1.5
"""Factor by which a run has to validate more rarely than planned for the clock to change that: each change is saved."""

_T = TypeVar("_T")


class _ValidationTooSlow(Exception):
    """The final validation takes longer than it may."""


class _StopRequested(Exception):
    """A stop command arrived during the final validation."""

    def __init__(self, command: Command) -> None:
        self.command = command


class _InterruptRequested(Exception):
    """An interrupt arrived during the final validation."""


class _NotFinite(Exception):
    """The loss of a step, or its gradient, is not finite."""

    def __init__(self, outcome: StepOutcome) -> None:
        self.outcome = outcome


class Trainer:
    """One training run: new, from another model's weights, or continued from its exact state (:meth:`resume`).

    Iterate over :meth:`events`, or call :meth:`train`. ``settings`` are those of the run, ``progress`` says how far it
    is. ``plan``, ``schedule`` and ``network`` of a new run exist from its first event on. To read one of them earlier
    raises :class:`RunError`.
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
        logged: LoggedRun = NOTHING_LOGGED,
        info: Mapping[str, Any] | None = None,
        ranks: Ranks = SINGLE_PROCESS,
        continuation: ResumePlan | None = None,
    ) -> None:
        """A run on ``corpus``.

        ``start_from`` gives the first weights and the size of the network: a model, or what
        :func:`charlstm.load_model` takes; characters that it lacks are added. Without it they are random.
        ``plan`` is the stored plan of a run that was killed before its first checkpoint, and ``logged`` its log, whose
        commands are repeated as by :meth:`resume`. ``spent`` seconds of ``max_minutes`` were used up before, to start
        the process. ``store`` and ``hooks`` are described in ``training.hooks``. ``info`` goes into every model that is
        saved; its ``lineage``, with the texts that ``start_from`` had learnt, is part of the state too. ``ranks`` are
        the processes that share each batch; this is rank 0. ``continuation`` is for :meth:`resume`.

        Raises :class:`TextError` for a text that is too short, and another :class:`CharLSTMError` for an argument that
        is not what it has to be.
        """
        _check_run(corpus, settings, logged)
        start_from = None if start_from is None else given_model(start_from)
        arguments.instance("plan", plan, (Plan, type(None)), "a stored plan", error=RunError)
        arguments.instance("store", store, (CheckpointStore, type(None)), "such as a FolderStore", error=RunError)
        arguments.instance("hooks", hooks, Hooks, "Hooks", error=RunError)
        arguments.instance("info", info, (Mapping, type(None)), "a dict", error=RunError)
        spent = arguments.number("spent", spent, 0, error=RunError)
        info = dict(info or {})
        if continuation is not None:
            self.settings, self._requested_settings = continuation.settings, continuation.requested_settings
            self._text = continuation.text
            record = continuation.state.record
            if (lineage := record.get("lineage")) is not None:
                info.setdefault("lineage", lineage)
            info |= {name: record.get(name) for name in READ_BEFORE}
            self._passages: Passages | None = continuation.state.tensors.get(PASSAGES)
        else:
            self.settings = self._requested_settings = settings
            vocabulary = corpus.vocabulary
            if start_from is not None:
                shape = start_from.config
                self.settings = settings.with_changes(hidden_size=shape.hidden_size, num_layers=shape.num_layers)
                vocabulary = start_from.vocabulary.extended(vocabulary)
                info.setdefault("lineage", {"learnt": trained_texts(start_from.info)})
            self._text = TrainingText.of(
                corpus, vocabulary, settings.val_fraction, settings.split, settings.test_fraction
            )
            self._own_passages = passages_in(corpus, self._text.train)
            self._passages = joined([self._own_passages, None if start_from is None else start_from.passages])
            self._start_name = _name_of_start(info, start_from)
            found = held_out_read(self._text, self._own_passages, start_from, self._start_name)
            info |= dict(zip(READ_BEFORE, found, strict=True))
        self.progress = Progress(work_seconds=spent) if continuation is None else continuation.progress
        self._plan = None if continuation is None else continuation.plan
        self._schedule = None if continuation is None else continuation.schedule
        self._train_step_or_none: TrainStep | None = None
        self._best: Weights | None = None
        self._finished: Finished | None = None

        self._continuation = continuation
        self._start_from = start_from
        self._stored_plan = plan
        self._kernel_is_final = plan is not None or continuation is not None

        self._info = info
        self._hooks = hooks
        repeated = continuation.replay if continuation is not None else commands_to_repeat(logged.controls)
        if ranks.world_size > 1:  # they share the cores; only a single process logs numbers, for all cores
            repeated = {
                step: [event for event in events if event.command != "threads"] for step, events in repeated.items()
            }
        self._commands = CommandQueue(hooks.commands, repeated)
        chosen = (step for step, events in repeated.items() if any(event.command == "threads" for event in events))
        self._threads_are_logged_until = max(logged.step, *chosen, 0)
        self._ranks = ranks
        self._checkpoint_writer = CheckpointWriter(store)
        self._last_checkpoint = time.perf_counter()
        self._clock = Clock(self.progress)
        self._between_steps = False
        """Whether all that belongs to the steps so far is done, such as validations, so that the state is exact."""

        self._time_limit = TimeLimit(self.settings, self._clock)
        self._validation_pace: float | None = None
        """Seconds for a character of the last validation."""
        self._final_start, self._final_allowed = 0.0, math.inf
        self._fastest_step = math.inf
        self._stream = EventStream(
            self._train_loop(), self._clock, lambda: self.progress.step, self._checkpoint_writer.close
        )

    @classmethod
    def resume(
        cls,
        corpus: Corpus,
        settings: Settings,
        state: TrainingState,
        *,
        store: CheckpointStore | None = None,
        hooks: Hooks = NO_HOOKS,
        logged: LoggedRun = NOTHING_LOGGED,
        info: Mapping[str, Any] | None = None,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> Self:
        """Continue the run that saved ``state``, on the same ``corpus``.

        ``settings`` are those requested for the run, perhaps with changes. From its log, ``logged``, changes of the
        learning rate, of the end and of the number of threads that came after ``state`` are repeated at their steps;
        pauses and stops are not.

        Raises :class:`SettingsError` for a setting that cannot be changed, :class:`ModelError` for a state that does
        not fit, :class:`TextError` for another text.
        """
        _check_run(corpus, settings, logged)
        arguments.instance("state", state, TrainingState, "what Trainer.state() returned", error=ModelError)
        continuation = resume.continue_run(corpus, settings, state, logged.controls, ranks)
        return cls(
            corpus,
            settings,
            store=store,
            hooks=hooks,
            logged=logged,
            info=info,
            ranks=ranks,
            continuation=continuation,
        )

    def __repr__(self) -> str:
        planned = "" if self._schedule is None else f" of {self._schedule.planned_steps:,}"
        return f"Trainer({self._text.corpus!r}, step {self.progress.step:,}{planned})"

    # ── for callers ───────────────────────────────────────────────────────────────────────────────────────────────

    def train(self, callback: Callable[[AnyEvent], object] | None = None, *, progress: bool = False) -> Finished:
        """Train to the end and return the last event. ``callback`` is called with every event. With ``progress`` a line
        shows how far training is (:class:`charlstm.ProgressLine`).

        Raises what :meth:`events` raises. An exception of ``callback`` ends the call between two steps, and so does an
        interrupt (Ctrl-C, the stop button of a notebook): training can then continue with another call, as after
        closing the iterator of :meth:`events`.
        """
        arguments.function("callback", callback, error=RunError)
        arguments.flag("progress", progress, error=RunError)
        planned = None if self._schedule is None else self._schedule.planned_steps
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
        ``paused``), the last one is ``finished``. A second ``started``, at step 0, means that training restarted with a
        faster kernel.

        Training advances only when the next event is requested. The iterator may be closed after any event: the write
        that is running completes, and others stay in the queue. The next call of this method then continues with the
        event that would have come next. After ``finished`` there are no more events.

        An interrupt ends the iterator with :class:`KeyboardInterrupt` between two steps, so that it can be continued as
        after closing it. A second one does so at once, perhaps within a step, and training cannot continue then.

        Training sets torch's number of threads, and sets it back to the caller's number before each event. It never
        uses torch's global random generator. Raises :class:`RunError` while another iterator of this trainer is in use,
        and after an exception (such as a second interrupt) has ended training within a step.
        """
        return self._stream.iterate()

    def stop(self) -> None:
        """Stop between two steps, with a checkpoint, as the command ``stop`` does. May be called from any thread.

        Called before training, it stops the run after its start, before the first step.
        """
        self._commands.put(Command("trainer.stop", "stop"))

    @property
    def plan(self) -> Plan:
        """How many steps, and how often to log and validate, as planned at the start."""
        return self._existing(self._plan, "plan")

    @property
    def schedule(self) -> LearningRate:
        """The learning rate of every step, with all changes so far."""
        return self._existing(self._schedule, "schedule")

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
        progress = self.progress
        info = self._model_info(progress.loss, progress.best_step, whole=progress.whole_val is not None)
        config = self._train_step.network.config
        return Model(config, self._text.vocabulary, self._best, self._text.corpus.options, info, self._passages)

    @property
    def read_before(self) -> dict[str, Any]:
        """How much of the held-out part the model had read before it was validated on it (``read_share``, 0 to 1;
        ``None`` where that is not known), and through which model (``read_by``)."""
        return {name: self._info.get(name) for name in READ_BEFORE}

    def state(self) -> TrainingState:
        """All that :meth:`resume` needs to continue exactly from here.

        Between a step and the end of its validation there is no such state: training goes on to that end first, and its
        events come with the next ones. Raises :class:`RunError` before the first event, during a step, after an
        exception (such as a second interrupt) has ended training within a step, and when the loss is no longer a
        number.
        """
        self._existing(self._train_step_or_none, "state")
        self._stream.advance_until(lambda: self._between_steps)
        if self.progress.ended == "diverged":
            raise RunError(Diverged.no_state)
        try:
            return self._state()
        except _NotFinite as error:  # the loop finds the same when it goes on, and ends
            raise RunError(Diverged.no_state) from error

    def _state(self) -> TrainingState:
        self._read_queued_step()
        tensors = self._train_step.tensors()
        tensors |= {f"best.{name}": array for name, array in (self._best or {}).items()}
        if self._passages is not None:
            tensors[PASSAGES] = self._passages
        record = {
            "asked": self._requested_settings.to_dict(),
            "settings": self.settings.to_dict(),
            "plan": self.plan.to_dict(),
            "schedule": self.schedule.to_dict(),
            "progress": self.progress.to_dict(),
            "environment": resume.environment(self.plan, self._ranks),
            "vocabulary": self._text.vocabulary.to_dict(),
            "fingerprint": self._text.corpus.fingerprint,
            "lineage": self._info.get("lineage"),
            **self.read_before,
        }
        return TrainingState(self.progress.step, record, tensors)

    @property
    def _train_step(self) -> TrainStep:
        return self._existing(self._train_step_or_none, "network")

    @staticmethod
    def _existing(value: _T | None, name: str) -> _T:
        if value is None:
            raise RunError(f"This trainer has no {name} yet: training builds it before its first event")
        return value

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _train_loop(self) -> Iterator[AnyEvent | None]:
        yield from self._start() if self._continuation is None else self._load_state(self._continuation)
        try:
            yield from self._take_steps()
            self._read_queued_step()
        except _NotFinite as error:
            yield self._diverged(error.outcome)
        self._between_steps = True
        yield from self._yield_if_requested()
        yield from self._end()

    def _take_steps(self) -> Iterator[AnyEvent | None]:
        """Train until the run ends. Raises :class:`_NotFinite` when it diverges."""
        while not self._is_finished():
            self._between_steps = True
            yield from self._handle_commands()
            yield from self._yield_if_requested()
            if self._checkpoint_due():
                self._checkpoint()
            yield from self._collect_writes()
            if self._is_finished():
                break

            self._between_steps = False
            rate = self.schedule.rate(self.progress.step)
            before, processor_before = self._clock.count_work(), time.process_time()
            outcome = self._train_step.step(self.progress.step, rate)  # forward, backward, clip, update, average
            if not outcome.finite:
                raise _NotFinite(outcome)
            seconds, processor_seconds = self._clock.count_work() - before, time.process_time() - processor_before
            self.progress.count_step(outcome.nats, outcome.count, outcome.grad_norm, seconds)
            self._fastest_step = min(self._fastest_step, seconds)
            if (faster := self._faster_kernel()) is not None:
                yield from self._restart(faster)
                continue

            if self._due(self.plan.log_every):
                yield self._step_event(rate)
            if self._due(self.plan.val_every) or self._snapshot_due():
                yield from self._validate_and_sample(validate=self._due(self.plan.val_every))
            yield from self._check_time_limit()
            yield from self._choose_threads(seconds, processor_seconds)

    def _read_queued_step(self) -> None:
        """Wait for the last step where it is only queued, on a graphics card, and count its loss. Needed before what
        depends on it: an event, a validation, a checkpoint. Raises :class:`_NotFinite`."""
        before = self._clock.count_work()
        outcome = self._train_step.finish()
        if outcome is None:
            return
        if not outcome.finite:
            raise _NotFinite(outcome)
        seconds = self._clock.count_work() - before
        self.progress.count_queued_step(outcome.nats, outcome.count, outcome.grad_norm, seconds)

    def _yield_if_requested(self) -> Iterator[None]:
        """End the present iterator here, between two steps, if an interrupt waits for that."""
        if self._stream.yield_requested:
            yield None

    def _is_finished(self) -> bool:
        return self.progress.ended is not None or self.progress.step >= self.schedule.planned_steps

    def _due(self, every: int) -> bool:
        """Whether something that is done every ``every`` steps, and at the end, is due now."""
        return self.progress.step % every == 0 or self.progress.step == self.schedule.planned_steps

    def _snapshot_due(self) -> bool:
        return self.progress.step in self.plan.snapshot_steps

    # ── start ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> Iterator[AnyEvent | None]:
        """Measure and plan, unless there is a stored plan, then start at step 0."""
        settings, plan = self.settings, self._stored_plan
        if plan is not None:
            # No step was taken by this plan yet, so on another machine it is made again.
            plan = resume.with_current_kernel_name(plan) if resume.runs_here(plan) else None
        self._stored_plan, self._kernel_is_final = plan, plan is not None
        device = choose_device(settings.device if plan is None else plan.device)
        memory_warning = self._check_memory(device, *fit_batch(settings, self._text.train_targets))
        yield from self._start_at_step_0(plan or self._measure_and_plan(), memory_warning)

    def _measure_and_plan(self, kernel: str | None = None) -> Plan:
        return measure_and_plan(self.settings, self._text, self._ranks, worked=self._count_start, kernel=kernel)

    def _count_start(self) -> float:
        """Count the seconds so far as part of ``max_minutes``, but no more than :data:`MOST_START_SHARE` of it, and
        return them. On a busy machine measuring can take longer than a short run."""
        worked = self._clock.count_work()
        if self.settings.max_minutes is not None:
            self.progress.work_seconds = worked = min(worked, MOST_START_SHARE * 60 * self.settings.max_minutes)
        return worked

    def _start_at_step_0(self, plan: Plan, memory_warning: str | None = None) -> Iterator[AnyEvent | None]:
        """Save a new plan, build the network, validate it, and save its state."""
        settings, text = self.settings, self._text
        self._plan = plan
        self._schedule = LearningRate(settings.lr, settings.schedule, plan.warmup_steps, plan.planned_steps)
        if plan is not self._stored_plan:
            self._checkpoint_writer.queue_plan(plan)
            yield from self._collect_writes(wait=True)
        self._build_train_step(initial_network(settings, text.vocabulary, self._start_from))
        warnings = tuple(text_warnings(text, self._own_passages, settings, plan, self._start_from, self._start_name))
        if self._kernel_is_final:
            self._start_from = None  # frees its memory
        yield Started(
            step=0,
            planned_steps=plan.planned_steps,
            steps_per_epoch=plan.steps_per_epoch,
            parameters=self._train_step.network.config.parameters,
            train_chars=sum(stop - start for start, stop in text.train),
            val_chars=sum(stop - start for start, stop in text.held_out),
            test_chars=sum(stop - start for start, stop in text.test),
            symbols=len(text.vocabulary),
            device=plan.device,
            kernel=self._train_step.kernel.name,
            kernel_path=self._train_step.kernel.path,
            threads=plan.threads,
            limit=limit_at(settings, plan.steps_per_epoch, plan.planned_steps),
            max_minutes=settings.max_minutes,
            **self.read_before,
        )
        yield from self._machine_warnings(memory_warning)
        for message in warnings:
            yield self._warning(message)
        yield from self._validate_and_sample(validate=True)
        self._clock.start_pace()
        self._checkpoint()

    def _load_state(self, continuation: ResumePlan) -> Iterator[AnyEvent | None]:
        """Continue an earlier process's run from its exact state."""
        self._continuation = None  # frees its tensors
        settings, plan = self.settings, self.plan
        memory_warning = self._check_memory(torch.device(plan.device), plan.batch_size, plan.seq_length)
        shape = len(self._text.vocabulary), settings.hidden_size, settings.num_layers
        self._build_train_step(CharLSTM(*shape, init="none"))
        tensors = {name: array for name, array in continuation.state.tensors.items() if name != PASSAGES}
        self._train_step.load(tensors)
        best = {name.removeprefix("best."): array for name, array in tensors.items() if name.startswith("best.")}
        self._best = best or None
        self._clock.start_pace()
        if self._best is not None:  # the model's file may be missing, or from steps after the state
            self._checkpoint_writer.queue_model(self.best)
        self._between_steps = True
        yield continuation.event
        yield from self._machine_warnings(memory_warning)
        if continuation.event.changes:
            # Saved at once, so that a later resume takes the changed settings as the run's own.
            self._checkpoint()
            yield from self._collect_writes(wait=True)

    def _build_train_step(self, network: CharLSTM) -> None:
        plan = self.plan
        torch.set_num_threads(plan.threads)
        self._fastest_step = math.inf
        self._start_thread_search()
        batches = Batches(self._text.ids, self._text.train, plan.batch_size, plan.seq_length)
        network.to(plan.device).train()
        self._train_step_or_none = TrainStep(network, batches, self.settings, plan.kernel, self._ranks)

    def _check_memory(self, device: torch.device, batch_size: int, seq_length: int) -> str | None:
        """See ``estimate.check_memory``. Each rank needs memory for its own rows."""
        rows = self._ranks.rows(batch_size)
        chars = (rows.stop - rows.start) * seq_length
        on_card = device.type == "cuda"
        return estimate.check_memory(self.settings, len(self._text.vocabulary), chars, on_card=on_card)

    def _machine_warnings(self, memory_warning: str | None) -> Iterator[AnyEvent]:
        """Warn when too little memory is free or the fast kernel cannot be used here."""
        for message in (memory_warning, fast_path_problem(self.settings, torch.device(self.plan.device))):
            if message is not None:
                yield self._warning(message)

    # ── the number of threads ─────────────────────────────────────────────────────────────────────────────────────────

    def _start_thread_search(self) -> None:
        counts = threads_to_try(self.settings, torch.device(self.plan.device), self._ranks)
        self._thread_search = ThreadSearch(counts, self.plan.threads)

    def _choose_threads(self, seconds: float, processor_seconds: float) -> Iterator[AnyEvent]:
        """Take the next steps with another number of threads, if the search for the fastest one wants that after a step
        that took ``seconds`` and ``processor_seconds``.

        The last digits of a step depend on it. So it is logged before it acts, a resume repeats it, and up to the last
        step that was logged by an earlier process there is no search.
        """
        if self._is_finished() or self.progress.step < self._threads_are_logged_until:
            return
        self._thread_search.add(seconds, processor_seconds)
        count = self._thread_search.count
        if count != self.plan.threads:
            step = self.progress.step
            event = Controlled(step=step, id=f"threads-{step}", command="threads", value=float(count))
            yield event
            self._use_threads(event)

    def _use_threads(self, event: Controlled) -> None:
        """Take the next steps with the number of threads of a logged ``event``."""
        self._plan = replace(self.plan, threads=max(1, int(event.value or 1)))
        torch.set_num_threads(self.plan.threads)

    # ── restart with a faster kernel ──────────────────────────────────────────────────────────────────────────────

    def _faster_kernel(self) -> FasterKernel | None:
        """Check the choice of the kernel, once, after the first seconds of training: it was made within a second or
        two, when the machine may have been busy.

        The check comes before anything of a later step is saved. Afterwards the kernel stays the same, so that a resume
        is exact.
        """
        progress, plan = self.progress, self.plan
        saves_now = self._due(plan.val_every) or self._snapshot_due()
        if self._kernel_is_final or not (saves_now or progress.train_seconds >= CHECK_KERNEL_SECONDS):
            return None
        faster = None
        seconds_left = (self.schedule.planned_steps - progress.step) * progress.train_seconds / progress.step
        if not self.schedule.amendments and seconds_left >= WORTH_CHECKING:
            faster = find_faster_kernel(
                self.settings, len(self._text.vocabulary), plan, self._fastest_step, self._ranks
            )
        if faster is None:
            self._keep_kernel()
        return faster

    def _keep_kernel(self) -> None:
        self._kernel_is_final = True
        self._start_from = None  # only a restart needs it

    def _restart(self, faster: FasterKernel) -> Iterator[AnyEvent | None]:
        """Train again from step 0 with a faster kernel and a plan for it, as if it had been chosen at the start."""
        steps, old_kernel = self.progress.step, self.plan.kernel
        plan = self._measure_and_plan(faster.name)
        self._kernel_is_final = True
        self.progress = Progress(work_seconds=self._clock.count_work())
        self._clock.count_into(self.progress)
        self._best = None
        yield from self._start_at_step_0(plan)
        yield self._warning(
            f"Training restarted after {steps:,} steps with the kernel {faster.name}: it is {faster.factor:.1f} times "
            f"as fast here as {old_kernel}, which was chosen when the machine was busy"
        )

    # ── after a step ──────────────────────────────────────────────────────────────────────────────────────────────

    def _step_event(self, rate: float) -> Stepped:
        """The mean loss and speed since the last such event."""
        self._read_queued_step()
        progress = self.progress
        event = Stepped(
            step=progress.step,
            epoch=progress.step / self.plan.steps_per_epoch,
            train_loss=progress.nats / max(progress.count, 1),
            lr=rate,
            grad_norm=progress.grad_norm,
            chars_per_second=progress.count / max(progress.seconds, 1e-9),
            train_seconds=progress.train_seconds,
            work_seconds=self._clock.count_work(),
        )
        progress.start_interval()
        return event

    def _diverged(self, outcome: StepOutcome) -> Warned:
        self.progress.ended = "diverged"
        self.progress.step = outcome.step  # on a card, the step after it was queued too
        return self._warning(Diverged.warning(outcome.step, outcome.rate, self.progress.best_step))

    def _validate_and_sample(self, *, validate: bool) -> Iterator[AnyEvent]:
        """Validate if due and keep the best model, write a sample, save a snapshot if due."""
        self._read_queued_step()  # else weights of a run that has diverged would be validated and saved
        progress, text = self.progress, self._text
        loss: float | None = None
        model: Model | None = None  # one copy of the weights, for the best model, the sample and the snapshot
        if validate:
            improved = True  # without held-out text the latest model is the one to keep
            if text.held_out:
                before = time.perf_counter()
                figure = evaluate(self.network, text.ids, text.held_out, self.plan.val_chars)
                self._validation_pace = (time.perf_counter() - before) / max(figure.chars, 1)
                loss = figure.loss
                improved = math.isfinite(loss) and (progress.best_val is None or loss < progress.best_val)
                yield Validated(
                    step=progress.step,
                    val_loss=loss,
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
        be and make it the planned end, so that the learning rate has fallen to its last value by then.
        """
        progress = self.progress
        if self._is_finished():
            return
        if self._time_limit.is_over():
            progress.ended = "time"
            if not self._due(self.plan.val_every):  # else what was learnt since the last validation would be lost
                yield from self._validate_and_sample(validate=True)
        elif (
            left := self._time_limit.new_steps_left(
                self.plan, self.schedule, progress, self._final_validation_seconds()
            )
        ) is not None:
            # Not a person's command, but logged as one, since it moves the end. A resume does not repeat it: there the
            # clock decides again.
            yield Controlled(step=progress.step, id="clock", command="replan", value=float(left))
            self._schedule = self.schedule.amended(Amendment(progress.step, "replan", left))
            spread = spread_validations(self.plan, self.settings, left)
            if spread.val_every >= MUCH_RARER * self.plan.val_every:
                self._plan = spread
                self._checkpoint()  # the clock of a resume would choose other steps to validate at

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _handle_commands(self) -> Iterator[AnyEvent | None]:
        for logged in self._commands.take_replay(self.progress.step):
            self._between_steps = False
            yield replace(logged, step=self.progress.step, time=time.time())
            if logged.command == "threads":
                self._use_threads(logged)
                self._start_thread_search()
            else:
                self._amend_schedule(logged)
            self._between_steps = True
        self._commands.poll()
        while self.progress.ended is None and (command := self._commands.next()) is not None:
            yield from self._handle_command(command)

    def _handle_command(self, command: Command) -> Iterator[AnyEvent | None]:
        """The event comes first, so that it is in the log before the command has an effect."""
        event = self._control_event(command, command.value)
        if command.command == "finish":
            event = self._control_event(command, min(self._finish_steps(), self._steps_left))
        elif command.command == "more":
            steps = max(1, round(60 * (command.value or 0.0) / self._step_seconds))
            event = replace(self._control_event(command, self._steps_left + steps), minutes=command.value)
        self._between_steps = False
        yield event
        self._between_steps = True
        match command.command:
            case "stop":
                self.progress.ended = "stopped"
            case "checkpoint":
                self._checkpoint()
            case "set-lr" | "finish" | "more":
                self._amend_schedule(event)
            case "pause":
                yield from self._pause()

    def _control_event(self, command: Command, value: float | None = None) -> Controlled:
        value = None if value is None else float(value)
        return Controlled(step=self.progress.step, id=command.id, command=command.command, value=value)

    def _amend_schedule(self, event: Controlled) -> None:
        if event.value is None or self.schedule.has_command(event.id):
            return
        if event.command == "more":
            self._lengthen(int(event.value), event.minutes or 0.0)
        kind = _AMENDMENTS[event.command]
        change = Amendment(self.progress.step, kind, event.value, event.id, ends_climb=kind == "set-lr")
        self._schedule = self.schedule.amended(change)
        if kind != "set-lr":
            # A resume repeats the command at its step, and the clock may end a run with max_minutes before that.
            self._checkpoint()

    def _lengthen(self, steps_left: int, minutes: float) -> None:
        """Raise the limits of the run, so that it ends ``minutes`` later, after ``steps_left`` more steps."""
        settings, plan = self.settings, self.plan
        limit = limit_at(settings, plan.steps_per_epoch, self.schedule.planned_steps)
        by_time = limit == "max_minutes" and not self.schedule.finishing and settings.max_minutes is not None
        end = self.progress.step + steps_left
        self.settings = with_added_minutes(settings, minutes, end, by_time=by_time)
        self._plan = spread_validations(plan, self.settings, steps_left)
        self._time_limit = TimeLimit(self.settings, self._clock)

    @property
    def _steps_left(self) -> int:
        return self.schedule.planned_steps - self.progress.step

    @property
    def _step_seconds(self) -> float:
        """Seconds per step at the present pace, validations included."""
        return self._clock.pace() or self.plan.seconds_per_step

    def _finish_steps(self) -> int:
        return max(1, round(FINISH_SECONDS / self._step_seconds))

    def _pause(self) -> Iterator[AnyEvent | None]:
        """Save the state, then handle commands until ``resume``, ``finish`` or ``stop``."""
        yield Paused(step=self.progress.step)
        self._checkpoint()
        self._clock.count_work()
        while self.progress.ended is None:
            for event in self._collect_writes():
                yield event
                if isinstance(event, Resumed):  # the disk can be written again, and the pause continues
                    yield Paused(step=self.progress.step)
            yield from self._yield_if_requested()
            self._commands.poll()
            command = self._commands.next()
            if command is None:
                self._wait(PAUSE_SECONDS)
                continue
            if command.command == "pause":
                yield self._control_event(command)
            else:
                yield from self._handle_command(command)
            if command.command in ("resume", "finish"):
                break
        if self.progress.ended is None:
            yield self._resumed()

    def _resumed(self) -> Resumed:
        """Training goes on after a pause."""
        planned, minutes = self.schedule.planned_steps, self.settings.max_minutes
        return Resumed(step=self.progress.step, planned_steps=planned, max_minutes=minutes)

    def _wait(self, seconds: float) -> None:
        """Sleep. The time does not count as work."""
        self._ranks.keep_alive()
        self._hooks.sleep(seconds)
        self._clock.skip()

    # ── checkpoints ───────────────────────────────────────────────────────────────────────────────────────────────

    def _checkpoint_due(self) -> bool:
        every, minutes = self.settings.checkpoint_steps, self.settings.checkpoint_minutes
        if every is not None and self.progress.step % every == 0 and self.progress.step:
            return True
        return minutes is not None and time.perf_counter() - self._last_checkpoint >= 60 * minutes

    def _checkpoint(self) -> None:
        """Copy the state, to be written in the background."""
        if not self._checkpoint_writer.has_store:
            return
        self._clock.count_work()
        before = time.perf_counter()
        if self.progress.step:
            self._keep_kernel()
        state = self._state()
        self._last_checkpoint = time.perf_counter()
        self._checkpoint_writer.queue_state(state, self._last_checkpoint - before)

    def _collect_writes(self, *, wait: bool = False) -> Iterator[AnyEvent | None]:
        """Yield the events of finished writes, and start the next one. With ``wait``, finish all queued writes first.

        While the disk is full, wait and try again.
        """
        for attempt in itertools.count():
            try:
                yield from self._checkpoint_writer.collect(wait=wait or attempt > 0 or self._checkpoint_writer.full)
            except OSError as error:
                if not storage.is_disk_trouble(error):
                    raise
                if not attempt:
                    yield Paused(step=self.progress.step, reason=f"nothing can be written: {error.strerror or error}")
                self._commands.poll()
                if self._commands.find("stop") is not None:
                    raise
                self._wait(DISK_RETRY_SECONDS)
                yield from self._yield_if_requested()
            else:
                if attempt:
                    yield self._resumed()
                return

    def _keep_as_best(self, val_loss: float | None) -> Model:
        """Take the network as it is now as the best model so far."""
        self.progress.best_val, self.progress.best_step = val_loss, self.progress.step
        model = self._copy_model(val_loss)
        self._best = model.weights
        self._checkpoint_writer.queue_model(model)
        return model

    def _copy_model(self, val_loss: float | None) -> Model:
        """The network as it is now, as a model with copies of the weights."""
        info = self._model_info(val_loss, self.progress.step, whole=False)
        model = self.network.to_model(self._text.vocabulary, self._text.corpus.options, info)
        return replace(model, passages=self._passages)

    def _model_info(self, val_loss: float | None, step: int, *, whole: bool) -> dict[str, Any]:
        """The ``info`` of the model of ``step``. ``whole``: its loss is over all held-out text, not an estimate."""
        return {
            **self._info,
            "step": step,
            "val_loss": val_loss if val_loss is None or math.isfinite(val_loss) else None,
            "val_whole": None if val_loss is None else whole,
            "corpus": self._info.get("corpus", self._text.corpus.name),
            "fingerprint": self._text.corpus.fingerprint,
            "settings": self.settings.to_dict(),
        }

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _end(self) -> Iterator[AnyEvent | None]:
        """Validate the best model on all held-out text, and save the last state.

        There is no such validation for a run that was stopped.
        """
        progress = self.progress
        progress.ended = reason = progress.ended or "done"
        diverged = reason == "diverged"  # nothing is saved then, so that a resume starts from the last good state
        if reason != "stopped" and progress.whole_val is None and progress.best_val is not None:
            if self._hooks.validation_progress is not None:
                self._hooks.validation_progress(
                    0.0
                )  # to write the state and the first report take long on a busy machine
            if not diverged:
                self._checkpoint()  # the final validation may take long
                yield from self._collect_writes(wait=True)
            stopped = yield from self._final_validation()
            if stopped and not diverged:
                reason = "stopped"
        if reason == "stopped" and not self._text.held_out and progress.best_step != progress.step:
            self._keep_as_best(None)  # without held-out text the latest model is the one to keep
        if not diverged:
            self._checkpoint()
        yield from self._collect_writes(wait=True)
        self._finished = Finished(
            step=progress.step,
            reason=reason,
            best_val=progress.loss,
            best_step=progress.best_step,
            train_seconds=progress.train_seconds,
            best_whole=progress.whole_val is not None,
            work_seconds=self._clock.count_work(),
            limit=self._limit(reason),
            **self.read_before,
        )
        yield self._finished

    def _limit(self, reason: str) -> str:
        """The setting that ended the run for ``reason``; empty when none did."""
        if reason == "done" and not self.schedule.finishing and not self.schedule.end_moved_by_command:
            return limit_at(self.settings, self.plan.steps_per_epoch, self.progress.step)
        return {"time": "max_minutes", "patience": "patience"}.get(reason, "")

    def _final_validation_seconds(self) -> float:
        """Seconds that calibration and the final validation would take, at the pace of the last validation or else that
        of the steps."""
        plan, chars = self.plan, final_chars(self.settings, self._text.held_out_targets)
        if self._validation_pace is not None:
            return chars * self._validation_pace
        return chars * self._step_seconds / (VALIDATION_SPEED * plan.batch_size * plan.seq_length)

    def _final_validation(self) -> Generator[AnyEvent | None, None, bool]:
        """Calibrate the best model and validate it on all held-out text, or on as much of it as may be read in time.
        Returns whether a stop ended this early; a resume then does it again, as does another iterator after an
        interrupt."""
        seconds, worked = self._final_validation_seconds(), self._clock.count_work()
        allowed, planned = final_seconds(self.settings, worked), planned_final(self.settings, seconds, worked)
        held_out, limit = self._text.held_out_targets, None
        part = min(1.0, planned / seconds) if seconds > allowed else 1.0
        if self.plan.val_chars >= held_out:  # every validation has read all of it
            part, allowed = 1.0, math.inf
        if part < 1.0:
            limit = int(held_out * part)
        best = self.best
        figure: Evaluation | None = None
        while figure is None and (limit is None or limit > self.plan.val_chars):
            self._final_start, self._final_allowed = time.perf_counter(), allowed
            try:
                best, figure = self._calibrate_and_evaluate(limit, int(CALIBRATION_CHARS * part))
            except _ValidationTooSlow:
                break
            except _InterruptRequested:
                yield None
            except _StopRequested as stop:
                self._commands.remove(stop.command)
                yield self._control_event(stop.command)
                return True
        if figure is None or limit is not None:
            read = self.plan.val_chars if figure is None else figure.chars
            yield self._warning(
                f"The loss is an estimate from {read:,} of {held_out:,} held-out characters: all of them would take "
                f"about {max(seconds, allowed):,.0f} s"
            )
        if figure is None:
            return False
        self._best = best.weights
        if limit is not None:
            self.progress.final_val = figure.loss
        else:
            self.progress.whole_val = figure.loss
            yield Validated(
                step=self.progress.step,
                val_loss=figure.loss,
                chars=figure.chars,
                best=False,
                whole=True,
                train_seconds=self.progress.train_seconds,
            )
        self._checkpoint_writer.queue_model(self.best)
        return False

    def _calibrate_and_evaluate(self, limit: int | None, calibration_chars: int) -> tuple[Model, Evaluation]:
        """The best model, its logits scaled with ``calibrate``, and its loss on ``limit`` held-out characters or all of
        them."""
        best, text, device = self.best, self._text, self.plan.device
        reads = text.held_out_targets if limit is None else limit
        first = min(calibration_chars, text.held_out_targets) if self.settings.calibrate else 0
        network = CharLSTM.from_model(best).to(device)
        if first:
            factor = best_logit_factor(
                network,
                text.ids,
                text.held_out,
                first,
                progress=lambda done: self._report_validation(min(done, first), first + reads),
            )
            best = _with_logits_scaled(best, factor)
            network = CharLSTM.from_model(best).to(device)
        figure = evaluate(
            network,
            text.ids,
            text.held_out,
            limit,
            progress=lambda done, total: self._report_validation(first + done, first + total),
        )
        return best, figure

    def _report_validation(self, done: int, total: int) -> None:
        """Report how far the final validation is: by its characters or, where it is too slow, by the time it may
        take."""
        seconds = time.perf_counter() - self._final_start
        if self._hooks.validation_progress is not None:
            self._hooks.validation_progress(min(1.0, max(done / max(total, 1), seconds / self._final_allowed)))
        self._commands.poll()
        if (command := self._commands.find("stop")) is not None:
            raise _StopRequested(command)
        if seconds > self._final_allowed and done < total:
            raise _ValidationTooSlow
        if self._stream.yield_requested:
            raise _InterruptRequested

    def _warning(self, message: str) -> Warned:
        return Warned(step=self.progress.step, message=message)


def _with_logits_scaled(model: Model, factor: float) -> Model:
    """``model`` with its logits multiplied by ``factor``."""
    scaled = {name: factor * model.weights[name] for name in ("fc.weight", "fc.bias")}
    return replace(model, weights={**model.weights, **scaled})


def _name_of_start(info: Mapping[str, Any], start_from: Model | None) -> str:
    """What the model that training starts from is called; empty without one."""
    lineage = info.get("lineage")
    named = lineage.get("run") if isinstance(lineage, Mapping) else None
    return "" if start_from is None else str(named or start_from.info.get("run") or "a model")


def _check_run(corpus: Corpus, settings: Settings, logged: LoggedRun) -> None:
    arguments.instance("corpus", corpus, Corpus, "a Corpus, such as charlstm.open_corpus gives", error=TextError)
    arguments.instance("settings", settings, Settings, "Settings, such as charlstm.preset gives", error=SettingsError)
    arguments.instance("logged", logged, LoggedRun, "a LoggedRun", error=RunError)
