"""Reviews: verdicts of people on stretches of recordings, as they lie on a disk or in a bucket, and their reading.

What writes them, and what they give, is in `hubbub.labels.reviews`. Parts are small Parquet files, none of which is
ever written twice::

    LABELS/reviews/
      <session>-00000064.parquet            one decision, number 64 of its session
      <session>-00000000-00000063.parquet   decisions 0 to 63 of a session, merged

Every name stands for the same decisions for ever, so that new names are new decisions, and what was read of a part may
be kept by its name.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.errors import LabelsError
from hubbub.io.atomic import explain_read_errors, read_bytes
from hubbub.io.folders import list_names
from hubbub.io.paths import StoragePath, is_local, parse_path

FOLDER = "reviews"
"""Where reviews lie in label tables."""

REVIEW_SCHEMA = pa.schema(
    [
        pa.field("event", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("reviewer", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("event_label", pa.string(), nullable=False),
        pa.field("onset_s", pa.float64(), nullable=False),
        pa.field("offset_s", pa.float64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("session", pa.string(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
    ]
)
"""The columns of reviews, one row a decision."""

SUFFIX = ".parquet"
_TRIES = 20
_PAUSE_S = 0.05
_READS_AT_ONCE = 16  # of objects in a bucket, where requests wait more than they compute
_DESCRIBING = ["uri", "clip_id", "event_label", "onset_s", "offset_s", "score", "source"]


class MissingReviews(LabelsError):
    """A part of reviews that was listed is there no longer: its session has merged it into another."""


def list_parts(labels_path: StoragePath) -> list[str]:
    """Names of the parts of label tables' reviews, sorted; none where nobody has reviewed.

    It reads no part: two lists differ where anybody has decided something in between.

    Raises
    ------
    UsageError
        When the bucket cannot be reached, or does not let us in.
    """
    folder = labels_path / FOLDER
    with explain_read_errors(folder):
        return sorted(name for name in list_names(folder) if name.endswith(SUFFIX) and not name.startswith("."))


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


def settle_verdicts(verdicts: pd.DataFrame, kind: str = "event") -> pd.DataFrame:
    """Settle on one word an event: what most reviewers say who say yes or no.

    Parameters
    ----------
    verdicts
        As `current_verdicts` gives them: one a reviewer and event.
    kind
        ``event`` or ``window``: others are left out.

    Returns
    -------
    pandas.DataFrame
        One row an event, in the order of the first verdicts: event; uri, clip_id, event_label, onset_s, offset_s, score
        and source of the last verdict; yes, no and unsure, how many say so; and outcome: ``right``, ``wrong``, ``tied``
        where as many say yes as no, or ``unsure`` where nobody says either.
    """
    own = verdicts[verdicts["kind"] == kind]
    said = {name: (own["verdict"] == name).to_numpy(np.int64) for name in ("yes", "no", "unsure")}
    groups = own[["event", *_DESCRIBING]].assign(**said).groupby("event", sort=False)
    last = dict.fromkeys(_DESCRIBING, "last")
    events = groups.agg({**last, "yes": "sum", "no": "sum", "unsure": "sum"}).reset_index()
    yes, no = events["yes"].to_numpy(), events["no"].to_numpy()
    outcome = np.select([yes > no, no > yes, yes > 0], ["right", "wrong", "tied"], "unsure")
    return events.assign(outcome=pd.Series(outcome, events.index, object))


def read_part(labels_path: StoragePath, name: str) -> pa.Table:
    """Read one part; columns as in `REVIEW_SCHEMA`.

    Raises
    ------
    MissingReviews
        When it is there no longer.
    LabelsError
        When it is torn, or holds something else than reviews.
    UsageError
        When the bucket cannot be reached.
    """
    path = labels_path / FOLDER / name
    try:
        with explain_read_errors(path):
            data = read_bytes(path)
    except FileNotFoundError:
        raise MissingReviews(f"{path} is missing, though it was there; read the reviews again") from None
    except OSError as error:
        raise LabelsError(f"{path} cannot be read: {error}; make it readable, or move it away") from None
    try:
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False, page_checksum_verification=True)
        table = file.read(use_threads=False).replace_schema_metadata(None)
        table.validate(full=True)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise LabelsError(f"{path} cannot be read ({error}); move it away: its decisions are lost") from None
    held = {field.name: field.type for field in table.schema}
    if held != {field.name: field.type for field in REVIEW_SCHEMA}:
        raise LabelsError(f"{path} holds no reviews (its columns are {', '.join(held) or 'none'}); move it away")
    if any(table[field.name].null_count for field in REVIEW_SCHEMA if not field.nullable):
        raise LabelsError(f"{path} holds no reviews (a decision lacks a value); move it away")
    return table.select(REVIEW_SCHEMA.names)


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
