"""Training on a graphics card: which one is taken, and with one that its results are right."""

from dataclasses import replace

import pytest
import torch

from charlstm.engine import devices
from small_training import log_of
from trained import PLAN, SETTINGS, assert_same_state, trained

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("cuda", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_cuda_card_but_not_that_of_a_mac(cuda: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert devices.choose_device("auto").type == chosen
    assert devices.choose_device("mps").type == "mps"


needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@needs_card
def test_cuda_training_has_the_losses_of_the_cpu_for_50_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TF32, so that a card rounds as a processor does, and without masks, which a card draws by another
    generator. Gradients of one step with masks: test_kernels."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    plain = SETTINGS.with_changes(dropout=0.0, weight_drop=0.0, max_steps=50)
    plan = replace(PLAN, planned_steps=50, log_every=1)
    here, there = (trained(plain, replace(plan, device=device)) for device in ("cpu", "cuda"))
    losses, others = ([event.train_loss for event in run.only("step")] for run in (here, there))
    assert len(losses) == 50
    assert others == pytest.approx(losses, rel=2e-3)
    assert there.last.loss == pytest.approx(here.last.loss, rel=2e-3)


@needs_card
def test_cuda_resume_is_exact() -> None:
    """With all random regularisation."""
    plan = replace(PLAN, device="cuda")
    whole, first = trained(plan=plan), trained(plan=plan, at={28: ["stop"]})
    rest = trained(state=first.store.states[-1])
    assert log_of([*first.events, *rest.events]) == log_of(whole.events)
    assert_same_state(rest.store.states[-1], whole.store.states[-1])
