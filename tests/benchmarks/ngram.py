"""Print what an n-gram model with modified Kneser–Ney smoothing reaches on the held-out part of a text.

    python tests/benchmarks/ngram.py TEXT … [--order 8] [--as-is]

The text is read and split as ``charlstm train`` does it. Interpolated, with the three discounts of
Chen and Goodman, *An Empirical Study of Smoothing Techniques for Language Modeling* (1998), at every order; below the
lowest order all characters are equally likely.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charlstm import TextOptions, open_corpus, preset
from charlstm.text.corpus import Corpus

Numbers = NDArray[np.int64]


def gram_numbers(characters: Numbers, order: int) -> list[Numbers]:
    """For each length n up to ``order``: the number of the n-gram that ends at each position, equal for equal ones."""
    grams = [characters]
    for _ in range(order - 1):
        before = np.concatenate(([-1], grams[-1][:-1]))
        _, numbers = np.unique((before + 1) * (int(characters.max()) + 1) + characters, return_inverse=True)
        grams.append(numbers.astype(np.int64))
    return grams


def held_out_loss(characters: Numbers, trained: int, vocabulary: int, order: int) -> float:
    """Nats per character of ``characters[trained:]`` under the n-grams of those before."""
    grams = gram_numbers(characters, order)
    held_out = np.arange(trained, len(characters))
    likelihood = np.full(len(held_out), 1 / vocabulary)
    for n in range(1, order + 1):
        gram = grams[n - 1]
        context = np.zeros_like(gram) if n == 1 else np.concatenate(([0], grams[n - 2][:-1]))
        if n == order:
            found, counts = np.unique(gram[n - 1 : trained], return_counts=True)
        else:  # continuation counts: how many different characters stand before the n-gram
            longer = np.unique(grams[n][n:trained], return_index=True)[1] + n
            found, counts = np.unique(gram[longer], return_counts=True)
        count = np.zeros(int(gram.max()) + 1, np.int64)
        count[found] = counts
        where = np.zeros_like(count)
        where[gram[:trained]] = context[:trained]  # the context of each n-gram
        size = int(context.max()) + 1
        of_context = where[found]
        total = np.bincount(of_context, counts, size)
        singles, pairs, more = (np.bincount(of_context[kind], minlength=size) for kind in kinds(counts))
        discount = discounts(counts)
        left = discount[1] * singles + discount[2] * pairs + discount[3] * more
        own = count[gram[held_out]]
        here = context[held_out]
        known = total[here] > 0
        kept = own - discount[np.minimum(own, 3)]
        mixed = (kept[known] + left[here[known]] * likelihood[known]) / total[here[known]]
        likelihood[known] = mixed
    return float(-np.log(likelihood).mean())


def kinds(counts: Numbers) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    return counts == 1, counts == 2, counts > 2


def discounts(counts: Numbers) -> NDArray[np.float64]:
    """What is taken from counts of 0, 1, 2 and more."""
    n1, n2, n3, n4 = (max(1, int((counts == k).sum())) for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    return np.clip([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3], 0, [0, 1, 2, 3])


def held_out_from(corpus: Corpus) -> int:
    """Where the part begins that ``quick`` holds out."""
    return corpus.split(preset("quick", corpus.chars).val_fraction).train[0].stop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="+")
    parser.add_argument("--order", type=int, nargs="+", default=[8])
    parser.add_argument("--as-is", action="store_true")
    options = parser.parse_args()
    reading = TextOptions() if options.as_is else TextOptions(lines="auto", strip_boilerplate=True)
    for text in options.text:
        corpus = open_corpus(text, reading)
        characters = np.array(corpus.ids, np.int64)
        for order in options.order:
            loss = held_out_loss(characters, held_out_from(corpus), len(corpus.vocabulary), order)
            print(Path(text).name, order, f"{loss:.4f}", flush=True)


if __name__ == "__main__":
    main()
