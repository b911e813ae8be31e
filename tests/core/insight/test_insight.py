"""Batched results equal naive ones, and what cannot be computed is refused in a sentence."""

import re
import threading
import time
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise, product

import numpy as np
import pytest

from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp
from charlstm.generation.prime import prepare_prime
from charlstm.generation.softmax import cross_entropy, softmax
from charlstm.generation.stepper import Stepper
from charlstm.insight import cells, side_by_side
from charlstm.insight.activations import Trace, activations, iterate_activations, likeliest_next
from charlstm.insight.cells import FEWEST_SPANS, SEGMENTS, CellSample, name_cells, sample_cells, score_cells
from charlstm.insight.context import CERTAIN, ENOUGH, context
from charlstm.insight.features import BUILT_IN, FEWEST, function_feature, kind_of_text, pattern_feature, text_features
from charlstm.insight.influence import influence
from charlstm.insight.lesions import BLOCKS, COUNTED, SETTLING, estimate_lesions, measure_lesions, most_important
from charlstm.insight.multiverse import ContinuationNode, multiverse, next_words, read_text
from charlstm.insight.report import report
from charlstm.insight.sample import spread_blocks
from charlstm.insight.side_by_side import Report, compute
from charlstm.model.file import Model
from plain_numpy import PlainLSTM

pytestmark = pytest.mark.numeric


def probabilities(model: Model, text: str, clamps: tuple[Clamp, ...] = ()) -> np.ndarray:
    """The distribution after ``text``, one character at a time."""
    stepper = Stepper(model)
    stepper.clamps = clamps
    state = stepper.zero_state()
    for char in prepare_prime(model, text).ids:
        logits = stepper.step(np.array([char]), state)
    return softmax(logits)[0]


def loss_of(model: Model, text: str) -> float:
    """The loss of the last character."""
    last = model.vocabulary.encode(text[-1])[0][0]
    return float(-np.log(probabilities(model, text[:-1])[last]))


# -- activations


def test_activations_equal_single_steps(model: Model, text: str) -> None:
    found = activations(model, text[:300])
    stepper = Stepper(model)
    state = stepper.zero_state()
    for at, char in enumerate(found.ids):
        stepper.step(np.array([char]), state)
        outputs, cells = state.pack()[..., 0]
        np.testing.assert_allclose(found.hidden[at], outputs, atol=1e-6)
        np.testing.assert_allclose(found.cells[at], cells, atol=1e-5)
    assert found.text == text[:300]


@pytest.mark.parametrize("streams", [2, 3, 7])
def test_streams_cover_a_text_once_and_nearly_equal_serial_reading(model: Model, text: str, streams: int) -> None:
    exact = activations(model, text * 4)
    differences = np.full_like(exact.hidden, np.nan)
    parts = list(pairwise(np.linspace(0, len(exact.ids), streams + 1).astype(int).tolist()))
    for block in iterate_activations(Stepper(model), exact.ids, parts=parts):
        part = slice(block.start, block.start + len(block.hidden))
        assert np.isnan(differences[part]).all()
        differences[part] = np.abs(block.hidden - exact.hidden[part])
    assert differences.max() < 1e-3
    assert np.median(differences) < 1e-6


