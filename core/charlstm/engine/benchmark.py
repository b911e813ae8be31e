"""The opening of a run: how fast whole training steps are here, on a throwaway network of the same shape, the plan,
and the network before its first step.

Nothing of the measurement reaches a run but the figures: its weights, randomness and text are not touched. Caching
belongs to ``estimate``, what follows from the figures to ``planning``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from charlstm.engine.devices import choose_device, cpu_count
from charlstm.engine.distributed import SINGLE_PROCESS, Ranks
from charlstm.engine.kernels import KernelChoice, candidates, choose_kernel
from charlstm.engine.network import CharLSTM, extend_vocabulary
from charlstm.engine.train_step import TrainStep
from charlstm.text.batches import Batches, TrainingText
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.estimate import batch_shape, check_memory, find_speed, has_card, measured_vocab_size, store_speed
from charlstm.training.plan import MeasuredSpeed, Plan, fit_batch, make_plan
from charlstm.training.settings import Settings

if TYPE_CHECKING:
    from charlstm.model.file import Model


BUDGET = 1.2
"""Seconds for the choice of the kernel, and again for whole steps."""

SHORT_BUDGET = 0.3
"""Seconds for whole steps when the kernel is known: the pace of training will tell the rest soon."""

UNLIKE = 1.5
"""Factor between the measured time of a step and that of training beyond which the measurement is not trusted."""

MUCH_FASTER = 1.25
"""Factor by which another kernel has to be faster to begin a run anew, which costs its first seconds."""


def measure_and_plan(
    settings: Settings,
    material: TrainingText,
    ranks: Ranks = SINGLE_PROCESS,
    *,
    worked: Callable[[], float],
    kernel: str | None = None,
) -> Plan:
    """Measure, and plan a run of ``settings`` on ``material``. The seconds that it then has ``worked``, the measurement
    among them, count for ``max_minutes``. The kernel is chosen by measurement unless it is given.

    Raises :class:`~charlstm.errors.SettingsError` for a device that is not there, when no end is set, or when there
    are more ``ranks`` than rows to share.
    """
    rows, length = fit_batch(settings, material.train_targets)
    device, threads = choose_device(settings.device), settings.threads or ranks.threads(cpu_count())
    torch.set_num_threads(threads)
    return make_plan(
        settings,
        measured=measure(settings, len(material.vocabulary), device, rows, length, ranks, kernel),
        batch_size=rows,
        seq_length=length,
        steps_per_epoch=Batches(material.ids, material.train, rows, length).steps_per_epoch,
        held_out=material.held_out_targets,
        device=str(device),
        threads=threads,
        spent=worked(),
    )


def measured_speed(settings: Settings, chars: int, vocab_size: int) -> MeasuredSpeed:
    """The speed of a training step on a text of ``chars`` characters, ``vocab_size`` of them distinct: as it was
    measured on this machine before, else measured now, which takes some three seconds.

    Raises :class:`~charlstm.errors.SettingsError` for a device that is not there, or for settings that take more memory
    than this machine has. torch's thread count is as before.
    """
    rows, length = batch_shape(settings, chars)
    measured = find_speed(settings, vocab_size, rows, length)
    if measured is not None:
        return measured
    check_memory(settings, vocab_size, rows * length, on_card=has_card(settings.device))
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads or cpu_count())
    try:
        measured = measure(settings, measured_vocab_size(vocab_size), choose_device(settings.device), rows, length)
    finally:
        torch.set_num_threads(before)
    store_speed(settings, vocab_size, rows, length, measured)
    return measured


def initial_network(settings: Settings, vocabulary: Vocabulary, start_from: Model | None) -> CharLSTM:
    """The network before its first step, drawn by the seed, or ``start_from`` with new rows for characters it lacks.
    Torch's global generator is not used."""
    if start_from is not None:
        return CharLSTM.from_model(extend_vocabulary(start_from, vocabulary, settings.seed))
    generator = torch.Generator().manual_seed(settings.seed)
    return CharLSTM(len(vocabulary), settings.hidden_size, settings.num_layers, init=settings.init, generator=generator)


