"""The formats on disk, written from the schemas that write them: column, type, whether it may be null, meaning.

A column that has no meaning in `MEANINGS` stops the build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa

from hubbub.clips.reviews import REVIEW_SCHEMA
from hubbub.clips.table import CLIP_SCHEMA, RESERVED_COLUMNS
from hubbub.labels.schemas import label_schemas
from hubbub.store.rows import ROW_COLUMNS, row_schema
from hubbub_site.markdown import as_code, as_text, write_table

CLIP_MEANINGS = {
    "clip_id": "32 hex digits of a hash of `uri` and segment: the same on any machine, in any run",
    "uri": "path or URL of the recording; a relative one starts at the table's `root`",
    "start_s": "seconds at which the segment begins; null: the whole file",
    "end_s": "seconds at which the segment ends; null: to the end of the file",
    "labels": "what sounds in it; empty: unlabelled",
    "fold": "the data set's own fold",
    "split": "`train`, `val` or `test`, where the data set says so",
    "group": "the source recording, site or device; a group is never on both sides of a split",
    "version": "what tells changed content: size and modification time, or a bucket's ETag",
    "size_bytes": "bytes of the file",
    "duration_s": "seconds of the file, as its header has it; null: the file could not be read",
    "sample_rate": "Hz",
    "channels": "number of channels",
    "recorded_at": "when the recording began, UTC; null: unknown",
}

ROW_MEANINGS = {
    "row": "index in the array `features`; null for a failed clip, which has no values",
    "clip_id": "the clip",
    "channel": "`mix`, or the number of the one channel, from 1",
    "variant": "0: the clip as recorded; from 1: its augmented copies",
    "policy_rule": "8 hex digits of what makes the variant; empty for the clip as recorded",
    "augmentation": "what was done to a variant, as JSON",
    "window": "number of the window in the clip, from 0",
    "windows": "how many windows the clip has",
    "start_s": "seconds from the recording's start to the window's",
    "valid_frames": "frames that are audio; those after them are padding",
    "status": "`ok`; `failed`; `ended`: the recording ends before this window; `retired`: excluded",
    "error": "why the clip failed: class of the error, then what was wrong",
    "attempts": "how often the clip was tried",
    "crc32": "CRC-32 of the row's bytes as stored, little-endian",
    "clip_start_s": "`start_s` of the clip table",
    "clip_end_s": "`end_s` of the clip table",
}

LABEL_MEANINGS = {
    "uri": "the recording, as in the clip table",
    "clip_id": "the clip: a recording, or a segment of one",
    "clip_start_s": "seconds at which the segment begins; null: the whole file",
    "clip_end_s": "seconds at which the segment ends",
    "status": "`ok` or `failed`",
    "error": "why the file failed: class of the error, then what was wrong",
    "attempts": "how often the file was tried",
    "duration_s": "seconds, as decoded",
    "sample_rate": "Hz",
    "channels": "number of channels",
    "windows": "how many windows were scored",
    "version": "what tells changed content",
    "mean_scores": "mean of the scores of each label",
    "peak_scores": "largest score of each label",
    "recorded_at": "when the recording began, UTC; null: unknown",
    "group": "of the clip table: what is of one place or recorder, or the recording itself",
    "start_s": "seconds from the recording's start to the window's",
    "end_s": "seconds from the recording's start to the window's end",
    "scores": "a score a label, in the order of `labels` in `run.json`",
    "label": "the label of the event",
    "onset_s": "seconds from the recording's start to the event's",
    "offset_s": "seconds from the recording's start to the event's end",
    "peak": "largest score in the event, 0 to 1",
    "mean": "mean score in the event, 0 to 1",
    "onset_at": "when the event began, UTC; null where the recording's begin is unknown",
}

REVIEW_MEANINGS = {
    "event": "16 hex digits of a hash of `clip_id`, `event_label`, `onset_s` and `offset_s`",
    "verdict": "`yes`, `no` or `unsure`; `undone`: the reviewer's last verdict on the event counts no more",
    "label": "what the reviewer says it is: the event's label for `yes`; another label, or null, for `no`; null else",
    "reviewer": "who decided",
    "at": "when, UTC",
    "kind": "`event`; or `window`, of which the question is whether `event_label` is in it",
    "uri": "the recording, as in `files/`",
    "clip_id": "the clip, as in `files/`",
    "event_label": "the label that the model gave",
    "onset_s": "seconds from the recording's start to the event's, or the window's",
    "offset_s": "seconds from the recording's start to the event's end, or the window's",
    "score": "peak of the event, or the window's score of `event_label`, when it was judged",
    "source": "how it was chosen: `best`, `worst`, `random`, `balanced` or `listed`",
    "session": "what one reviewer did at one sitting",
    "number": "number of the decision in its session, from 0",
}


def write_columns(fields: Iterable[pa.Field], meanings: Mapping[str, str]) -> str:
    """Write a table of columns.

    Raises
    ------
    KeyError
        A column has no meaning.
    """
    rows = []
    for field in fields:
        may_be_null = "yes" if field.nullable else ""
        rows.append((as_code(field.name), as_text(meanings[field.name]), as_code(say_type(field.type)), may_be_null))
    return write_table(("column", "meaning", "type", "may be null"), rows)


def say_type(kind: pa.DataType) -> str:
    """Name a type as people write it: ``list of string``, ``timestamp, UTC``."""
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        return f"list of {say_type(kind.value_type)}"
    if pa.types.is_timestamp(kind):
        return f"timestamp, {kind.tz}"
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(str(kind), str(kind))


def write_clip_table() -> str:
    """Write the columns of a clip table."""
    return write_columns(CLIP_SCHEMA, CLIP_MEANINGS)


def write_rows() -> str:
    """Write the columns of row parts: their own, then those of the clip."""
    own = [field.name for field in ROW_COLUMNS]
    of_clip = [field for field in row_schema(CLIP_SCHEMA) if field.name not in own]
    return (
        write_columns(ROW_COLUMNS, ROW_MEANINGS)
        + "\nThen the clip's:\n\n"
        + write_columns(of_clip, CLIP_MEANINGS | ROW_MEANINGS)
    )


def write_label_tables() -> str:
    """Write the columns of files, windows and events."""
    schemas = label_schemas(CLIP_SCHEMA, n_labels=1)
    parts = [("files", schemas.files), ("windows", schemas.windows), ("events", schemas.events)]
    return "\n".join(f"### `{name}/`\n\n{write_columns(schema, LABEL_MEANINGS)}" for name, schema in parts)


def write_reviews() -> str:
    """Write the columns of reviews."""
    return write_columns(REVIEW_SCHEMA, REVIEW_MEANINGS)


def write_reserved() -> str:
    """List the names that a carried column cannot have."""
    return ", ".join(as_code(name) for name in sorted(RESERVED_COLUMNS)) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "clip-table": write_clip_table,
    "rows": write_rows,
    "label-tables": write_label_tables,
    "reviews": write_reviews,
    "reserved-columns": write_reserved,
}
"""Parts of the page of formats."""
