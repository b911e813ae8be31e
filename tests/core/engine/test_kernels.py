"""Training kernels: gradients of the fused kernel against autograd, masks, carried state, the choice of a kernel."""

import runpy
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from charlstm.engine import fused, recurrence, thread_pool
from charlstm.engine import kernels as kernels
from charlstm.engine.kernels import candidates, choose_kernel, make_kernel, preferred
from charlstm.engine.masks import Masks, draw_masks
from charlstm.engine.network import CharLSTM
from charlstm.engine.trial import distance, furthest, gradients
from charlstm.errors import SettingsError
from charlstm.training.settings import KERNELS, Settings
from trained import torch_threads

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
FLOAT32 = [name for name, kind in KERNELS.items() if kind.precision == "float32"]
SHAPES = [(7, 16, 1, 3, 5), (83, 64, 2, 9, 20), (700, 24, 3, 17, 6), (2, 1, 1, 1, 1)]


def problem(vocab: int, hidden: int, layers: int, rows: int, length: int):
    torch.manual_seed(0)
    network = CharLSTM(vocab, hidden, layers)
    ids = torch.randint(vocab, (length + 1, rows))
    targets = ids[1:].clone()
    if rows > 1:
        targets[0, 1] = -1
    state = (torch.randn(layers, rows, hidden) * 0.5, torch.randn(layers, rows, hidden) * 0.5)
    return network, ids[:-1], targets, state


def gradients_of(name: str, network: CharLSTM, *batch: Any) -> dict[str, torch.Tensor]:
    """Those that the kernel ``name`` leaves after a step."""
    make_kernel(name, network).step(*batch)
    return gradients(network)


@pytest.mark.parametrize("name", FLOAT32)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_state_is_reset_within_a_step(name: str, dropout: float) -> None:
    """As steps of one character each would, between which the state is set to zero."""
    network, inputs, targets, state = problem(7, 16, 2, 9, 20)
    resets = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(1)) < 0.2
    resets[0] = False
    masks = masks_for(network, 9, 20, dropout=dropout)
    result = make_kernel(name, network).step(inputs, targets, state, masks, resets)
    ours = gradients(network)
    network.zero_grad()
    tops, h, c = [], [*state[0]], [*state[1]]
    for at, which in enumerate(inputs):
        below = torch.nn.functional.one_hot(which, 7).float()
        for layer in range(2):
            carried = (~resets[at]).float()[:, None]
            before = h[layer] * carried, c[layer] * carried
            h[layer], c[layer] = torch.lstm_cell(below, before, *network.layer(layer))
            below = h[layer] * (masks.layers[layer] * masks.layer_scale if dropout else 1)
        tops.append(below)
    logits = network.fc(torch.stack(tops)).flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(logits, targets.flatten(), ignore_index=-1, reduction="sum")
    (loss / (targets >= 0).sum()).backward()
    assert result.nats == pytest.approx(loss.item(), rel=1e-5)
    assert distance(result.state[1], torch.stack(c)) < 1e-5
    assert furthest(ours, gradients(network)) < 1e-4


MASKS = {
    "none": {},
    "shared": {"dropout": 0.5},
    "each": {"dropout": 0.3, "shared": False},
    "weights": {"dropout": 0.2, "weight_drop": 0.4},
}


