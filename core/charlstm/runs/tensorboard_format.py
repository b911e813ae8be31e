"""The log of a run as a file for TensorBoard: curves, samples as text, settings as hyperparameters. A text says where
the losses are lower than on new text, because the model had read the held-out part.

Losses are in nats per character. A scalar of TensorBoard is a float32. Needs the package tensorboard, which only this
module imports.
"""

from __future__ import annotations

import io
import textwrap
from typing import Any

from charlstm.errors import RunError
from charlstm.runs.folder import RunFolder
from charlstm.runs.log import lasting_events
from charlstm.text.read_before import MARK, words
from charlstm.training.events import Event, Sampled, Started, Stepped, Validated

FILE_NAME = "events.out.tfevents.charlstm"
"""Always the same, so that a run that is written again replaces its file; TensorBoard reads all files with `tfevents`
in their names."""


def tensorboard_file(run: RunFolder) -> bytes:
    """What ``run`` has logged so far, as the content of a file for TensorBoard.

    Raises :class:`RunError` if the package tensorboard is not installed or the run cannot be read.
    """
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.text.metadata import create_summary_metadata
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError:
        raise RunError(
            "Writing for TensorBoard needs the package tensorboard, which is not installed: pip install tensorboard"
        ) from None
    spec, events = run.spec(), lasting_events(run.events())
    began = events[0].time if events else spec.created
    content = io.BytesIO()
    records = RecordWriter(content)

    def text(tag: str, words: str) -> Any:
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[words.encode("utf-8", "replace")])
        metadata = create_summary_metadata(display_name=None, description="")
        return summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)

    settings = {"text": spec.corpus_name, "preset": spec.preset, **spec.settings.to_dict()}
    known = {name: value for name, value in settings.items() if value is not None}
    records.write(event_pb2.Event(wall_time=began, file_version="brain.Event:2").SerializeToString())
    hyperparameters = hparams_pb(known, trial_id=run.name, start_time_secs=began)
    records.write(event_pb2.Event(wall_time=began, summary=hyperparameters).SerializeToString())
    for event in events:
        values = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in _scalars(event).items()]
        if isinstance(event, Sampled):  # indented, since TensorBoard reads texts as Markdown
            values.append(text("sample", textwrap.indent(event.prime + event.text, "    ", lambda line: True)))
        if isinstance(event, Started) and (said := words(event.read_share, event.read_by or "")):
            values.append(text("read before", f"{MARK} {said}"))
        if values:
            summary = summary_pb2.Summary(value=values)
            records.write(event_pb2.Event(wall_time=event.time, step=event.step, summary=summary).SerializeToString())
    return content.getvalue()


def _scalars(event: Event) -> dict[str, float]:
    """The figures of an event by the names of their curves."""
    match event:
        case Stepped():
            figures = {name: getattr(event, name) for name in ("lr", "grad_norm", "chars_per_second")}
            return {"loss/train": event.train_loss, **figures}
        case Validated():
            return {"loss/final" if event.whole else "loss/validation": event.loss}
    return {}
