"""Reading of reviews: every decision in order, and each reviewer's last word."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow as pa

from hubbub.errors import LabelsError
from hubbub.io.paths import StoragePath, is_local, parse_path
from hubbub.labels.reviews.parts import MissingReviews, list_parts, read_part
from hubbub.labels.reviews.schema import FOLDER, REVIEW_SCHEMA

__all__ = ["current_verdicts", "list_parts", "read_reviews"]

_TRIES = 20
_PAUSE_S = 0.05
_READS_AT_ONCE = 16  # of objects in a bucket, where requests wait more than they compute


def read_reviews(labels_path: str | StoragePath) -> pd.DataFrame:
    """Read every decision on label tables; others may write at the same time.

    Parameters
    ----------
    labels_path
        The folder of the label tables.

    Returns
    -------
    pandas.DataFrame
        The columns of `REVIEW_SCHEMA`, in order of `at`, `session` and `number`; no rows where nobody has reviewed.

    Raises
    ------
    LabelsError
        When a part is torn, or holds something else.
    UsageError
        When the bucket cannot be reached.
    """
    path = parse_path(labels_path)
    names = list_parts(path)
    for _ in range(_TRIES):
        tables = _read_all(path, names)
        again = list_parts(path)
        # Sessions merge: the new part is there before the old ones go. What was read is all there was where no name
        # went and no merged one came.
        if tables is not None and not set(names) - set(again) and not any(map(_is_merged, set(again) - set(names))):
            return _sort(tables)
        names = again
        time.sleep(_PAUSE_S)
    raise LabelsError(f"{path / FOLDER} changes faster than it can be read; read it again when nobody reviews")


def current_verdicts(reviews: pd.DataFrame) -> pd.DataFrame:
    """Keep each reviewer's last word on each event, and on each window; those undone are left out.

    Parameters
    ----------
    reviews
        As `read_reviews` gives them.

    Returns
    -------
    pandas.DataFrame
        The same columns, in the same order.
    """
    last = reviews.drop_duplicates(["reviewer", "kind", "event"], keep="last")
    return last[last["verdict"] != "undone"].reset_index(drop=True)


def _is_merged(name: str) -> bool:
    return name.count("-") > 1


def _read_all(path: StoragePath, names: Sequence[str]) -> list[pa.Table] | None:
    """The parts; None where one is gone."""
    try:
        if is_local(path) or len(names) < 2:
            return [read_part(path, name) for name in names]
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            return list(pool.map(lambda name: read_part(path, name), names))
    except MissingReviews:
        return None


def _sort(tables: list[pa.Table]) -> pd.DataFrame:
    frame = pa.concat_tables([REVIEW_SCHEMA.empty_table(), *tables]).to_pandas()
    # A kill while a session merges leaves decisions in two parts.
    frame = frame.drop_duplicates(["session", "number"])
    label = frame["label"].astype(object)
    frame["label"] = label.where(label.notna(), None)
    return frame.sort_values(["at", "session", "number"], kind="stable", ignore_index=True)
