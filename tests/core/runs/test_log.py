from __future__ import annotations

from pathlib import Path

import pytest

from charlstm.errors import RunError
from charlstm.runs.log import EventLog, EventTail, read_events
from charlstm.training.events import Event, Sampled, Warned, to_line
from faulty_disk import FaultyDisk, use_disk


def warning(step: int) -> Event:
    return Warned(step=step, time=float(step), message=f"no. {step} – ünïcode 你好")


def test_events_are_read_as_written_each_once_however_they_arrive(tmp_path: Path) -> None:
    events = [warning(1), Sampled(step=2, time=2.0, prime="a", text="\x00\n\x1b[2J\ud800\u2028"), warning(3)]
    log = EventLog(tmp_path / "events.jsonl")
    for event in events:
        log.append(event)
    log.close()
    assert list(read_events(tmp_path / "events.jsonl")) == events
    tail, seen = EventTail(tmp_path / "slow.jsonl"), []
    with (tmp_path / "slow.jsonl").open("wb", buffering=0) as file:
        for byte in (tmp_path / "events.jsonl").read_bytes():
            file.write(bytes([byte]))
            seen += tail.read()
    assert seen == events


def test_event_log_removes_an_incomplete_line_and_readers_skip_other_lines(tmp_path: Path) -> None:
    path, long = tmp_path / "events.jsonl", b"x" * 9_000_000
    path.write_bytes(to_line(warning(1)).encode() + b'\n{"event":"step"}\n\nnonsense\n' + long + b'\n{"event":"warn')
    tail = EventTail(path)
    assert [event.step for event in tail.read()] == [1]
    log = EventLog(path)
    log.append(warning(2))
    log.close()
    assert [event.step for event in tail.read()] == [2]


def test_event_tail_reads_a_log_that_was_replaced_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(to_line(warning(step)) + "\n" for step in (1, 2)), encoding="utf-8")
    tail = EventTail(path)
    assert len(tail.read()) == 2
    path.write_text(to_line(warning(3)) + "\n", encoding="utf-8")
    assert [event.step for event in tail.read()] == [3]


def test_event_tail_refuses_a_newer_format(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    rest = '"planned_steps":1,"steps_per_epoch":1,"parameters":1,"train_chars":1,"val_chars":1,"device":"cpu"'
    path.write_text(f'{{"event":"started","step":0,"time":0,"format":99,{rest},"kernel":"nn","threads":1}}\n')
    tail = EventTail(path)
    for _ in range(2):  # and goes on saying so to who follows the log
        with pytest.raises(RunError, match="newer charlstm"):
            tail.read()


def test_missing_log_has_no_events_and_an_unreadable_one_is_one_sentence(tmp_path: Path) -> None:
    assert EventTail(tmp_path / "none").read() == []
    with pytest.raises(RunError, match="cannot be read"):
        EventTail(tmp_path).read()


def test_torn_line_that_cannot_be_removed_at_once_is_removed_before_the_next_line(tmp_path: Path) -> None:
    """Else the next event would be appended to the torn line, and readers skip such a line."""
    log = EventLog(tmp_path / "events.jsonl")
    log.append(warning(1))
    with use_disk(FaultyDisk(0, half=True, again=True)):
        for _ in range(2):
            with pytest.raises(OSError, match="space"):
                log.append(warning(2))
    for step in (2, 3):
        log.append(warning(step))
    log.close()
    assert [event.step for event in read_events(tmp_path / "events.jsonl")] == [1, 2, 3]
