"""Figures of two generated texts, and the files that hold both."""

import random

import pytest

from charlstm.generation.scoring import score
from charlstm.insight import duel
from charlstm.insight.features import feature_starts
from recorded_run import tiny_model

pytestmark = pytest.mark.numeric


def test_bits_are_those_of_the_text_after_its_prime():
    model = tiny_model()
    scores = score(model, "The sea was calm")
    assert duel.bits_after(model, "The sea", " was calm") == pytest.approx(scores.nats[7:].mean() / 0.6931472, rel=1e-5)
    assert duel.bits_after(model, "", "你好") is None
    assert len(duel.surprise_after(model, "The sea", " was 你calm")) == len(" was calm")


def test_repeated_share_counts_each_character_once():
    assert duel.repeated_chars("abcd" * 2, length=4).mean() == 0.5
    assert duel.repeated_chars("a" * 10, length=4).mean() == 0.9
    assert not duel.repeated_chars("abcdefgh", length=4).any()
    assert not len(duel.repeated_chars(""))


def verdict(bits: float, repeated: float, copied: float | None = None, error: float = 0.05) -> duel.TextFigures:
    return duel.TextFigures(bits, None, copied, repeated, (error, error, error))


def test_verdict_in_words_names_the_text_and_calls_the_rest_chance():
    short = (duel.TextFigures(1.5, None, None, 0), duel.TextFigures(2.5, None, None, 0.5))
    assert duel.in_words(*short) == "The texts do not differ beyond chance in certainty and repetition."
    assert duel.in_words(verdict(1.5, 0), verdict(1.5, 0)) == "The texts do not differ in these figures."
    more_certain = "The left text is more certain (1.04 against 1.56 nats per character)"
    in_repetition = "in repetition they do not differ beyond chance."
    assert duel.in_words(verdict(1.5, 0.1), verdict(2.25, 0.11)) == f"{more_certain}; {in_repetition}"
    assert duel.in_words(verdict(2.0, 0, 0.02), verdict(1.5, 0.5, 0.3), ("first", "second")) == (
        "The second text is more certain (1.04 against 1.39 nats per character), copies more (30 % against 2 %) and "
        "repeats itself more (50 % against 0 %); with another seed neither may fall into a loop."
    )
    assert duel.in_words(verdict(1.5, 0, 0.3), verdict(2.0, 0.2, 0.02)).endswith(
        "and copies more (30 % against 2 %); the right text repeats itself more (20 % against 0 %)."
    )


def test_verdict_of_texts_that_differ_says_so_and_of_short_ones_not():
    model, other = tiny_model(seed=1), tiny_model(seed=2)
    text, loop = "".join(random.Random(1).choices("The sea was calm", k=720)), "The sea was calm. " * 40
    one, two = (duel.text_figures(model, other, "The", each) for each in (text, loop))
    assert two.other_bits == duel.bits_after(other, "The", loop)
    assert "right text repeats itself more" in duel.in_words(one, two)
    short = duel.text_figures(model, model, "The", loop[:300])
    assert (short.errors, short.other_bits) == (None, None)


def test_both_texts_are_in_the_files_with_settings_and_figures():
    figures = duel.TextFigures(1.234, None, 0.5, 0.0)
    sides = [duel.Side(name, [("temperature", "0.8")], "<hi> ", "```\n& text", figures) for name in ("left", "right")]
    for content in (duel.to_markdown(sides), duel.to_html(sides)):
        assert "The texts do not differ in these figures." in content
        assert content.count("0.86") == content.count("50 %") == content.count("temperature") == 2
    assert "\\<hi\\> \\`\\`\\`\\\n\\& text" in duel.to_markdown(sides)
    assert "&lt;hi&gt;" in duel.to_html(sides)


def test_a_quote_that_is_never_closed_counts_once() -> None:
    assert feature_starts("inside quotes", "He said ", '"Never closed. ' + "She went home. " * 50) == 1
    assert feature_starts("inside quotes", 'He said "and then', ' he left" once.') == 0, "it began before the text"
    assert feature_starts("inside quotes", "", '"a" b "c" d') == 2