def test_a_long_text_is_read_in_bounded_memory(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.insight.activations.EXACT", 2000)
    ids = np.random.default_rng(0).integers(0, model.config.vocab_size, 30_000)
    stepper = Stepper(model)
    tracemalloc.start()
    try:
        count = sum(len(block.hidden) for block in iterate_activations(stepper, ids))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == len(ids)
    assert peak < 6e6, "the whole trace would take 7.7 MB"


# -- clamps


def test_a_clamped_cell_keeps_its_value_and_only_it_changes_in_the_first_step(model: Model) -> None:
    stepper = Stepper(model)
    free, held = stepper.zero_state(3), stepper.zero_state(3)
    stepper.step(np.array([1, 2, 3]), free)
    stepper.clamps = (Clamp(2, 5, value=1.5), Clamp(2, 7))
    stepper.step(np.array([1, 2, 3]), held)
    assert held.cells[1, [4, 6]].tolist() == [[1.5] * 3, [0] * 3]
    others = [cell for cell in range(16) if cell not in (4, 6)]
    np.testing.assert_array_equal(held.cells[1, others], free.cells[1, others])


def test_clamps_act_alike_in_blocks_and_single_steps(model: Model, text: str) -> None:
    clamps = (Clamp(1, 3, value=-1.0), Clamp(2, 9, value=0.25))
    stepper = Stepper(model)
    stepper.clamps = clamps
    shares = softmax(stepper.consume(prepare_prime(model, text[:50]).ids, stepper.zero_state()))[0]
    np.testing.assert_allclose(shares, probabilities(model, text[:50], clamps), rtol=1e-4)


@pytest.mark.parametrize("clamps", [(Clamp(0, 1),), (Clamp(3, 1),), (Clamp(1, 17),), (Clamp(1, 1), Clamp(1, 1))])
def test_a_cell_that_does_not_exist_or_is_named_twice_is_refused(model: Model, clamps: tuple[Clamp, ...]) -> None:
    with pytest.raises(GenerationError):
        Stepper(model).clamps = clamps


# -- features and cells


@pytest.fixture(scope="module")
def sample(model: Model, text: str) -> CellSample:
    return sample_cells(model, text)


TEXT = 'He said, "Don\'t go (yet)." She left.\n\n  An end! 42 cats'


def true_on(name: str, text: str) -> str:
    """The characters after which a feature is true."""
    values = BUILT_IN[name][1](text)
    return "".join(char for char, value in zip(text, values, strict=True) if value)


def test_features_of_prose() -> None:
    assert true_on("inside quotes", TEXT) == "\"Don't go (yet)."
    assert true_on("bracket depth", TEXT) == "(yet"
    assert true_on("capitalised word", TEXT) == "HeDon'tSheAn"
    assert true_on("digit", TEXT) == "42"
    assert true_on("indentation", TEXT) == "  An end! 42 cats"
    assert true_on("after a sentence", TEXT) == '" .\n\n  ! '
    assert BUILT_IN["position in word"][1]("ab cde").tolist() == [1, 2, 0, 1, 2, 3]
    assert BUILT_IN["position in line"][1]("ab\ncd").tolist() == [1, 2, 0, 1, 2]


def test_an_apostrophe_neither_opens_nor_closes_a_quote() -> None:
    assert true_on("inside quotes", "the dog's 'it isn't so' end") == "'it isn't so"
    assert true_on("inside quotes", "“it’s” ") == "“it’s"


PROGRAM = "import os\n# a 'note'\ndef f(x):\n    return 'a # b' + x  # end\n"


def test_features_of_programs_and_tunes() -> None:
    assert true_on("comment", PROGRAM).startswith("# a 'note'")
    assert "'a # b'" in true_on("string", PROGRAM)
    tune = "X:1\nT:A tune\nK:D\nABc|dA B|\n"
    assert true_on("tune header", tune) == "X:1T:A tuneK:D"
    assert BUILT_IN["position in bar"][1](tune).tolist()[-6:] == [1, 2, 3, 4, 0, 1]


def named_features(text: str) -> set[str]:
    return {each.name for each in text_features(text)}


def test_features_of_another_kind_of_text_are_left_out() -> None:
    """In tunes a cell followed “after a sentence” with 0.96: a few titles with a full stop."""
    tunes = "X:1\nT:Mr. Hill. The end. Yes!\nM:6/8\nK:D\n" + 'A2|"D"dBc (dcB)|"A"A2 B/2c/2 def|\n' * 6
    prose = 'He said, "Go (now)." She left. It is 12.\n\n  An end! 42 cats sat there.\n' * 20
    program = PROGRAM * 10
    kinds = [kind_of_text(text) for text in (tunes, "X:1\nK:D\nA|\n", prose, program)]
    assert kinds == ["tunes", "tunes", "prose", "program"]
    of_words = {"position in word", "position in sentence", "after a sentence", "capitalised word", "vowel"}
    assert not of_words & named_features(tunes * 20)
    assert {"tune header", "position in bar", "inside quotes"} <= named_features(tunes * 20)
    assert of_words <= named_features(prose)
    assert {"comment", "string"} <= named_features(program)
    assert not {"comment", "string", "tune header", "position in bar"} & named_features(prose)


def test_a_feature_that_is_rare_in_a_half_of_the_text_is_left_out() -> None:
    line = "there are some words here\n"
    rare = (line * 50 + "7\n") * (2 * FEWEST)
    assert "digit" in named_features(rare)
    assert "digit" not in named_features(rare[: len(rare) // 2])
    assert "digit" not in named_features("7 " * 100 + line * 100)


def test_a_pattern_is_a_feature_and_a_bad_one_is_refused() -> None:
    assert pattern_feature("the", r"\bthe\b", "in the end").values.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]
    for pattern in ("(", "zzz", "(?s).*"):
        with pytest.raises(GenerationError):
            pattern_feature("mine", pattern, "in the end")
    with pytest.raises(GenerationError, match="seconds"):
        pattern_feature("slow", r"(x|xx)+y(?=y)", "y" + "x" * 60, seconds=0.05)


def test_a_function_is_a_feature() -> None:
    assert function_feature("e", lambda text: [char == "e" for char in text], "bee").kind == "yes/no"
    assert function_feature("place", lambda text: range(len(text)), "bee").kind == "graded"
    with pytest.raises(GenerationError, match="one finite number"):
        function_feature("short", lambda text: [1], "bee")


def test_cells_are_read_in_blocks_from_all_over_a_text(model: Model, text: str) -> None:
    """They were compared on the first characters alone: “inside quotes” had 0.91 there, and 0.81 in the next part."""
    text = text * 50
    sample = sample_cells(model, text, max_chars=10_000)
    assert sample.chars == 10_000
    blocks = spread_blocks(len(text), 10_000, 40)
    assert [start for start, _ in blocks] == list(range(0, 30_000, 750))
    assert {stop - start for start, stop in blocks} == {250}
    exact = activations(model, text).cells.reshape(len(text), -1)
    for kept, half in ((sample.first, blocks[::2]), (sample.second, blocks[1::2])):
        np.testing.assert_allclose(kept, np.concatenate([exact[start:stop] for start, stop in half]), atol=1e-4)
    values = BUILT_IN["blank"].compute(text)
    found = next(each for each in sample.features if each.name == "blank").values[5000:]
    assert found.tolist() == np.concatenate([values[start:stop] for start, stop in blocks[1::2]]).tolist()
    assert sample.spans["blank"] == sum(len(re.findall(r"\s+", text[start:stop])) for start, stop in blocks[1::2]), (
        "a span is a stretch in which the feature is true"
    )


def test_scores_equal_naive_ones_with_the_margin_of_segments_drawn_again(model: Model, text: str) -> None:
    sample, random = sample_cells(model, text * 10), np.random.default_rng(3)
    kinds = set()
    for named in name_cells(sample):
        column = sample.second[:, (named.cell[0] - 1) * 16 + named.cell[1] - 1]
        all_values = next(each for each in sample.features if each.name == named.feature).values
        values = all_values[len(sample.first) :]
        parts, scores = np.array_split(np.arange(len(column)), SEGMENTS), []
        for number in range(601):  # at first on the whole text
            drawn = random.integers(0, SEGMENTS, SEGMENTS) if number else range(SEGMENTS)
            places = np.concatenate([parts[part] for part in drawn])
            states, true = column[places], values[places] == 1
            if named.kind == "r":
                scores.append(np.corrcoef(states, values[places])[0, 1])
            else:
                below = np.searchsorted(np.sort(states[~true]), states[true])
                scores.append(below.sum() / (true.sum() * (~true).sum()))
        kinds.add(named.kind)
        if named.kind == "auc":
            means = [float(sample.states(named.cell)[(all_values == 1) == where].mean()) for where in (True, False)]
            assert [named.where_true, named.where_false] == pytest.approx(means)
        assert named.score == pytest.approx(scores[0], abs=1e-4)
        assert named.margin == pytest.approx(2 * np.std(scores[1:]) * np.sqrt(20 / 19), rel=0.15)
    assert kinds == {"auc", "r"}


def test_a_score_that_rests_on_few_spans_or_lies_within_its_margin_of_chance_says_so(sample: CellSample) -> None:
    named = replace(name_cells(sample)[0], kind="auc", score=0.9, chance=0.6)
    assert replace(named, spans=FEWEST_SPANS, margin=0.2).verdict == "follows"
    assert replace(named, spans=FEWEST_SPANS, margin=0.31).verdict == "no better than chance"
    few = replace(named, spans=FEWEST_SPANS - 1, margin=0.0)
    assert few.verdict == few.spans_words == "too few to tell"
    assert not few.better_than_chance(1.0)


def test_a_feature_in_few_blocks_has_no_margin_and_no_verdict(sample: CellSample) -> None:
    values = np.zeros_like(sample.features[0].values)
    values[3:60:2] = values[len(sample.first) + 3 : len(sample.first) + 60 : 2] = 1
    feature = replace(sample.features[0], name="once", kind="yes/no", values=values)
    (named,) = name_cells(replace(sample, features=(feature,), spans={"once": 29}))
    assert (named.verdict, named.margin_words) == ("too few to tell", "")
    assert replace(named, blocks=5, margin=0.001).margin_words == "±<0.01"


def test_cells_have_no_score_on_a_sample_without_their_feature(sample: CellSample) -> None:
    found, without = name_cells(sample, per_feature=2), replace(sample, features=sample.features[1:])
    assert np.isnan(score_cells(without, found)).tolist() == [each.feature == sample.features[0].name for each in found]


def test_the_strength_of_a_score_is_more_in_the_direction_of_the_named_cell(sample: CellSample) -> None:
    found = name_cells(sample, per_feature=32)
    assert {(each.kind, each.follows_low) for each in found} == set(product(("auc", "r"), (True, False)))
    for named in found:
        better = named.strength() - named.margin > named.chance and named.spans >= FEWEST_SPANS
        assert named.better_than_chance(named.score) == named.above_chance == better
        nothing, opposite = (0.5, 1 - named.score) if named.kind == "auc" else (0.0, -named.score)
        assert named.strength(nothing) == nothing
        assert named.strength() >= nothing >= named.strength(opposite)
        assert not named.better_than_chance(nothing)
        assert not named.better_than_chance(float("nan"))


def test_cells_of_a_text_that_is_too_short_are_refused(model: Model) -> None:
    with pytest.raises(GenerationError, match="are needed"):
        sample_cells(model, "abc")


def test_a_trace_that_grows_equals_one_of_the_whole_text(model: Model, text: str) -> None:
    trace, stop, kept = Trace(model), 0, 0
    for count, dropped in ((300, 0), (1, 0), (0, 20), (500, 100), (7, 0)):
        earlier = trace.activations()
        values = earlier.cells.copy()
        trace.extend(text[stop : stop + count])
        stop += count
        assert np.array_equal(earlier.cells, values)
        trace.drop(dropped)
        kept += dropped
        found, expected = trace.activations(), activations(model, text[:stop])
        assert found.text == trace.text == text[kept:stop]
        assert np.array_equal(found.ids, expected.ids[kept:])
        assert np.allclose(found.hidden, expected.hidden[kept:], atol=1e-5)
        assert np.allclose(found.cells, expected.cells[kept:], atol=1e-5)


def test_the_likeliest_next_characters(model: Model, text: str) -> None:
    text = text[:20]
    chars, shares = likeliest_next(model, activations(model, text).hidden, 3)
    assert len(chars) == 20
    for at in (0, 7, 19):
        row = probabilities(model, text[: at + 1])
        order = np.argsort(-row, kind="stable")[:3]
        assert chars[at] == "".join(model.vocabulary.symbols[which] for which in order)
        assert shares[at] == pytest.approx(row[order], abs=1e-5)


# -- influence and context


def test_influence_is_that_of_reading_what_the_model_expected_in_its_place(model: Model, text: str) -> None:
    text = text[:40]
    found, ids = influence(model, text, 39, back=25), prepare_prime(model, text).ids
    assert (found.start, found.loss) == (14, pytest.approx(loss_of(model, text), abs=1e-4))
    plain = PlainLSTM(model.weights)
    for at, change in enumerate(found.changes, found.start):
        shown = np.eye(model.config.vocab_size)[ids[:-1]]
        shown[at] = probabilities(model, text[:at])
        outputs, cells = np.zeros((2, 1, 16)), np.zeros((2, 1, 16))
        for each in shown:
            logits = plain.step(each[None], outputs, cells)
        assert change == pytest.approx(-np.log(softmax(logits)[0, ids[-1]]) - found.loss, abs=1e-4)


@pytest.mark.parametrize("position", [0, 12, -1])
def test_influence_on_no_character_is_refused(model: Model, position: int) -> None:
    with pytest.raises(GenerationError, match="Position"):
        influence(model, "abc def abc ", position)
    with pytest.raises(GenerationError, match="fewer than two characters that the model knows"):
        influence(model, "0123456789", position)


def test_context_equals_reading_the_last_characters_alone(model: Model, text: str) -> None:
    found = context(model, text, at=100, lengths=(1, 4, 30))
    for length, loss in zip(found.lengths, found.losses, strict=True):
        assert loss == pytest.approx(loss_of(model, text[100 - length : 101]), abs=1e-4)
    mixed = model.vocabulary.decode(np.random.default_rng(0).permuted(prepare_prime(model, text[70:100]).ids))
    for length, loss in zip(found.lengths[:-1], found.shuffled[:-1], strict=True):
        assert loss == pytest.approx(loss_of(model, mixed + text[100 - length : 101]), abs=1e-4)
    assert found.shuffled[-1] == found.losses[-1], "nothing is left to shuffle"
    assert (found.errors, found.enough, found.used_range) == ((), (), None), "of one place there is no margin"
    assert found.used_words == f"about {found.used} character{'s' * (found.used > 1)}"
    for at, said in ((None, "too short for a context"), (20, "too short for a context"), (99, "Position 99 has no")):
        with pytest.raises(GenerationError, match=said):
            context(model, text[:50], at=at)


def test_margin_of_context_comes_from_drawing_the_places_again(model: Model, text: str) -> None:
    text, lengths, shown = text[:300], (1, 2, 4, 30), list[tuple[int, int]]()
    model = replace(model, info={"step": 7})
    found = context(model, text, lengths=lengths, places=40, progress=lambda *done: shown.append(done))
    assert shown == sorted(shown)
    assert shown[-1] == (60 * 40, 60 * 40)
    places = np.linspace(30, 299, 40).astype(int)
    losses = np.array([[loss_of(model, text[at - k : at + 1]) for at in places] for k in lengths])
    assert found.losses == pytest.approx(losses.mean(1), abs=1e-4)
    differences = losses - losses[-1]
    np.testing.assert_allclose(found.errors, differences.std(1, ddof=1) / np.sqrt(40), atol=1e-4)
    random = np.random.default_rng(3)
    drawn = (losses[:, random.integers(0, 40, 40)].mean(1) for _ in range(2000))
    used = np.array([lengths[int(np.argmax(means <= means.min() + ENOUGH))] for means in drawn])
    np.testing.assert_allclose(found.enough, [np.mean(used <= k) for k in lengths], atol=0.05)
    assert found.enough[-1] == 1
    assert found.used_range is not None
    low, high = found.used_range
    assert np.mean((used >= low) & (used <= high)) > CERTAIN - 0.05
    assert found.step == 7
    assert f"(95 % bootstrap interval: {low if low == high else f'{low} to {high}'})" in found.used_words


def test_report_tells_what_it_computes_and_how_far_it_is(model: Model, text: str) -> None:
    told = dict[str, float]()
    report(model, text * 2, title="", progress=lambda stage, done, total: told.update({stage: done / total}))
    assert list(told) == ["naming cells", "comparing cells with features", "measuring the context"]
    assert told["naming cells"] == told["measuring the context"] == 1


# -- lesions


def test_lesions_equal_a_stepper_with_the_cell_silenced(model: Model, text: str) -> None:
    text = text[:60]
    rises = measure_lesions(model, text, [(1, 3), (2, 16)])
    assert np.isnan(rises[:, 0]).all()
    for row, (layer, cell) in zip(rises, [(1, 3), (2, 16)], strict=True):
        for at in (1, 20, 59):
            last = model.vocabulary.encode(text[at])[0][0]
            silenced = probabilities(model, text[:at], (Clamp(layer, cell),))[last]
            free = probabilities(model, text[:at])[last]
            assert row[at] == pytest.approx(np.log(free / silenced), abs=1e-4)


def test_the_estimate_of_lesions_is_the_derivative_by_a_factor_on_the_cell(model: Model, text: str) -> None:
    text = text[:480]
    found = estimate_lesions(model, text)

    ids = prepare_prime(model, text).ids.reshape(-1, 30)
    plain, factors = PlainLSTM(model.weights), np.ones((2, 1, 16))

    def loss() -> float:
        outputs, cells, total = np.zeros((2, len(ids), 16)), np.zeros((2, len(ids), 16)), []
        for shown, follows in pairwise(ids.T):
            logits = plain.step(np.eye(model.config.vocab_size)[shown], outputs, cells, factors)
            total.append(cross_entropy(logits, follows))
        return float(np.mean(total))

    assert found.loss == pytest.approx(loss(), abs=1e-5)
    for layer, cell in ((1, 1), (1, 9), (2, 4), (2, 16)):
        free = loss()
        factors[layer - 1, 0, cell - 1] = 0.98
        slope = (free - loss()) / 0.02
        factors[layer - 1, 0, cell - 1] = 1
        assert found.estimates[layer - 1, cell - 1] == pytest.approx(-slope, abs=2e-3)
    ranked = found.ranked(5)
    assert [rise for _, rise in ranked] == sorted((rise for _, rise in ranked), reverse=True)


def test_the_most_important_cells_are_measured_in_blocks_and_ranked(model: Model, text: str) -> None:
    """They were measured on one stretch, without a margin."""
    text, done = text * 4, [(0, 100)]
    found = most_important(model, text, count=3, also=[(1, 3), (2, 9)], progress=lambda *share: done.append(share))
    assert done == sorted(done)
    assert done[-1] == (100, 100)
    likely = [cell for cell, _ in estimate_lesions(model, text).ranked(3)]
    assert {(1, 3), (2, 9)} <= set(found.cells) <= {(1, 3), (2, 9), *likely}
    assert (len(found.cells), found.chars) == (3, BLOCKS * COUNTED)
    ids, stepper, rises = prepare_prime(model, text).ids, Stepper(model), []
    for start, _ in spread_blocks(len(ids), BLOCKS * (SETTLING + COUNTED + 1), BLOCKS):
        block, losses = ids[start : start + SETTLING + COUNTED + 1], []
        stepper.clamps = ()
        state = stepper.zero_state()
        stepper.consume(ids[:start], state)
        for clamps in ((), *((Clamp(*cell),) for cell in found.cells)):
            stepper.clamps, begun = clamps, state.repeat(1)
            logits = [stepper.step(block[at : at + 1], begun)[0].copy() for at in range(len(block) - 1)]
            losses.append(cross_entropy(np.stack(logits), block[1:])[SETTLING:].mean())
        rises.append([each - losses[0] for each in losses[1:]])
    table = np.array(rises)
    np.testing.assert_allclose(found.means, table.mean(0), atol=1e-4)
    assert found.means.tolist() == sorted(found.means.tolist(), reverse=True)
    np.testing.assert_allclose(found.errors, table.std(0, ddof=1) / np.sqrt(BLOCKS), atol=1e-4)
    assert found.tells == [abs(mean) > 2 * error for mean, error in zip(found.means, found.errors, strict=True)]


# -- multiverse


def leaves(branch: ContinuationNode, before: str = "") -> dict[str, float]:
    found = {before + branch.char: branch.probability} if before + branch.char else {}
    for child in branch.children:
        found |= leaves(child, before + branch.char)
    return found


def test_multiverse_has_every_continuation_above_the_cutoff(model: Model) -> None:
    found = leaves(multiverse(model, "abc", depth=3, cutoff=0.02))
    expected, paths = dict[str, float](), {"": 1.0}
    for _ in range(3):
        paths = {
            path + char: probability * share
            for path, probability in paths.items()
            for char, share in zip(model.vocabulary.symbols, probabilities(model, "abc" + path), strict=True)
            if probability * share >= 0.02
        }
        expected |= paths
    assert found == pytest.approx(expected, rel=1e-4)


def test_continuations_of_a_text_that_was_read_in_parts_are_the_same(model: Model) -> None:
    steps, read = list[tuple[int, int]](), read_text(model, "abc def", known=read_text(model, "abc "))
    tree = multiverse(model, after=read, depth=3, cutoff=0.02, progress=lambda *step: steps.append(step))
    assert steps[:2] == [(1, 3), (2, 3)]
    assert leaves(tree) == pytest.approx(leaves(multiverse(model, "abc def", depth=3, cutoff=0.02)), rel=1e-4)
    words = next_words(model, after=read, count=4)
    assert [each.word for each in words] == [each.word for each in next_words(model, "abc def", count=4)]
    assert read_text(model, "xyz", known=read).ids.tolist() == read_text(model, "xyz").ids.tolist()


@pytest.mark.parametrize(("depth", "cutoff"), [(0, 0.1), (5, 0.0), (5, 1e-9), (2000, 0.1)])
def test_multiverse_out_of_range_is_refused(model: Model, depth: int, cutoff: float) -> None:
    with pytest.raises(GenerationError, match="cut-off"):
        multiverse(model, depth=depth, cutoff=cutoff)


def test_next_words_are_too_low_by_no_more_than_they_say(model: Model) -> None:
    """All blanks before a word that are likelier than 1e-9 are followed here. What 0.005 of a word left out was 0.07 %
    of it, and called exact."""
    words = next_words(model, "ab ", count=4)
    assert [word.probability for word in words] == sorted((word.probability for word in words), reverse=True)
    letters = [symbol for symbol in model.vocabulary.symbols if symbol.isalpha()]

    row = cache(partial(probabilities, model))

    def share(text: str, chars: Iterable[str]) -> float:
        return sum(float(row(text)[model.vocabulary.symbols.index(char)]) for char in chars)

    def begins(text: str, word: str) -> float:
        """The word at once, without blanks before it."""
        probability = 1.0
        for at, char in enumerate(word):
            probability *= share(text + word[:at], [char])
        return probability * (1 - share(text + word, letters))

    starts, blanks = {"": 1.0}, dict[str, float]()
    while starts:
        blanks |= starts
        starts = {
            before + blank: weight * share("ab " + before, [blank])
            for before, weight in starts.items()
            for blank in " \n"
            if weight > 1e-8
        }
    for word in words:
        total = sum(weight * begins("ab " + before, word.word) for before, weight in blanks.items() if weight > 1e-9)
        assert word.probability * (1 - 1e-5) <= total <= (word.probability + word.missed) * (1 + 1e-5)
        assert 0 < word.missed < 0.02 * word.probability
        assert word.probability == pytest.approx(total, rel=2e-4)


def test_a_word_that_has_begun_is_completed(model: Model) -> None:
    words = [each.word for each in next_words(model, "abc", count=8)]
    assert "" in words
    assert all(re.fullmatch("[a-j]*", word) for word in words)


@pytest.mark.parametrize(("prime", "read"), [("abc€", "abc "), ("ab é", "ab e"), ("ab c é", "ab c e")])
def test_next_words_follow_what_the_model_reads_of_the_prime(model: Model, prime: str, read: str) -> None:
    """It decided by the last character of the prime, which the model may not know, whether a word has begun."""
    assert next_words(model, prime, count=4) == next_words(model, read, count=4)


@pytest.mark.parametrize("state", [0.0, 0.1, 0.3, -1.7, 1e-9])
def test_states_of_a_constant_cell_do_not_deviate(state: float) -> None:
    states = np.full(777, state, np.float32)
    states[::2] = np.nextafter(states[::2], np.float32(9))
    assert cells.mean_and_deviation(states) == (pytest.approx(state), 1)
    states[5] += 0.1
    mean, deviation = cells.mean_and_deviation(states)
    assert (states[5] - mean) / deviation > 20


# -- threads


def test_a_part_that_fails_ends_the_others(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cpu_count", lambda: 2)
    ended, begun, end = threading.Event(), threading.Event(), time.monotonic() + 60

    def waits(stepper: Stepper, report: Report) -> None:
        begun.set()
        try:
            while time.monotonic() < end:
                report(0)
            raise AssertionError("it was not ended")
        finally:
            ended.set()

    def fails(stepper: Stepper, report: Report) -> None:
        assert begun.wait(60)
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        compute(Stepper(model), [waits, fails, waits])
    assert ended.is_set()


def test_influence_and_context_are_as_of_one_thread(model: Model, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (1, 2, 3, 4):
        monkeypatch.setattr(side_by_side, "cpu_count", lambda threads=threads: threads)
        told: list[tuple[int, int]] = []
        hidden = influence(model, text, 90, back=70, progress=lambda *done, told=told: told.append(done))
        assert (told[-1], len(hidden.changes)) == ((70, 70), 70)
        kept = context(model, text, lengths=(1, 5, 20), places=60)
        found.append((hidden.changes, np.array([kept.losses, kept.shuffled]), hidden.loss))
    for changes, losses, nats in found[1:]:
        assert np.allclose(changes, found[0][0], atol=2e-6)
        assert np.allclose(losses, found[0][1], atol=1e-6)
        assert nats == pytest.approx(found[0][2], abs=1e-6)
