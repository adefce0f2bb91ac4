"""Columns of text that are numbers: which are, and what a number would not keep."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from pandas.api.extensions import ExtensionArray
from pandas.arrays import FloatingArray, IntegerArray

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+(,[0-9]+)?\s*")
_CODE = re.compile(r"\s*[+-]?(0[0-9]+.*|[0-9]{16,})\s*")
"""What a float would not keep: zeros in front, and more digits than it has."""

Cells = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]


def parse_numbers(cells: Cells, missing: Mask) -> Cells | ExtensionArray:
    """Parse a column as whole or other numbers, if each cell is one and nothing is lost by it.

    Parameters
    ----------
    cells
        Text, None where a cell is empty.
    missing
        Where they are empty.

    Returns
    -------
    column
        Int64 or Float64; the cells as they are where they are no numbers.
    """
    there = cells[~missing]
    if _fit(there, _WHOLE):
        whole = np.zeros(len(cells), np.int64)
        try:
            whole[~missing] = [int(cell) for cell in there]
        except OverflowError:
            return cells
        return IntegerArray(whole, missing)
    if not _fit(there, _NUMBER) or any(map(_CODE.fullmatch, there)):
        return cells
    numbers = np.zeros(len(cells))
    numbers[~missing] = [float(cell) for cell in there]
    return FloatingArray(numbers, missing) if np.isfinite(numbers).all() else cells


def replace_decimal_commas(cells: Cells, missing: Mask) -> Cells | None:
    """Write points for the commas of a column of numbers; None: it is no such column."""
    there = cells[~missing]
    if not _fit(there, _DECIMAL_COMMA) or not any("," in cell for cell in there):
        return None
    plain = cells.copy()
    plain[~missing] = [cell.replace(",", ".") for cell in there]
    return plain


def _fit(cells: Cells, shape: re.Pattern[str]) -> bool:
    return len(cells) > 0 and all(map(shape.fullmatch, cells))
