"""Plain marks in the place of typographic ones that a model does not know."""

from __future__ import annotations

from charlstm.generation.typography import in_words, with_plain_marks


def test_plain_marks_are_those_that_are_known() -> None:
    assert with_plain_marks("é", "e\u0301") == ("e\u0301", {})  # the same letter, written in another way
    assert with_plain_marks("e\u0301", "eé") == ("é", {})
    assert with_plain_marks("…ﬁn", "fin.") == ("...fin", {"…": "...", "ﬁ": "fi"})
    assert with_plain_marks("a–b☃", "ab-") == ("a-b☃", {"–": "-"})
    assert with_plain_marks("“é”", '“é”"e') == ("“é”", {})


def test_replacements_are_said_unless_they_look_alike() -> None:
    assert in_words({"é": "e", "\t": " "}) == "Not known to the model, put in plainly: é as e, tab as space."
    assert in_words({"\u00a0": " "}) == ""
