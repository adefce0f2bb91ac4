"""How many examples hypothesis tries: in CI a third, the same ones in every run; all where a person runs the tests."""

from __future__ import annotations

import os

IS_CI = bool(os.environ.get("CI"))


def count_examples(number: int) -> int:
    """Return how many of `number` examples are tried here."""
    return -(-number // 3) if IS_CI else number
