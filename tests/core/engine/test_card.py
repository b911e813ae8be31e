"""Training on a graphics card: that no step waits for it, without one, and with one that its results are right.

Without a card there are two stand-ins. Tensors on the device *meta* have no values, so that reading one raises, as does
mixing them with others: they show what a step does with a card. And a processor whose work counts as queued shows
what becomes of a run whose losses are read a step late.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from charlstm.engine import benchmark, devices, evaluation, train_step
from charlstm.engine.distributed import ProcessGroup
from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.engine.trainer import Trainer
from charlstm.errors import RunError
from charlstm.text.batches import Batches
from charlstm.text.corpus import Corpus
from charlstm.training.commands import Command
from charlstm.training.events import Event, Finished, Stepped, Warned
from charlstm.training.hooks import Hooks
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from charlstm.training.torchrun import TorchrunRank
from small_training import MemoryStore, ScriptedCommands, log_of

pytestmark = pytest.mark.numeric

META, CPU = torch.device("meta"), torch.device("cpu")
COPIES = {"aten::_to_copy", "aten::copy_"}
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::is_nonzero", "aten::equal"}
"""Operators that read numbers from the device, or a size that depends on them."""

EVERYTHING = Settings(
    hidden_size=8,
    num_layers=2,
    dropout=0.2,
    weight_drop=0.1,
    state_reset=0.3,
    ema_decay=0.9,
    clip=1.0,
    optimizer="adamw",
    weight_decay=0.1,
    max_steps=4,
)


class OnlyQueued(TorchDispatchMode):
    """Lets operators run that only queue work on a card, for which meta stands, and refuses all others.

    ``copied`` counts the copies from the processor to the card.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copied = 0
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = operator._schema.name
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        on_card = [tensor for tensor in tensors if tensor.device.type == "meta"]
        # A number, as torch makes it of 2.0 in `tensor * 2.0`, goes to the card with the call.
        here = [tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.dim()]
        self.seen[name] += bool(on_card)
        result = operator(*args, **kwargs)
        copied = name in COPIES and isinstance(result, Tensor) and result.device.type == "meta" and bool(here)
        if copied:
            assert kwargs.get("non_blocking") or args[2:] == (True,), f"{name} waits for the card"
            self.copied += 1
        assert copied or not (on_card and here), f"{name} gets tensors of the card and of the processor"
        assert not (on_card and name in WAITING), f"{name} waits for the card"
        if name.startswith("aten::index"):  # a mask as an index: how many elements it has is only known on the card
            assert not any(tensor.dtype == torch.bool for tensor in on_card), f"{name} waits for the card"
        return result


class NeverRead:
    """In the place of :class:`charlstm.engine.devices.LateNumbers`: copies numbers of meta, which do not exist."""

    taken: list[tuple[int, ...]]

    def __init__(self, numbers: Tensor) -> None:
        assert numbers.device.type == "meta"
        self.taken.append(tuple(numbers.shape))

    def read(self) -> list[float]:
        return [1.0, 1.0]


@pytest.fixture
def meta_card(monkeypatch: pytest.MonkeyPatch) -> type[NeverRead]:
    """Makes meta a card: torch's fused optimisers, which check the device, run on it, and losses are read as 1.0."""
    monkeypatch.setattr(
        sys.modules[torch.optim.Optimizer.__module__], "_get_fused_kernels_supported_devices", lambda: ["meta", "cpu"]
    )
    monkeypatch.setattr(NeverRead, "taken", [], raising=False)
    monkeypatch.setattr(train_step, "LateNumbers", NeverRead)
    return NeverRead


def make_batches() -> Batches:
    """Three or four steps are an epoch: computing the shapes of a step on meta takes 0.1 s."""
    return Batches(np.arange(160) % 5, [(0, 60), (60, 160)], 4, 10)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam", "clip": None, "ema_decay": None},
        {"dropout": 0.0, "weight_drop": 0.0, "state_reset": 0.0},
        {"shared_masks": False, "num_layers": 1},
    ],
    ids=["everything", "adam", "plain", "a mask for each character"],
)
def test_training_step_on_a_card_waits_for_nothing(meta_card: type[NeverRead], changes: dict[str, Any]) -> None:
    settings = EVERYTHING.with_changes(**changes)
    network = CharLSTM(5, 8, settings.num_layers).to(META)
    step = TrainStep(network, make_batches(), settings, "nn")
    with OnlyQueued() as queued:
        outcomes = [step.step(number, 1e-3) for number in range(8)]
    assert [outcome.step for outcome in outcomes] == [0, *range(7)]
    assert [outcome.count for outcome in outcomes][:3] == [0, 40, 40]
    assert meta_card.taken == [(2,)] * 8
    # The inputs and targets of each step, and in some steps the rows that start afresh: no masks.
    assert 16 < queued.copied <= 24
    wanted = {"aten::lstm", "aten::_thnn_fused_lstm_cell", "aten::mm", "aten::addmm"}
    assert wanted & queued.seen.keys()
    assert {"aten::_fused_adamw_", "aten::_fused_adam_"} & queued.seen.keys()


