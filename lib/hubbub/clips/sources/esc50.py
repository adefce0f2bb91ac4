"""A CSV in ESC-50's shape: filename, fold, category, and src_file, the recording a clip was cut from.

K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015, doi 10.1145/2733373.2806390.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from hubbub.clips.sources import Columns, Listing
from hubbub.clips.sources.csv import listing, read_content, read_frame
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath

_COLUMNS = Columns(path="filename", label="category", fold="fold")


def fits(source: StoragePath) -> bool:
    """Whether a file is a CSV with the columns this reader needs."""
    try:
        return {"filename", "category", "fold"} <= set(pd.read_csv(read_content(source), nrows=0).columns)
    except (OSError, ValueError):
        return False


def read(source: StoragePath, columns: Columns) -> Listing:
    """List the clips; those cut from one recording (`src_file`) are one group."""
    if columns != Columns():
        raise ClipTableError(f"{source}: format esc50 has columns of its own; for others say --format csv")
    shape = replace(_COLUMNS, group="src_file")
    frame = read_frame(source, shape)
    return listing(source, frame, shape if "src_file" in frame else _COLUMNS)
