"""Findings about labels, folds and segments, which need no recording but for its length."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from hubbub.clips.labels import SPELLING, group_spellings
from hubbub.io.text import count_noun
from hubbub.pipelines.findings import MAX_NAMES, Finding, make_finding

TOLERANCE_S = 0.1
"""Seconds by which a segment may end after its recording, and a recording may be shorter or longer than indexed."""

_SPLITS = ("train", "val", "test")


def find_label_problems(pairs: pd.DataFrame) -> list[Finding]:
    """Find labels that are one class under two names: problems.

    Parameters
    ----------
    pairs
        One row a clip and label, column label.
    """
    counts = pairs["label"].value_counts()
    same = group_spellings(sorted(counts.index))
    names = [" and ".join(f"{label!r} ({counts[label]})" for label in labels) for labels in same]
    return make_finding(
        "spellings",
        names,
        "set of labels",
        f"that differ in {SPELLING}, and count as different labels",
        plural="sets of labels",
        advice="rename them, or index with --normalise-labels",
    )


def find_label_warnings(pairs: pd.DataFrame, clips: pd.DataFrame) -> list[Finding]:
    """Find labels with too few clips, and clips without labels: warnings.

    Parameters
    ----------
    pairs
        One row a clip and label, columns label, fold.
    clips
        The clip table, columns uri, names (labels as one text), fold.
    """
    counts, n_folds = pairs["label"].value_counts(sort=False).sort_index(), pairs["fold"].nunique()
    unlabelled = clips.loc[clips["names"] == "", "uri"]
    found = []
    if len(counts):  # a table without any label is one to be labelled
        found += make_finding(
            "unlabelled",
            unlabelled.head(MAX_NAMES),
            "clip",
            "without a label",
            advice="training leaves them out",
            count=len(unlabelled),
        )
        if len(counts) == 1:
            found += make_finding("one_label", counts.index, "label", "only", advice="training needs two or more")
    found += make_finding(
        "single_clip",
        counts.index[counts == 1],
        "label",
        "with one clip only",
        advice="expected ten or more to train on; add recordings, or merge labels",
    )
    if n_folds > 1:
        few = counts.index[(counts > 1) & (counts < n_folds)]
        found += make_finding(
            "fewer_than_folds",
            few,
            "label",
            f"with fewer clips than the {n_folds} folds",
            advice="some folds do not test them",
        )
        folds = pairs.groupby("label")["fold"].nunique()
        found += make_finding(
            "one_fold",
            folds.index[(folds == 1) & (counts.reindex(folds.index) > 1)],
            "label",
            "in one fold only",
            advice="no clip is left to train on where that fold tests; spread them over the folds",
        )
    return found


def find_assignment_problems(clips: pd.DataFrame) -> list[Finding]:
    """Find labelled clips that training by fold or by split refuses: problems.

    Parameters
    ----------
    clips
        The clip table, columns uri, names, fold, split.
    """
    labelled, found = clips[clips["names"] != ""], []
    for column in ("fold", "split"):
        is_null = labelled[column].isna()
        if is_null.any() and not is_null.all():
            found += make_finding(
                f"without_{column}",
                labelled.loc[is_null, "uri"].head(MAX_NAMES),
                "labelled clip",
                f"without a {column}, which others have",
                advice=f"give every clip a {column}, or none",
                count=int(is_null.sum()),
            )
    odd = labelled[labelled["split"].notna() & ~labelled["split"].isin(_SPLITS)]
    return found + make_finding(
        "unknown_split",
        [f"{uri} ({split!r})" for uri, split in odd[["uri", "split"]].head(MAX_NAMES).itertuples(index=False)],
        "labelled clip",
        "with another split than train, val or test",
        advice="correct column 'split'",
        count=len(odd),
    )


def find_segment_problems(clips: pd.DataFrame) -> tuple[list[Finding], list[Finding]]:
    """Find segments outside their recording, and rows that are about the same stretch.

    Parameters
    ----------
    clips
        The clip table, columns uri, start_s, end_s (without nulls; infinite for the end), names, is_event, indexed_s
        and length_s (of the recording, as indexed and as decoded; null: unknown).

    Returns
    -------
    problems, warnings
    """
    start, end, length = clips["start_s"], clips["end_s"], clips["length_s"]
    is_beyond = (start > 0) & (start >= length)
    is_over = ~is_beyond & np.isfinite(end) & (end > length + TOLERANCE_S)
    is_other = (clips["indexed_s"] - length).abs() > TOLERANCE_S
    stretch = clips.assign(until_s=np.minimum(end, length.fillna(np.inf)))[~clips["is_event"]]
    keys = ["uri", "start_s", "until_s"]
    same = stretch[stretch.duplicated(keys, keep=False)]
    contradicting = same[~same.duplicated([*keys, "names"], keep=False)]
    doubled = same[same.duplicated([*keys, "names"])]
    problems = [
        *_find("beyond_end", clips[is_beyond], "beginning after the end of their recording", "correct the segments"),
        *_find("other_length", clips[is_other], "of a recording with another length than indexed", "index again"),
        *_find("contradicting_rows", contradicting, "labelled otherwise in another row", "merge or correct the rows"),
    ]
    warnings = [
        *_find("over_end", clips[is_over], "ending after the end of their recording", "correct the segments"),
        *_find("doubled_rows", doubled, "in the table twice with the same labels", "delete all but one row"),
        *_find(
            "overlapping",
            _find_overlapping(stretch.drop(doubled.index)),
            "overlapping another clip of the same recording and labels",
            "fine for windows that slide; else merge them",
        ),
    ]
    return problems, warnings


def _find_overlapping(stretch: pd.DataFrame) -> pd.DataFrame:
    """Clips that begin before an earlier clip of the same recording and labels ends."""
    ordered = stretch.sort_values(["uri", "names", "start_s"], kind="stable")
    reached = ordered.groupby(["uri", "names"], sort=False)["until_s"].cummax()
    is_same = ordered[["uri", "names"]].eq(ordered[["uri", "names"]].shift()).all(axis=1)
    return ordered[is_same & (ordered["start_s"] < reached.shift())]


def _find(kind: str, clips: pd.DataFrame, text: str, advice: str) -> list[Finding]:
    return make_finding(kind, list(_name_clips(clips.head(MAX_NAMES))), "clip", text, advice=advice, count=len(clips))


def _name_clips(clips: pd.DataFrame) -> Iterator[str]:
    """Names of clips, with their segment and their recording's length where it has one."""
    columns = (clips[name].tolist() for name in ("uri", "start_s", "end_s", "length_s"))
    for uri, start_s, end_s, length_s in zip(*columns, strict=True):
        until = f"to {end_s:g} s" if math.isfinite(end_s) else "on"
        segment = f" from {start_s:g} s {until}" if start_s or math.isfinite(end_s) else ""
        yield f"{uri}{segment}{'' if math.isnan(length_s) else f' of {length_s:.3f} s'}"


def describe_balance(counts: pd.Series, n_unlabelled: int) -> str:
    """Say in one line how evenly labels are spread.

    Parameters
    ----------
    counts
        Clips a label, in descending order; not empty.
    """
    most, least = int(counts.iloc[0]), int(counts.iloc[-1])
    ratio = f"{count_noun(most, 'clip')} each" if most == least else f"{most} clips to {least}, {most / least:.3g} to 1"
    rest = f", {count_noun(n_unlabelled, 'clip')} without" if n_unlabelled else ""
    return f"{count_noun(len(counts), 'label')}, {ratio}{rest}"