def test_training_step_with_a_loaded_state_waits_for_nothing(meta_card: type[NeverRead]) -> None:
    here = TrainStep(CharLSTM(5, 8, 2), make_batches(), EVERYTHING, "nn")
    here.step(0, 1e-3)
    step = TrainStep(CharLSTM(5, 8, 2).to(META), make_batches(), EVERYTHING, "nn")
    step.load(here.tensors())
    with OnlyQueued():
        for number in range(1, 5):
            step.step(number, 1e-3)


def test_masks_for_a_card_are_drawn_on_it(meta_card: type[NeverRead], monkeypatch: pytest.MonkeyPatch) -> None:
    """From a seed that belongs to the step, as all random numbers."""
    step = TrainStep(CharLSTM(5, 8, 2).to(META), make_batches(), EVERYTHING, "nn")
    seeds: list[int] = []
    drawn: list[torch.device] = []
    kernel = step.kernel.step

    def watched(inputs: Tensor, targets: Tensor, state: Any, masks: Any) -> Any:
        seeds.append(step._mask_generator.initial_seed())
        drawn.extend(mask.device for mask in (*masks.layers, *masks.recurrent))
        assert inputs.device == targets.device == CPU
        return kernel(inputs, targets, state, masks)

    monkeypatch.setattr(step.kernel, "step", watched)
    for number in (0, 1, 0):
        step.step(number, 1e-3)
    assert drawn == [META] * 12
    assert seeds[0] == seeds[2] != seeds[1]
    assert step._mask_generator is not step._generator


def test_validation_on_a_card_waits_for_nothing_before_its_end(
    meta_card: type[NeverRead], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "PRIMING", 40)  # rows of 175 characters instead of 868
    network = CharLSTM(5, 8, 2).to(META)
    rows = evaluation.plan_rows([(0, 1000)], 400)
    assert len(rows) == evaluation.FEWEST_ROWS
    with torch.inference_mode(), OnlyQueued():
        nats = evaluation._read(network, np.arange(1000) % 5, rows, lambda count: None)
    assert (nats.device, nats.dtype) == (META, torch.float64)


def test_only_queued_refuses_what_waits_for_a_card() -> None:
    card, mask = torch.zeros(3, device=META), torch.ones(3, device=META, dtype=torch.bool)
    attempts = [
        lambda: card.sum().item(),
        lambda: bool(card.sum() > 0),
        lambda: card.cpu(),
        lambda: torch.zeros(3).to(META),
        lambda: card + torch.zeros(3),
        lambda: card[mask],
        lambda: card.nonzero(),
    ]
    for attempt in attempts:
        with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), OnlyQueued():
            attempt()
    with OnlyQueued() as queued:
        assert (torch.zeros(3).to(META, non_blocking=True) * 2.0 + card).device == META
    assert queued.copied == 1


# ── a processor whose work counts as queued ──────────────────────────────────────────────────────────────────────────


class CopiedHere:
    """In the place of :class:`charlstm.engine.devices.LateNumbers`, without a card."""

    def __init__(self, numbers: Tensor) -> None:
        self._numbers = numbers.clone()

    def read(self) -> list[float]:
        return self._numbers.tolist()


