"""Training on a graphics card: which one is taken, and with one that its results are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from charlstm.engine import devices
from charlstm.engine.trainer import Trainer
from charlstm.text.corpus import Corpus
from charlstm.training.events import Event, Finished, Stepped
from charlstm.training.hooks import Hooks
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from small_training import MemoryStore, ScriptedCommands, log_of

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("cuda", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_cuda_card_but_not_that_of_a_mac(cuda: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert devices.choose_device("auto").type == chosen
    assert devices.choose_device("mps").type == "mps"


needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def losses(events: Sequence[Event]) -> dict[int, float]:
    return {event.step: event.train_loss for event in events if isinstance(event, Stepped)}


@needs_card
def test_cuda_training_has_the_losses_of_the_cpu_for_50_steps(
    corpus: Corpus, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without TF32, so that a card rounds as a processor does, and without masks, which a card draws by another
    generator. Gradients of one step with masks: test_kernels."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    plain = settings.with_changes(dropout=0.0, weight_drop=0.0, max_steps=50)
    plan = replace(plan, planned_steps=50, log_every=1)
    here = list(Trainer(corpus, plain, plan=plan).events())
    there = list(Trainer(corpus, plain, plan=replace(plan, device="cuda")).events())
    assert losses(there) == pytest.approx(losses(here), rel=2e-3)
    assert isinstance(here[-1], Finished)
    assert isinstance(there[-1], Finished)
    assert there[-1].best_val == pytest.approx(here[-1].best_val, rel=2e-3)


@needs_card
def test_cuda_resume_is_exact(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    """With all random regularisation."""
    plan = replace(plan, device="cuda")
    whole_store, store, commands = MemoryStore(), MemoryStore(), ScriptedCommands({28: [("stop", None)]})
    whole = list(Trainer(corpus, settings, store=whole_store, plan=plan).events())
    first: list[Event] = []
    Trainer(corpus, settings, store=store, plan=plan, hooks=Hooks(commands=commands)).train(
        lambda event: (first.append(event), commands.see(event))
    )
    rest = list(Trainer.resume(corpus, settings, store.states[-1], store=store).events())
    assert log_of([*first, *rest]) == log_of(whole)
    for name, array in whole_store.states[-1].tensors.items():
        assert np.array_equal(store.states[-1].tensors[name], array), name
