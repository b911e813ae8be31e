"""Write the texts of the lesson: python checkpoints/lesson_texts.py FOLDER. Each time the same bytes.

``words.txt`` and ``recites.txt`` read like simple English, from the lists and patterns below. ``brackets.txt`` is a
language by rule, whose state is known at each character: which brackets are open, whether a quote is open, and the last
digit of a number, of which each digit is one more than the one before.
"""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

WORDS, RECITES, BRACKETS = 300_000, 8_000, 200_000
"""Characters of the three texts, about."""

LISTS = {
    "name": "Anna Ben Clara David Emma Frank Grace Henry Ida Jacob Kate Leo Mary Nora Oscar Paul Rose Sam Tom Vera",
    "person": "baker captain child doctor farmer fisherman gardener girl boy king miller painter queen sailor smith "
    "soldier stranger teacher traveller woman",
    "animal": "bear bird cat cow crow dog donkey duck fish fox goat goose hare hen horse mouse owl pig sheep wolf",
    "thing": "apple basket bell blanket boat book bottle box bread candle chair coin cup door flower hat key knife "
    "lamp letter map mirror ring rope shoe spoon stone sword table violin window wheel",
    "place": "bakery bridge castle cellar church field forest garden harbour hill house island kitchen lake market "
    "meadow mill mountain river road school shore stable tower valley village",
    "adjective": "big black blue bright brown clean cold dark dry empty good green heavy kind little long new old "
    "quiet red round small soft strange strong tired warm white wild wise yellow young",
    "did": "bought carried cleaned counted dropped followed forgot found gave hid kept lifted lost opened painted "
    "pulled pushed remembered saw sold stole took touched turned wanted washed watched",
    "do": "buy carry clean count drop follow forget find hide keep lift lose open paint pull push remember see sell "
    "take touch turn want wash watch",
    "went": "came climbed crept danced fell flew hurried marched ran rode sailed sat slept stood swam waited walked "
    "wandered went",
    "to": "across|behind|from|in|near|over|past|through|to|towards|under",
    "when": "in the morning|at noon|in the evening|at night|on Monday|on Friday|on Sunday|in spring|in summer|in winter"
    "|after the rain|before breakfast|after supper|the next day|long ago|once more",
    "how": "again|alone|at last|gently|happily|in silence|loudly|often|quickly|sadly|slowly|suddenly|twice|with care",
    "said": "answered asked called cried laughed said shouted sighed thought whispered",
    "number": "two three four five six seven eight nine ten twelve twenty",
}
PATTERNS = {
    "who": ["{name}", "{name}", "the {person}", "the {adjective} {person}", "the {animal}", "the {adjective} {animal}"],
    "what": ["the {thing}", "the {adjective} {thing}", "a {thing}", "{number} {adjective} {thing}s", "the {animal}"],
    "where": ["{to} the {place}", "{to} the {adjective} {place}"],
    "clause": ["{who} {did} {what}", "{who} {did} {what} {where}", "{who} {went} {where}", "{who} {went} {how}"],
    "speech": [
        "I {did} {what}", "do not {do} {what}", "we must {do} {what} {when}", "where is {what}", "{who} {went} {where}",
        "I will {do} {what}, and you will {do} {what}", "can you see {what} {where}", "there is nobody {where}",
    ],
    "sentence": [
        "{clause}.", "{clause} {when}.", "{when} {clause}.", "{clause}, and {clause}.", "{clause}, but {clause}.",
        "when {clause}, {clause}.", "there was a {adjective} {thing} {where}.",
        "{who} was {adjective}, and {who} was {adjective}.",
        '"{speech}," {said} {who}.', '"{speech}," {said} {who}, "and {speech}."', '{who} {said}: "{speech}."',
    ],
}  # fmt: skip


def choices() -> dict[str, list[str]]:
    """What each name within braces stands for."""
    return {name: re.split(r"\|" if "|" in words else " ", words) for name, words in LISTS.items()} | PATTERNS


def written(draw: random.Random, known: dict[str, list[str]], pattern: str) -> str:
    """``pattern`` with a choice, and choices within it, for each name within braces."""
    return re.sub(r"{(\w+)}", lambda name: written(draw, known, draw.choice(known[name[1]])), pattern)


def sentence(draw: random.Random, known: dict[str, list[str]]) -> str:
    text = re.sub(r"\ba(?= [aeiou])", "an", written(draw, known, "{sentence}"))
    text = re.sub(r'^\W?\w|(?<=: ")\w', lambda first: first[0].upper(), text)
    return re.sub(r'(?<="Where is )([^,]*),', r"\1?", text)


def prose(seed: int, chars: int) -> str:
    """Paragraphs of three to seven sentences, one on each line."""
    draw, known, lines = random.Random(seed), choices(), []
    while sum(map(len, lines)) < chars:
        lines.append(" ".join(sentence(draw, known) for _ in range(draw.randint(3, 7))) + "\n")
    return "".join(lines)


def brackets(seed: int, chars: int) -> str:
    """Lines of words, numbers, quotes and nested brackets."""
    draw, lines = random.Random(seed), []

    def word() -> str:
        return "".join(draw.choices(("ba", "do", "ki", "lu", "me", "na", "ro", "ti"), k=draw.randint(1, 2)))

    def number() -> str:
        first = draw.randint(0, 8)
        return "".join(map(str, range(first, draw.randint(first + 1, min(9, first + 4)) + 1)))

    def part(depth: int) -> str:
        kind = draw.random()
        if kind < 0.22 and depth < 4:
            opening, closing = draw.choice(("()", "[]", "{}"))
            return opening + parts(depth + 1) + closing
        if kind < 0.36:
            return '"' + " ".join(word() for _ in range(draw.randint(2, 6))) + '"'
        return number() if kind < 0.5 else word()

    def parts(depth: int) -> str:
        return " ".join(part(depth) for _ in range(draw.randint(2, 5)))

    while sum(map(len, lines)) < chars:
        lines.append(parts(0) + "\n")
    return "".join(lines)


def main(folder: str) -> None:
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    texts = {"words": prose(1, WORDS), "recites": prose(2, RECITES), "brackets": brackets(3, BRACKETS)}
    for name, text in texts.items():
        (place / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
