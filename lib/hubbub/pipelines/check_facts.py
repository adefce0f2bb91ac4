"""Findings from the facts of recordings: those that cannot be read, silent or clipped ones, mixed formats."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from hubbub.pipelines.findings import MAX_NAMES, Finding, make_finding

CLIPPED_SHARE = 0.001
"""Share of clipped samples (`hubbub.audio.levels`) from which a recording counts as clipped."""

SILENT_SWING = 0.001
"""A recording that stays below -60 dBFS from its first sample to its last counts as silent."""

LARGE_OFFSET = 0.05
"""Mean of a channel, full scale being 1, from which an offset is worth a warning."""

LOST_S = 0.1
"""Seconds that a recording may be shorter than its header says: some writers round up to a block."""

_MAX_VALUES = 8


def find_unreadable(facts: pa.Table) -> list[Finding]:
    """Find recordings that would become failed rows, or teach less than their header promises: problems."""
    return [
        *_by_status(facts, "missing", "not there", "restore the files, or correct the paths and index again"),
        *_by_status(facts, "failed", "not readable to the end", "replace the files, or remove them from the table"),
        *_by_status(facts, "changed", "changed since the clip table was made", "index again"),
        *_by_status(facts, "unchecked", "not checked", "run the check again"),
        *_find_rows(
            "bad_samples",
            facts,
            pc.greater(facts["bad_samples"], 0),
            "with samples that are NaN, infinite or absurdly large",
            "write the files again; such clips fail",
        ),
        *_find_rows(
            "breaks_off",
            facts,
            pc.greater(facts["lost_s"], LOST_S),
            f"breaking off more than {LOST_S} s before the length that the header says",
            "copy or download the files again",
        ),
    ]


def find_poor(facts: pa.Table, shortest_s: float) -> list[Finding]:
    """Find recordings that teach little: warnings."""
    return [
        *_find_rows(
            "silent",
            facts,
            pc.less(facts["swing"], SILENT_SWING),
            "silent, below -60 dBFS from start to end",
            "listen to them; remove them, or give them a label of their own",
        ),
        *_find_rows(
            "clipped",
            facts,
            pc.greater_equal(facts["clipped_share"], CLIPPED_SHARE),
            f"clipped: {CLIPPED_SHARE:.1%} or more of the samples in runs of 3 or more at full scale or a flat top",
            "take less gain; what is clipped cannot be mended",
        ),
        *_find_rows(
            "short",
            facts,
            pc.less(facts["duration_s"], shortest_s),
            f"shorter than {shortest_s:g} s",
            "remove them, or use shorter windows",
        ),
        *_find_rows(
            "offset",
            facts,
            pc.greater(pc.abs(facts["offset"]), LARGE_OFFSET),
            f"with an offset (DC) of more than {LARGE_OFFSET} of full scale",
            "check the recorder; set frontend.f_min above 0 where bands reach down to 0 Hz",
        ),
    ]


def describe_formats(facts: pa.Table) -> list[Finding]:
    """Say which sample rates and channels there are, where there are several: information."""
    notes = []
    for column, noun, unit, advice in (
        ("sample_rate", "sample rates", " Hz", "all become frontend.sample_rate"),
        ("channels", "numbers of channels", "", "setting channels says what becomes of them"),
    ):
        counts = Counter(facts[column].drop_null().to_pylist()).most_common()
        if len(counts) < 2:
            continue
        values = [f"{value}{unit} in {count}" for value, count in counts[:_MAX_VALUES]]
        text = f"{len(counts)} {noun}"
        notes.append(Finding(f"mixed_{column}", len(counts), text, tuple(values), advice))
    return notes


def _by_status(facts: pa.Table, status: str, text: str, advice: str) -> list[Finding]:
    return _find_rows(status, facts, pc.equal(facts["status"], status), text, advice)


def _find_rows(kind: str, facts: pa.Table, mask: pa.ChunkedArray, text: str, advice: str) -> list[Finding]:
    held = facts.select(["uri", "error"]).filter(mask)  # a null in the mask leaves its row out
    first = held.slice(0, MAX_NAMES).to_pylist()
    names = [f"{row['uri']} ({row['error']})" if row["error"] and kind != "missing" else row["uri"] for row in first]
    return make_finding(kind, names, "recording", text, advice=advice, count=len(held))
