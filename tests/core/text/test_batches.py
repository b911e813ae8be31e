import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.text.batches import NO_TARGET, Batches
from charlstm.text.corpus import Span
from random_examples import examples


@st.composite
def texts(draw: st.DrawFn) -> tuple[int, list[Span]]:
    chars = draw(st.integers(1, 400))
    edges = sorted(draw(st.lists(st.integers(0, chars), max_size=10)))
    return chars, [Span(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=False)]


@examples(60)
@given(texts(), st.integers(1, 20), st.integers(1, 30))
def test_batches_have_every_target_once_with_its_input_and_only_fresh_rows_do_not_continue(
    text: tuple[int, list[Span]], batch_size: int, seq_length: int
) -> None:
    chars, spans = text
    batches = Batches(np.arange(chars, dtype=np.uint16), spans, batch_size, seq_length)
    targets: list[int] = []
    last = np.full(batch_size, -2)
    for batch in map(batches.batch, range(batches.steps_per_epoch)):
        assert batch.inputs.shape == batch.targets.shape == (seq_length, batch_size)
        assert batch.inputs.dtype == batch.targets.dtype == np.int64
        valid = batch.targets != NO_TARGET
        assert (batch.targets[valid] == batch.inputs[valid] + 1).all()
        assert batch.chars == valid.sum() > 0
        targets.extend(batch.targets[valid].tolist())
        for row in range(batch_size):
            read = batch.inputs[valid[:, row], row]
            if not len(read):
                assert batch.resets[row]
                continue
            assert (np.diff(read) == 1).all()
            assert batch.resets[row] or read[0] == last[row] + 1
            last[row] = read[-1]
    assert sorted(targets) == sorted(at for start, stop in spans for at in range(start + 1, stop))
    assert batches.chars == len(targets)


def test_batch_depends_only_on_step_modulo_epoch() -> None:
    batches = Batches(np.arange(100), [(0, 100)], 3, 7)
    assert batches.steps_per_epoch == 5
    one, again = batches.batch(2), batches.batch(2 + 4 * 5)
    assert (one.inputs == again.inputs).all()
    assert (one.resets == again.resets).all()
    assert batches.batch(5).resets.all()


def test_rows_are_contiguous_parts_of_the_text() -> None:
    batch = Batches(np.arange(13), [(0, 13)], 2, 3).batch(0)
    assert batch.inputs.T.tolist() == [[0, 1, 2], [6, 7, 8]]
    assert batch.targets.T.tolist() == [[1, 2, 3], [7, 8, 9]]


@pytest.mark.parametrize("spans", [[], [(0, 0)], [(0, 1), (5, 6)]])
def test_spans_without_targets_have_no_steps(spans: list[tuple[int, int]]) -> None:
    batches = Batches(np.arange(9), spans, 4, 5)
    assert batches.steps_per_epoch == 0
    with pytest.raises(IndexError, match="two characters"):
        batches.batch(0)
