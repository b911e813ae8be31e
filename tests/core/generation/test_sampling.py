"""Each filter agrees with a slow reference on random logits; the order of filters; random numbers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from charlstm.errors import GenerationError
from charlstm.generation import sampling
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.sampling import Sampler, check_seed, draw, draws, key_for, other_seed, uniform, uniforms
from random_examples import examples

# Logits on a coarse grid: ties are common, and rounding does not decide on which side of a limit one is.
logits_arrays = hnp.arrays(np.float32, st.integers(1, 40), elements=st.integers(-24, 24).map(lambda n: n / 4))


def softmax(logits, temperature=1.0):
    exponentials = [math.exp((value - max(logits)) / temperature) for value in logits]
    return [value / sum(exponentials) for value in exponentials]


def sampled(logits, **settings):
    """Probabilities that the sampler gives, without filters but those of ``settings``."""
    settings = {"temperature": 1.0, "min_p": None, **settings}
    weights = Sampler(SamplerSettings(**settings)).weights(logits)
    return weights.astype(np.float64) / weights.sum(dtype=np.float64)


def renormalised(probabilities, kept):
    total = sum(p for which, p in enumerate(probabilities) if which in kept)
    return [p / total if which in kept else 0.0 for which, p in enumerate(probabilities)]


def slow_top_k(p, k):
    least = sorted(p, reverse=True)[min(k, len(p)) - 1]
    return {which for which, value in enumerate(p) if value >= least}


def slow_mass(p, order, mass):
    """Take characters in ``order`` until they have ``mass``."""
    kept, total = set(), 0.0
    for which in order:
        if total >= mass - 1e-7:
            break
        kept.add(which)
        total += p[which]
    return kept


def by_probability(p):
    return sorted(range(len(p)), key=lambda which: -p[which])


@examples(60)
@given(logits_arrays, st.sampled_from([0.1, 0.5, 0.8, 1.0, 1.5, 10.0]))
def test_temperature_divides_logits(logits, temperature):
    assert sampled(logits, temperature=temperature) == pytest.approx(softmax(logits.tolist(), temperature), abs=1e-6)


@examples(60)
@given(logits_arrays, st.integers(1, 50))
def test_top_k_keeps_equally_likely_characters_and_that_of_the_reference_the_first_ones(logits, k):
    values = logits.tolist()
    expected = renormalised(softmax(values), slow_top_k(values, k))
    assert sampled(logits, top_k=k) == pytest.approx(expected, abs=1e-6)
    expected = renormalised(softmax(values), by_probability(values)[:k])
    assert sampled(logits, kind="reference", top_k=k) == pytest.approx(expected, abs=1e-6)


@examples(100)
@given(logits_arrays, st.sampled_from([0.137, 0.513, 0.899, 0.9713, 1.0]))
def test_top_p_keeps_the_fewest_with_that_probability(logits, mass):
    p, order = softmax(logits.tolist()), by_probability(logits.tolist())
    if np.abs(np.cumsum([p[which] for which in order]) - mass).min() < 1e-5 and mass < 1:
        return  # rounding decides
    expected = renormalised(p, slow_mass(p, order, mass + (mass == 1)))
    assert sampled(logits, top_p=mass) == pytest.approx(expected, abs=1e-6)


@examples(60)
@given(logits_arrays, st.sampled_from([0.0, 0.0513, 0.3131, 1.0]))
def test_min_p_drops_what_is_less_likely_than_its_share(logits, share):
    p = softmax(logits.tolist())
    kept = {which for which, value in enumerate(p) if value >= share * max(p) * (1 - 1e-9)}
    assert sampled(logits, min_p=share) == pytest.approx(renormalised(p, kept), abs=1e-6)


@examples(80)
@given(st.integers(0, 10**6), st.integers(2, 30))
def test_filters_are_applied_in_the_documented_order(seed, size):
    logits = np.random.default_rng(seed).normal(0, 2, size).astype(np.float32)
    p = softmax(logits.tolist(), 0.7)
    p = renormalised(p, slow_top_k(p, 9))
    p = renormalised(p, slow_mass(p, by_probability(p), 0.93))
    p = renormalised(p, {which for which, value in enumerate(p) if value >= 0.02 * max(p)})
    assert sampled(logits, temperature=0.7, top_k=9, top_p=0.93, min_p=0.02) == pytest.approx(p, abs=1e-5)


def test_temperature_zero_takes_the_first_of_equally_likely_characters():
    weights = Sampler(SamplerSettings(temperature=0)).weights(np.array([0, 3, 1, 3], np.float32))
    assert weights.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("temperature", [1e-300, 1e-9, 1000.0])
def test_extreme_temperatures_stay_finite(temperature):
    weights = Sampler(SamplerSettings(temperature=temperature)).weights(np.array([-80, 80, 0], np.float32))
    assert np.isfinite(weights).all()
    assert weights.argmax() == 1


def slow_penalties(history, size, strength, free, back):
    history = history[-back:]
    penalties = [0.0] * size
    for end in range(len(history) - 1):
        length = 0
        while length <= end and history[end - length] == history[len(history) - 1 - length]:
            length += 1
        if length >= free:
            following = history[end + 1]
            penalised = strength * sampling.REPETITION_BASE ** min(length - free, 64)
            penalties[following] = max(penalties[following], penalised)
    return penalties


@examples(100)
@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 6), st.integers(1, 70))
def test_repetition_penalties_agree_with_slow_reference(history, free, back):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "REPETITION_LENGTH", free)
        patch.setattr(sampling, "REPETITION_RANGE", back)
        found = sampling.repetition_penalties(np.array(history, np.int64), 3, 2.0)
    assert found.tolist() == pytest.approx(slow_penalties(history, 3, 2.0, free, back), rel=1e-5)


@examples(50)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12).filter(any), st.floats(0, 1, exclude_max=True))
def test_draw_follows_the_cumulative_sum(weights, number):
    which = draw(np.array(weights, np.float32), number)
    assert sum(weights[:which]) <= number * sum(weights) + 1e-9
    assert number * sum(weights) < sum(weights[: which + 1]) + 1e-9
    assert weights[which] > 0
    assert draws(np.array([weights], np.float32), np.array([number]))[0] == which


def test_a_seed_is_a_whole_number_of_64_bits():
    assert [check_seed(seed) for seed in (-(2**63), np.int64(3), 2**64 - 1)] == [-(2**63), 3, 2**64 - 1]
    for seed in (1.0, 2**64, -(2**63) - 1, "1", None):  # such as a damaged file has
        with pytest.raises(GenerationError, match="The seed is a whole number"):
            check_seed(seed)


def test_random_numbers_depend_only_on_seed_sample_and_position():
    keys = np.array([key_for(seed, sample) for seed in (0, 1, -5, 2**63) for sample in (0, 1, 9)], np.uint64)
    assert len(set(keys.tolist())) == len(keys)
    for position in (0, 1, 10**6):
        assert uniforms(keys, position).tolist() == [uniform(key, position) for key in keys.tolist()]
    values = np.array([uniform(key_for(3), position) for position in range(20000)])
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-square, 19 degrees of freedom, p = 0.001
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("temperature", math.nan, "temperature .*nan$"), ("top_k", 2.5, "top_k .*2.5$"), ("top_p", 0, "top_p .*0$"),
        ("kind", "script", "script"), ("heat", 1, "heat"),
    ],
)  # fmt: skip
def test_invalid_value_is_refused_in_one_line_that_names_the_setting(name, value, words):
    with pytest.raises(GenerationError, match=words) as caught:
        SamplerSettings.from_dict({name: value})
    assert "\n" not in str(caught.value)


def test_settings_in_effect_leave_out_what_is_off():
    assert SamplerSettings(top_k=5).in_effect() == {"temperature": 0.8, "top_k": 5, "min_p": 0.05}
    assert SamplerSettings(kind="reference", top_k=5).in_effect() == {"kind": "reference", "top_k": 5}
    assert set(SamplerSettings(repetition=1.0).in_effect()) == {"temperature", "min_p", "repetition"}


@pytest.mark.parametrize("seed", [0, -5, 2**63, 2**64 - 3])
def test_other_seed_is_the_first_that_draws_another_character(seed):
    weights = np.array([0.9, 0, 0.04, 0.06], np.float32)
    for sample, position in itertools.product((0, 3), range(20)):
        expected = seed
        while draw(weights, uniform(key_for(expected, sample), position)) == 0:
            expected = expected + 1 if expected < 2**64 - 1 else 0
        assert other_seed(weights, 0, seed - 1, sample, position) == expected
    assert other_seed(np.array([0, 1, 0], np.float32), 1, seed, 0, 5) is None
    assert other_seed(np.array([0, 1, 1e-30], np.float32), 1, seed, 0, 5) is None
    assert other_seed(np.array([0, 1, 0], np.float32), 0, seed, 0, 5) == sampling.next_seed(seed)