def masks_for(network: CharLSTM, rows: int, length: int, **how: Any) -> Masks:
    how = {"dropout": 0.0, "shared": True, "weight_drop": 0.0} | how
    return draw_masks(network, rows, length, **how, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_in_float32_equal_those_of_nn_lstm(shape: tuple[int, ...], kind: str) -> None:
    assert_same_step("fused-f32", "cpu", shape, kind, (1e-5, 1e-5, 1e-4))


def assert_same_step(name: str, device: str, shape: tuple[int, ...], kind: str, within: tuple[float, ...]) -> None:
    """That the kernel ``name`` computes on ``device`` what ``nn`` does here: loss, state and gradients."""
    network, *ids, state = problem(*shape)
    masks = masks_for(network, shape[3], shape[4], **MASKS[kind])
    expected = make_kernel("nn", network).step(*ids, state, masks)
    wanted = gradients(network)
    network.zero_grad(set_to_none=True)
    kernel = make_kernel(name, network.to(device))
    result = kernel.step(*ids, (state[0].to(device), state[1].to(device)), masks)
    assert result.count == expected.count
    assert float(result.nats) == pytest.approx(expected.nats, rel=within[0])
    for ours, theirs in zip(result.state, expected.state, strict=True):
        assert ours.dtype == torch.float32
        assert distance(ours.cpu(), theirs) < within[1]
    assert furthest(gradients(network), wanted) < within[2]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_fused_threads_start_no_others_and_change_no_gradient(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network, *batch = problem(11, 16, 2, 13, 6)
    wanted = gradients_of("nn", network, *batch)
    run, start, seen = fused._Shard.run, thread_pool.start_thread, []

    def watched(*arguments: Any) -> float:
        seen.append(torch.get_num_threads())
        return run(*arguments)

    together = Barrier(threads)

    def all_at_once(its: int) -> None:  # no thread takes a row before all have started
        start(its)
        together.wait(30)

    monkeypatch.setattr(fused._Shard, "run", watched)
    monkeypatch.setattr(thread_pool, "start_thread", all_at_once)
    with torch_threads(threads):
        assert furthest(gradients_of("fused-f32", network, *batch), wanted) < 1e-4
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == threads
        assert torch.get_num_threads() == threads
    assert seen == [1] * threads


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_repeats_a_step_bit_for_bit(name: str) -> None:
    network, inputs, targets, state = problem(11, 32, 2, 12, 6)
    kernel = make_kernel(name, network)
    first = kernel.step(inputs, targets, state)
    bits, kept = gradients(network), tuple(tensor.clone() for tensor in first.state)
    kernel.step(targets.clamp(min=0), inputs, first.state)
    again = make_kernel(name, network).step(inputs, targets, state)
    assert again.nats == first.nats
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(again.state, kept, strict=True))
    assert all(torch.equal(gradient, bits[key]) for key, gradient in gradients(network).items())


@pytest.mark.parametrize("name", FLOAT32)
def test_kernel_ignores_characters_without_target(name: str) -> None:
    network, inputs, targets, state = problem(9, 16, 2, 8, 5)
    kernel = make_kernel(name, network)
    nothing = kernel.step(inputs, torch.full_like(targets, -1), state)
    assert (nothing.nats, nothing.count) == (0.0, 0)
    assert all(not gradient.any() for gradient in gradients(network).values())


@pytest.mark.parametrize("packs", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("kind", ["none", "weights"])
def test_bfloat16_gradients_are_close_to_float32(kind: str, packs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    network, *batch = problem(83, 64, 2, 16, 20)
    batch.append(masks_for(network, 16, 20, **MASKS[kind]))
    wanted = gradients_of("nn", network, *batch)
    if not packs:
        monkeypatch.setattr(fused, "packs", lambda dtype: False)
        assert kernels.kernel_path("fused-bf16").endswith("plain weights")
    assert furthest(gradients_of("fused-bf16", network, *batch), wanted) < 0.02


def test_masks_keep_the_requested_fraction_and_scale_it_up() -> None:
    masks = masks_for(CharLSTM(5, 64, 2), 32, 10, dropout=0.25, shared=False, weight_drop=0.75)
    assert [mask.shape for mask in masks.layers] == [(10, 32, 64)] * 2
    assert [mask.shape for mask in masks.recurrent] == [(256, 64)] * 2
    for mask in masks.layers:
        assert mask.float().mean().item() == pytest.approx(0.75, abs=0.015)
    assert (masks.layer_scale, masks.recurrent_scale) == pytest.approx((1 / 0.75, 4))
    assert not torch.equal(masks.layers[0], masks.layers[1])


@pytest.mark.parametrize(
    ("kernel", "precision", "with_bfloat16", "without"),
    [
        ("auto", "auto", ["fused-bf16", "fused-f32", "nn"], ["fused-f32", "nn"]),
        ("auto", "float32", ["fused-f32", "nn"], ["fused-f32", "nn"]),
        ("fused", "auto", ["fused-bf16", "fused-f32"], ["fused-f32"]),
        ("fused", "float32", ["fused-f32"], ["fused-f32"]),
        ("nn", "auto", ["nn"], ["nn"]),
    ],
)
def test_candidates_follow_kernel_and_precision(
    monkeypatch: pytest.MonkeyPatch, kernel: str, precision: str, with_bfloat16: list[str], without: list[str]
) -> None:
    settings = Settings(kernel=kernel, precision=precision)
    assert candidates(settings, torch.device("cuda")) == ["nn"]
    for fast, names in ((True, with_bfloat16), (False, without)):
        monkeypatch.setattr(kernels, "fast_bfloat16", lambda fast=fast: fast)
        assert candidates(settings, CPU) == names


@pytest.mark.parametrize("kernel", ["auto", "fused"])
def test_bfloat16_is_refused_where_it_is_slow(monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    settings = Settings(kernel=kernel, precision="bfloat16")
    monkeypatch.setattr(kernels, "fast_bfloat16", lambda: True)
    assert candidates(settings, CPU) == ["fused-bf16"]
    with pytest.raises(SettingsError, match="bfloat16 is not available on cuda, only on CPUs: use precision=auto"):
        candidates(settings, torch.device("cuda"))
    monkeypatch.setattr(kernels, "fast_bfloat16", lambda: False)
    with pytest.raises(SettingsError, match="bfloat16 is not available on this CPU, which has no fast instr"):
        candidates(settings, CPU)


def test_bfloat16_is_for_x86_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.torch.ops, "mkldnn", SimpleNamespace(_is_mkldnn_bf16_supported=lambda: True))
    for machine, fast in (("x86_64", True), ("aarch64", False), ("arm64", False)):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert kernels.fast_bfloat16() is fast


def test_preferred_keeps_the_usual_order_in_noise() -> None:
    """Times from a busy machine: all kernels are disturbed, the fastest one most."""
    disturbed = {"fused-bf16": [0.9, 0.6, 2.0], "fused-f32": [1.2, 0.7], "nn": [0.5, 1.4, 1.3]}
    assert preferred(disturbed) == "fused-bf16"
    quiet = {"fused-f32": [0.100, 0.103, 0.101], "nn": [0.080, 0.082, 0.081]}
    assert preferred(quiet) == "nn"
    assert preferred(quiet | {"nn": [0.097, 0.099, 0.098]}) == "fused-f32"


def choose_by_clock(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], **limits: float):
    """The choice among kernels whose steps take so many ``seconds``, and the steps that each took."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    taken = dict.fromkeys(seconds, 0)

    def timed(name: str, network: CharLSTM) -> SimpleNamespace:
        def step(*_: Any) -> None:
            taken[name] += 1
            clock.now += seconds[name]

        return SimpleNamespace(step=step)

    monkeypatch.setattr(kernels, "time", clock)
    monkeypatch.setattr(kernels, "make_kernel", timed)
    return choose_kernel(tuple(taken), CharLSTM(5, 16, 1), 8, 16, **limits), taken


def test_choose_kernel_stops_measuring_a_much_slower_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = choose_by_clock(monkeypatch, {"fused-f32": 0.1, "nn": 0.7}, budget=2.5)
    assert chosen == ("fused-f32", {"fused-f32": 11, "nn": 2})


def test_choose_kernel_takes_the_fastest_that_was_timed_or_else_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside two busy processes there was no time for all kernels, and a run in float32 took 1.9 times as long."""
    seconds = {"fused-bf16": 1.0, "fused-f32": 2.0, "nn": 2.0}
    for deadline, steps in ((5.5, (2, 1, 1)), (4.5, (1, 1, 1)), (2.5, (1, 1, 0))):
        chosen, taken = choose_by_clock(monkeypatch, seconds, budget=1.0, deadline=deadline)
        assert (chosen, tuple(taken.values())) == ("fused-bf16", steps)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("kind", MASKS)
def test_cuda_gradients_equal_those_of_the_cpu(kind: str) -> None:
    """Up to the precision of TF32, whose mantissa has ten bits."""
    [name] = candidates(Settings(), torch.device("cuda"))
    assert_same_step(name, "cuda", (83, 256, 2, 64, 50), kind, (1e-4, 2e-3, 5e-3))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
def test_products_without_packed_weights_compute_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    network, *batch = problem(9, 16, 2, 8, 5)
    wanted = gradients_of("fused-f32", network, *batch)
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    loops = runpy.run_path(recurrence.__file__)["loops"]
    assert loops().problem is None
    monkeypatch.setattr(recurrence, "loops", loops)
    assert kernels.kernel_path("fused-f32") == "TorchScript loops with plain weights"
    assert furthest(gradients_of("fused-f32", network, *batch), wanted) < 1e-5