def choose_kernel_here(settings: Settings, vocab_size: int, plan: Plan, ranks: Ranks = SINGLE_PROCESS) -> KernelChoice:
    """Choose the kernel that ``settings`` leave open for steps of ``plan`` on its device, measured where there is a
    choice. torch's thread count is as before."""
    rows = ranks.rows(plan.batch_size)
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        device = torch.device(plan.device)
        names = candidates(settings, device)
        if len(names) == 1:
            return KernelChoice(names[0])
        network = _throwaway_network(settings, vocab_size, device)
        return choose_kernel(names, network, rows.stop - rows.start, plan.seq_length, budget=BUDGET)
    finally:
        torch.set_num_threads(before)


def faster_kernel(
    settings: Settings, vocab_size: int, plan: Plan, pace: float, ranks: Ranks = SINGLE_PROCESS
) -> tuple[str, float] | None:
    """Another kernel than that of ``plan`` and how many times as fast it is now, or None when none is much faster.

    ``pace``: seconds that a step of training takes. It is measured again only where the choice at the start may have
    been wrong: that of a kernel that is seldom the fastest, or one made by figures that training does not confirm.
    """
    usual = candidates(settings, torch.device(plan.device))[0]
    if plan.kernel == usual and 1 / UNLIKE < pace / plan.seconds_per_step < UNLIKE:
        return None
    choice = choose_kernel_here(settings, vocab_size, plan, ranks)
    if choice.name == plan.kernel or plan.kernel not in choice.measured:
        return None
    faster = choice.measured[choice.name] / choice.measured[plan.kernel]
    return (choice.name, faster) if faster > MUCH_FASTER else None


def _throwaway_network(settings: Settings, vocab_size: int, device: torch.device) -> CharLSTM:
    shape = (vocab_size, settings.hidden_size, settings.num_layers)
    return CharLSTM(*shape, init="torch", generator=torch.Generator().manual_seed(0)).to(device).train()


def measure(
    settings: Settings,
    vocab_size: int,
    device: torch.device,
    batch_size: int,
    seq_length: int,
    ranks: Ranks = SINGLE_PROCESS,
    kernel: str | None = None,
) -> MeasuredSpeed:
    """Choose the kernel that ``settings`` leaves open unless it is given, on this rank's rows, and time whole steps:
    data, masks, gradients, update.

    Takes about twice :data:`BUDGET` seconds, with a given kernel :data:`SHORT_BUDGET`, more where a step takes long.
    Torch's global generator is not used.
    """
    network = _throwaway_network(settings, vocab_size, device)
    rows = ranks.rows(batch_size)
    budget = BUDGET if kernel is None else SHORT_BUDGET
    names = candidates(settings, device) if kernel is None else [kernel]
    kernel = names[0]
    if len(names) > 1:
        kernel = choose_kernel(names, network, rows.stop - rows.start, seq_length, budget=BUDGET).name
    random = np.random.default_rng(0)
    ids = random.integers(0, vocab_size, 4 * batch_size * seq_length + 1)
    learner = TrainStep(network, Batches(ids, [(0, len(ids))], batch_size, seq_length), settings, kernel, ranks)
    seconds: list[float] = []
    start = time.perf_counter()
    # The first steps allocate and warm up; a rate of zero would be no cheaper.
    while len(seconds) < 4 or (time.perf_counter() - start < budget and len(seconds) < 1000):
        before = time.perf_counter()
        learner.step(len(seconds), settings.lr * 1e-3)
        seconds.append(time.perf_counter() - before)
    # The fastest: other work on the machine only ever adds. Too hopeful a plan is drawn in by the clock at the first
    # validation; one that starved while it was measured would end after a step.
    return MeasuredSpeed(kernel, min(seconds[1:]), batch_size * seq_length)