@pytest.fixture
def queueing(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patch:
        patch.setattr(devices, "queues_work", lambda device: True)
        patch.setattr(train_step, "LateNumbers", CopiedHere)
        yield patch


@pytest.fixture(scope="module")
def same_masks(settings: Settings) -> Settings:
    """A card draws its masks by another generator than the rows that start afresh: here neither shifts the other."""
    return settings.with_changes(state_reset=0.0)


class CommandsBetweenSteps(ScriptedCommands):
    """Returns commands once the trainer has taken so many steps, also where no event tells that."""

    trainer: Trainer

    def __call__(self) -> list[Command]:
        self.step = self.trainer.progress.step
        return super().__call__()


def run(trainer: Trainer, commands: CommandsBetweenSteps | None = None) -> list[Event]:
    if commands is not None:
        commands.trainer = trainer
    return list(trainer.events())


def assert_same_state(ours: TrainingState, theirs: TrainingState) -> None:
    assert ours.step == theirs.step
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name, tensor in ours.tensors.items():
        assert np.array_equal(tensor, theirs.tensors[name]), name
    for name in ("nats", "count", "grad_norm", "best_val", "best_step", "stale"):
        assert ours.record["progress"][name] == theirs.record["progress"][name], name


AT = {9: [("checkpoint", None)], 22: [("pause", None), ("resume", None)], 30: [("stop", None)]}
"""Checkpoints after steps that neither log nor validate, so that their losses still wait on the card."""


def test_run_on_a_card_has_the_events_and_states_of_one_on_a_processor(
    corpus: Corpus, same_masks: Settings, plan: Plan, queueing: pytest.MonkeyPatch
) -> None:
    def parts() -> tuple[list[str], list[TrainingState]]:
        store, commands = MemoryStore(), CommandsBetweenSteps(AT)
        first = run(Trainer(corpus, same_masks, store=store, plan=plan, hooks=Hooks(commands=commands)), commands)
        rest = run(Trainer.resume(corpus, same_masks, store.states[-1], store=store))
        return log_of([*first, *rest]), store.states

    log, states = parts()
    queueing.undo()
    expected_log, expected_states = parts()
    assert log == expected_log
    assert [state.step for state in states][:4] == [0, 9, 22, 30]
    for state, expected in zip(states, expected_states, strict=True):
        assert_same_state(state, expected)


def test_state_between_two_steps_on_a_card_has_the_loss_of_the_last_one(
    corpus: Corpus, same_masks: Settings, plan: Plan, queueing: pytest.MonkeyPatch
) -> None:
    def state() -> TrainingState:
        trainer = Trainer(corpus, same_masks, plan=plan)
        next(trainer.events())
        trainer._stream.advance_until(lambda: trainer._between_steps and trainer.progress.step >= 13)
        return trainer.state()

    ours = state()
    queueing.undo()
    assert ours.step == 13
    assert_same_state(ours, state())


@pytest.mark.parametrize("after", [20, 24])
def test_run_that_diverges_on_a_card_ends_as_on_a_processor(
    corpus: Corpus, same_masks: Settings, plan: Plan, queueing: pytest.MonkeyPatch, after: int
) -> None:
    """After step 20 the next is validated, after step 24 the next two neither logged nor validated."""

    def diverge() -> tuple[list[Event], MemoryStore]:
        store = MemoryStore()
        trainer = Trainer(corpus, same_masks.with_changes(ema_decay=None), store=store, plan=plan)
        events = []
        for event in trainer.events():
            events.append(event)
            if isinstance(event, Stepped) and event.step == after:
                next(iter(trainer._train_step.network.parameters())).data.fill_(math.nan)
        return events, store

    events, store = diverge()
    queueing.undo()
    expected, expected_store = diverge()
    assert log_of(events) == log_of(expected)
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.step) == ("diverged", after)
    assert any(isinstance(event, Warned) and f"after step {after}" in event.message for event in events)
    assert store.order == expected_store.order
    for ours, theirs in zip(store.models, expected_store.models, strict=True):
        assert ours[:2] == theirs[:2]
        assert all(np.array_equal(array, theirs[2].weights[name]) for name, array in ours[2].weights.items())


def test_measured_speed_on_a_card_is_that_of_most_steps(settings: Settings, queueing: pytest.MonkeyPatch) -> None:
    """Where one step is read late, the next seems to be fast: the fastest step says nothing there."""
    now = [0.0]
    late = itertools.cycle([0.1, 0.1, 0.19, 0.01, 0.1])
    queueing.setattr(benchmark.time, "perf_counter", lambda: now[0])
    queueing.setattr(benchmark, "SHORT_BUDGET", 1.2)

    def step(learner: TrainStep, number: int, rate: float) -> None:
        now[0] += next(late)

    queueing.setattr(TrainStep, "step", step)
    speed = benchmark.measure(settings.with_changes(kernel="nn"), 5, CPU, 4, 16)
    assert speed.seconds == pytest.approx(0.1)
    queueing.setattr(devices, "queues_work", lambda device: False)
    speed = benchmark.measure(settings.with_changes(kernel="nn"), 5, CPU, 4, 16)
    assert speed.seconds == pytest.approx(0.01)


