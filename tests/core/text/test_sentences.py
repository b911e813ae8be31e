"""Where sentences end."""

import pytest

from charlstm.text.sentences import ends_sentence, sentences


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("She left. He stayed!  “Why?” he said.", ["She left.", "He stayed!", "“Why?”", "he said."]),
        ("He met Mr. Brown at St. Paul today. So did I.", ["He met Mr. Brown at St. Paul today.", "So did I."]),
        ("So did I. Then came Dr. J. Smith.", ["So did I.", "Then came Dr. J. Smith."]),
        ("Plan B! Who is X? She.", ["Plan B!", "Who is X?", "She."]),  # it is the dot that may not end one
        ("Firm. AM. Yes", ["Firm.", "AM.", "Yes"]),  # only whole words are abbreviations
        ("A title\n\nA sentence", ["A title", "A sentence"]),
    ],
)
def test_text_is_divided_into_sentences(text: str, found: list[str]) -> None:
    assert [text[start:stop] for start, stop in sentences(text)] == found


@pytest.mark.parametrize(("text", "ends"), [("He went. ", True), ("He went.", False), ("He met Mrs. ", False)])
def test_generation_knows_the_end_of_a_sentence(text: str, ends: bool) -> None:
    assert ends_sentence(text) is ends
