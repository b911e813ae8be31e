"""Which prepared texts the runs need, so that the cache keeps them."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from charlstm import storage
from charlstm.display import visible
from charlstm.errors import RunError
from charlstm.runs.folder import FORMAT, MAX_SPEC_BYTES, Run, runs_dir
from charlstm.runs.index import remembered_paths


def fingerprints_of_texts() -> set[str]:
    """The fingerprints of the texts of all known runs, also of runs whose settings this version cannot read.

    The cache may hold the only copy of such a text. Raises :class:`RunError` for a run that does not say which text it
    needs.
    """
    started = remembered_paths(every=True)
    inside = []
    with contextlib.suppress(OSError):  # there are no runs yet; known ones have their own path
        inside = [path.absolute() for path in runs_dir().iterdir() if not path.name.startswith(".")]
    found = set()
    for path in dict.fromkeys([*inside, *started]):
        run = Run(path)
        try:
            values = storage.read_json(run.spec_path, most=MAX_SPEC_BYTES)
        except (FileNotFoundError, NotADirectoryError, storage.NotAFileError):
            continue
        except OSError as error:
            if path in started or os.path.isfile(run.spec_path):
                reason = f"The run {run.name} cannot be read ({error.strerror})"
                raise _unknown(run, reason, "make it readable") from None
            continue
        except ValueError:
            if path in started or run.exists():
                raise _damaged(run) from None
            continue
        if run.exists() and (fingerprint := _fingerprint(run, values)) is not None:
            found.add(fingerprint)
    return found


def _fingerprint(run: Run, values: Any) -> str | None:
    """The fingerprint in ``values``, the content of ``run.json``; None when the run has not read its text yet."""
    version = values.get("format") if isinstance(values, dict) else None
    if type(version) is not int:
        raise _damaged(run)
    corpus = values.get("corpus")
    fingerprint = corpus.get("fingerprint") if isinstance(corpus, dict) else None
    if isinstance(fingerprint, str):
        return fingerprint
    if version > FORMAT:
        raise _unknown(run, f"The run {run.name} was written by a newer charlstm", "update charlstm")
    if not isinstance(corpus, dict) or fingerprint is not None:
        raise _damaged(run)
    return None


def _damaged(run: Run) -> RunError:
    return _unknown(run, f"The run {run.name} has a damaged run.json", "restore the file")


def _unknown(run: Run, reason: str, remedy: str) -> RunError:
    return RunError(
        visible(
            f"{reason}, so that it is not known which text it needs, and no text was removed: {remedy}, or delete "
            f"{run.path}",
            keep="",
        )
    )
