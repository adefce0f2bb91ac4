"""Which clips are stored again, augmented, and how: the content of a policy file."""

from __future__ import annotations

from hubbub.config.base import Frozen


class Variants(Frozen):
    """A policy."""
