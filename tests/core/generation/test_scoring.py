"""Scores equal those of the stepper one character at a time; summaries of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from charlstm.errors import GenerationError
from charlstm.generation.scoring import Scores, score, score_models
from charlstm.generation.stepper import BLOCK, Stepper
from charlstm.text.reading import TextOptions

pytestmark = pytest.mark.numeric


def test_scores_are_those_of_single_steps(model):
    text = "abc jihg\n" * (BLOCK // 4)
    scores = score(model, text)
    assert (scores.text, scores.chars, scores.unknown) == (text, len(text) - 1, {})
    assert math.isnan(scores.nats[0])
    assert scores.ranks[0] == 0
    stepper = Stepper(model)
    state = stepper.zero_state()
    ids = model.vocabulary.encode(text)[0]
    for position in range(1, len(text)):
        logits = stepper.step(ids[position - 1 : position], state)[0].astype(float)
        p = np.exp(logits - logits.max())
        p /= p.sum()
        actual = p[ids[position]]
        assert scores.nats[position] == pytest.approx(-math.log(actual), abs=1e-4)
        assert scores.entropy[position] == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-4)
        assert scores.ranks[position] == 1 + (p > actual).sum()
    assert scores.bits_per_char == pytest.approx(scores.nats[1:].mean() / math.log(2), rel=1e-5)
    assert scores.perplexity == pytest.approx(2**scores.bits_per_char)


def test_part_has_its_own_figures_and_only_the_first_character_of_the_text_is_not_predicted(model):
    scores = score(model, "abcjihgaXbc")
    part = scores.part(3, 7)
    assert (part.text, part.chars, part.unpredicted, part.unknown) == ("jihg", 4, 0, {})
    assert part.loss == pytest.approx(scores.nats[3:7].mean())
    assert part.strip(1)[0] == pytest.approx(part.bits_per_char) == pytest.approx(part.loss / math.log(2))
    assert part.sentences()[0].bits_per_char == pytest.approx(part.bits_per_char)
    assert len(part.places(4)) == 4
    first = scores.part(0, 3)
    assert (first.text, first.chars, first.unpredicted) == ("abc", 2, 1)
    assert first.loss == pytest.approx(scores.nats[1:3].mean())


def test_unknown_characters_are_read_as_others_and_count_in_no_mean(model):
    reported = []
    scores = score(model, "aXb\r\ncX", progress=lambda *done: reported.append(done))
    assert (scores.text, scores.unknown, reported) == ("aXb\ncX", {"X": 2}, [(6, 6)])
    assert np.array_equal(scores.nats[1:], score(model, "aXb\ncX".replace("X", model.vocabulary.read_as("X"))).nats[1:])
    assert (scores.chars, scores.loss) == (3, pytest.approx(scores.nats[2:5].mean()))
    assert {place.char for place in scores.places()} == {"b", "\n", "c"}
    assert scores.part(1).unknown == {"X": 2}


@pytest.mark.parametrize("text", ["", "a", "XYZ", "aX"])
def test_score_refuses_fewer_than_two_known_characters(model, text):
    with pytest.raises(GenerationError, match="two characters"):
        score(model, text)


def test_score_models_counts_only_characters_that_all_models_know(make_model):
    """All read the text with the same options, in which the Kelvin sign is K."""
    knows = make_model()
    lacks = replace(make_model("\n abc", seed=1), text_options=TextOptions(normalize=False))
    reported = []
    first, second = score_models([knows, lacks], "abdab\r\n\u212ad", progress=lambda *done: reported.append(done))
    assert first.text == second.text == "abdab\nKd"
    assert first.unknown == second.unknown == {"d": 2, "K": 1}
    assert (first.chars, second.chars) == (4, 4)
    for found, model in ((first, knows), (second, lacks)):
        assert found.loss == pytest.approx(score(model, "abdab\nKd").nats[[1, 3, 4, 5]].mean())
    assert reported == [(8, 16), (16, 16)]
    assert [each.loss for each in score_models([lacks, knows], "abdab\r\n\u212ad")] == [second.loss, first.loss]


def test_score_models_refuses_what_cannot_be_compared(make_model):
    with pytest.raises(GenerationError, match="all models know no character"):
        score_models([make_model("ab"), make_model("cd")], "abcd")


def made_up(bits, text=None):
    nats = np.array([np.nan, *bits], np.float32) * np.float32(math.log(2))
    text = text or "".join(chr(ord("a") + at % 26) for at in range(len(nats)))
    return Scores(text, nats, np.arange(len(nats), dtype=np.int32), np.zeros_like(nats), {})


def test_places_are_most_surprising_first_and_at_least_context_apart():
    bits = np.ones(100)
    bits[[10, 12, 50, 90]] = 8, 9, 7, 6
    places = made_up(bits).places(3, context=5)
    assert [place.position for place in places] == [13, 51, 91]
    assert [round(place.bits) for place in places] == [9, 7, 6]
    assert places[0].before + places[0].char + places[0].after == "ijklmnopqrs"


def test_places_of_a_short_text_are_all_that_surprise():
    bits = np.full(100, 0.5)
    bits[[10, 12, 13, 50]] = 8, 9, 4, 7
    scores = made_up(bits)
    assert [place.position for place in scores.places(3, context=5, least=1)] == [13, 11, 51]
    every = scores.places(10, context=5, least=1)
    assert [place.position for place in every] == [13, 11, 51, 14]
    assert scores.unlisted(every) == pytest.approx(0.5), "below ``least``, as the end of a list says"
    assert scores.unlisted(scores.places(2, context=5)) == pytest.approx(8)
    assert len(made_up(np.ones(7)).places(10, context=3)) == 7


def test_places_end_where_nothing_is_surprising():
    bits = np.full(100, 0.5)
    bits[[10, 40, 70]] = 3, 0.9, 6
    scores = made_up(bits)
    assert scores.surprising == 1, "one that is as likely as not is expected"
    assert [place.position for place in scores.places(10, context=5, least=scores.surprising)] == [71, 11]
    sure = made_up(np.full(30, 0.1))
    assert sure.places(10, least=sure.surprising) == []
    assert made_up(np.array([5.0] * 50 + [7.0] * 50)).surprising == pytest.approx(6), "the mean, where that is more"


def test_strip_averages_equal_parts():
    scores = made_up([1, 1, 3, 3, 5, 5])
    assert scores.strip(3).tolist() == pytest.approx([1, 3, 5])
    assert scores.strip(100).tolist() == pytest.approx([1, 1, 3, 3, 5, 5])
    assert scores.strip(1)[0] == pytest.approx(scores.bits_per_char)


def test_figures_of_sentences_are_the_means_of_their_characters():
    text = 'One. "Two?" 3.5 is\nthree\n\nfour'
    found = made_up(np.arange(1, len(text)), text).sentences()
    assert [text[each.start : each.stop] for each in found] == ["One.", '"Two?"', "3.5 is\nthree", "four"]
    assert [each.bits_per_char for each in found] == pytest.approx(
        [np.mean([1, 2, 3]), *(np.arange(each.start, each.stop).mean() for each in found[1:])]
    )
