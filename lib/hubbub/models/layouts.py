"""Dimensions of networks' inputs and outputs by name: values into the order that a file takes, outputs out of it.

::

    windows [window, sample]       --arrange-->  [batch, 1, sample]   as input.layout says
    [batch, frame, label] as it is  --read-->    [window, frame, label]
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hubbub.config.foreign import Axis, Layout, say_layout
from hubbub.models.runtimes import Port


def arrange(values: npt.NDArray[np.float32], axes: Layout, layout: Layout) -> npt.NDArray[np.float32]:
    """Put values in the order of a layout.

    Parameters
    ----------
    values
        float32, one dimension for each of `axes`.
    axes
        What lies along them, such as ``("batch", "frame", "band")``. A batch that the layout lacks has the length 1.
    layout
        The order wanted; 1 stands for a dimension of length 1.
    """
    if "batch" in axes and "batch" not in layout:
        values, axes = values[0], axes[1:]
    ordered = values.transpose([axes.index(axis) for axis in layout if axis != 1])
    return np.ascontiguousarray(ordered.reshape(_insert_ones(ordered.shape, layout)))


def read_output(values: np.ndarray, layout: Layout, own: Axis) -> npt.NDArray[np.float32] | None:
    """Read an output as float32 [window, frame, label or dimension]; None where its shape is not the layout's.

    A layout without frames has one, one without batch one window.
    """
    if values.ndim != len(layout) or any(
        axis == 1 and length != 1 for axis, length in zip(layout, values.shape, strict=True)
    ):
        return None
    axes: list[Axis] = [axis for axis in layout if axis != 1]
    held = values.reshape([length for axis, length in zip(layout, values.shape, strict=True) if axis != 1])
    wanted: list[Axis] = ["batch", "frame", own]
    for axis in wanted[:2]:
        if axis not in axes:
            held, axes = held[None], [axis, *axes]
    return np.asarray(held.transpose([axes.index(axis) for axis in wanted]), np.float32)


def find_mismatch(port: Port, layout: Layout, lengths: Mapping[Axis, int]) -> str | None:
    """Say why a layout does not fit an input or output; None where it does.

    Parameters
    ----------
    lengths
        What is known of the lengths of dimensions, by what lies along them.
    """
    if port.shape is None:
        return None
    if len(port.shape) != len(layout):
        return f"it has {len(port.shape)} dimensions, and the layout {say_layout(layout)} {len(layout)}"
    for axis, length in zip(layout, port.shape, strict=True):
        wanted = 1 if axis == 1 else lengths.get(axis)
        if length is not None and wanted is not None and length != wanted:
            what = "the length 1" if axis == 1 else f"{wanted} of {axis}"
            return f"its dimension {say_layout(layout)} has {length} where {what} was expected"
    return None


def _insert_ones(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    lengths = iter(shape)
    return tuple(1 if axis == 1 else next(lengths) for axis in layout)
