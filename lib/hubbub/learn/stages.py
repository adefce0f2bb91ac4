"""Stages of a training: epochs in which one part of a network trains, at a rate of its own.

::

    one stage       rows -> the network
    head            rows -> frozen layers -> outputs, kept -> the layers after them
    two             the same; then rows -> the network, of which the upper layers train

Most recipes have one stage. What is in here needs no Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubbub.config.recipes import ModelSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Parts:
    """What a stage makes of a network; layers are shared with it."""

    fitted: Any
    """A `keras.Model` whose weights train: the network, or the layers after the frozen ones."""

    frozen: Any = None
    """A `keras.Model`, the layers before them: rows to outputs, [row, value], which are the same at every epoch. None:
    rows go through the whole network."""

    adapt: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], None] | None = None
    """Takes mean and standard deviation, [value], of the training rows' outputs."""


def keep_whole(network: Any) -> Parts:
    """Train the network as it was built."""
    return Parts(network)


@dataclass(frozen=True)
class Stage:
    """Some epochs."""

    first: int
    """Epochs done before it."""

    last: int
    """Epochs done at its end."""

    learning_rate: float
    """The highest, where the recipe has a schedule."""

    part: Callable[[Any], Parts] = keep_whole
    """Freezes what does not train of a network, and returns what does."""

    @property
    def epochs(self) -> int:
        """Epochs that it has."""
        return self.last - self.first


def plan_one_stage(epochs: int, model: ModelSettings) -> tuple[Stage, ...]:
    """Train the whole network in all epochs."""
    return (Stage(0, epochs, model.learning_rate),)
