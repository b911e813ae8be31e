"""A run that is trained once for all tests of this folder."""

import pytest

from trained import Trained, trained


@pytest.fixture(scope="session")
def whole() -> Trained:
    """An uninterrupted run, with which others are compared. Who changes its states trains one of their own."""
    return trained()
