"""The program's own folders on this system: cache, state and data; and the user's configuration.

An environment variable can move each of them. Where runs are kept is decided in ``charlstm.runs``.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from charlstm.errors import CharLSTMError
from charlstm.storage import PRIVATE_FOLDER

_APP = "charlstm"


def cache_dir() -> Path:
    """The folder of prepared texts and this machine's measurements; it may be emptied at any time.

    ``CHARLSTM_CACHE`` moves it. Raises :class:`CharLSTMError` when it cannot be created, as the functions below do.
    """
    return _private_folder("CHARLSTM_CACHE", platformdirs.user_cache_path(_APP, appauthor=False))


def state_dir(*, make: bool = True) -> Path:
    """The folder of what is kept between starts: a list of runs, the app's settings. ``CHARLSTM_STATE`` moves it."""
    return _private_folder("CHARLSTM_STATE", platformdirs.user_state_path(_APP, appauthor=False), make)


def data_dir() -> Path:
    """The folder of fetched texts, and of runs when no other is chosen. It may not exist yet. ``CHARLSTM_DATA`` moves
    it."""
    return _private_folder("CHARLSTM_DATA", platformdirs.user_data_path(_APP, appauthor=False), make=False)


def config_path() -> Path:
    """Where the user's configuration is: the file that ``CHARLSTM_CONFIG`` names, or ``config.toml`` in the platform's
    folder of configurations."""
    chosen = os.environ.get("CHARLSTM_CONFIG")
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()
    return platformdirs.user_config_path(_APP, appauthor=False) / "config.toml"


def _private_folder(variable: str, default: Path, make: bool = True) -> Path:
    """The folder; created, private to the user (0700), unless ``make`` is false."""
    chosen = os.environ.get(variable)
    folder = Path(os.path.expanduser(chosen)).absolute() if chosen else default
    if not make:
        return folder
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CharLSTMError(
            f"The folder {folder} cannot be created ({reason}): set {variable} to a folder that can be written"
        ) from None
    return folder