def test_diverged_step_that_is_still_queued_has_no_state(
    corpus: Corpus, same_masks: Settings, plan: Plan, queueing: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(corpus, same_masks, plan=plan)
    events = trainer.events()
    while next(events).step < 24:
        pass
    next(iter(trainer._train_step.network.parameters())).data.fill_(math.nan)
    trainer._stream.advance_until(lambda: trainer._between_steps and trainer.progress.step == 25)
    for _ in range(2):
        with pytest.raises(RunError, match="no longer a number"):
            trainer.state()
    rest = list(events)
    assert isinstance(rest[-1], Finished)
    assert (rest[-1].reason, rest[-1].step) == ("diverged", 24)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_card_leaves_out_the_update_of_a_step_that_is_not_finite(queueing: pytest.MonkeyPatch, optimizer: str) -> None:
    settings = EVERYTHING.with_changes(optimizer=optimizer, ema_decay=None)
    network = CharLSTM(5, 8, 2)
    step = TrainStep(network, make_batches(), settings, "nn")
    step.step(0, 1e-3)
    outcome = step.finish()
    assert outcome is not None
    assert (outcome.step, outcome.rate, outcome.count, outcome.finite) == (0, 1e-3, 40, True)
    assert step.finish() is None
    before = {name: array for name, array in step.tensors().items() if not name.startswith("state.")}
    step._state[0].fill_(math.nan)
    assert step.step(1, 1e-3).finite  # of no step: nothing was queued
    after = step.tensors()
    assert all(np.array_equal(after[name], array) for name, array in before.items())
    for _ in range(2):
        outcome = step.finish()
        assert outcome is not None
        assert (outcome.step, outcome.finite) == (1, False)
    assert (step.step(2, 1e-3).step, step.step(3, 1e-3).step) == (1, 1)


def test_ranks_add_up_losses_that_are_on_a_card_with_their_gradients() -> None:
    """Without reading them: gloo stands for NCCL here, and a single process for several."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        group = ProcessGroup(TorchrunRank(0, 1, 0, 1))
        found = []
        for nats in (3.0, torch.tensor(3.0)):
            parameters = list(CharLSTM(5, 8, 1, generator=torch.Generator().manual_seed(0)).parameters())
            for parameter in parameters:
                parameter.grad = parameter.detach().clone()
            summed = group.all_reduce_gradients(parameters, nats, 20, 40)
            assert type(summed) is type(nats)
            assert float(summed) == 3.0
            found.append([parameter.grad for parameter in parameters])
    finally:
        dist.destroy_process_group()
    for parameter, ours, theirs in zip(parameters, *found, strict=True):
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours, theirs)
        assert torch.equal(ours, parameter * 0.5)


@pytest.mark.parametrize(("cuda", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_cuda_card_but_not_that_of_a_mac(cuda: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert devices.choose_device("auto").type == chosen
    assert devices.choose_device("mps").type == "mps"


# ── with a card ──────────────────────────────────────────────────────────────────────────────────────────────────────

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.fixture
def float32_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TF32, so that a card rounds as a processor does."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def losses(events: Sequence[Event]) -> dict[int, float]:
    return {event.step: event.train_loss for event in events if isinstance(event, Stepped)}  # type: ignore[misc]


@needs_card
@pytest.mark.usefixtures("float32_products")
def test_cuda_training_has_the_losses_of_the_cpu_for_50_steps(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    """Without masks, which a card draws by another generator. Gradients of one step with masks: test_kernels."""
    plain = settings.with_changes(dropout=0.0, weight_drop=0.0, max_steps=50)
    plan = replace(plan, planned_steps=50, log_every=1)
    here = run(Trainer(corpus, plain, plan=plan))
    there = run(Trainer(corpus, plain, plan=replace(plan, device="cuda")))
    assert losses(there) == pytest.approx(losses(here), rel=2e-3)
    assert isinstance(here[-1], Finished)
    assert isinstance(there[-1], Finished)
    assert there[-1].best_val == pytest.approx(here[-1].best_val, rel=2e-3)


@needs_card
def test_cuda_resume_is_exact(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    """With all random regularisation, from a state whose last loss was still on the card."""
    plan = replace(plan, device="cuda")
    whole_store, store, commands = MemoryStore(), MemoryStore(), CommandsBetweenSteps({30: [("stop", None)]})
    whole = run(Trainer(corpus, settings, store=whole_store, plan=plan))
    first = run(Trainer(corpus, settings, store=store, plan=plan, hooks=Hooks(commands=commands)), commands)
    rest = run(Trainer.resume(corpus, settings, store.states[-1], store=store))
    assert log_of([*first, *rest]) == log_of(whole)
    assert_same_state(store.states[-1], whole_store.states[-1])


@needs_card
@pytest.mark.parametrize("changes", [{}, {"dropout": 0.0, "weight_drop": 0.0, "optimizer": "adam"}], ids=str)
def test_cuda_step_waits_for_nothing(changes: dict[str, Any]) -> None:
    """As torch itself tells: with this switch it raises where an operation waits for the card."""
    network = CharLSTM(5, 8, 2).to("cuda")
    step = TrainStep(network, make_batches(), EVERYTHING.with_changes(**changes), "nn")
    for number in range(3):  # the first steps allocate memory
        step.step(number, 1e-3)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(3, 20):
            step.step(number, 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    outcome = step.finish()
    assert outcome is not None
    assert outcome.finite
