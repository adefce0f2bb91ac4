"""Findings about leakage: one recording, or one group, on both sides of a fold or a split.

`hubbub.learn.leakage` finds copies that were converted or made louder, by their features, once these are computed.
What is found here is exact: recordings with the same samples, under whatever names.

Recordings with the same samples count as leakage where they lie in different folds, splits or groups. Clips without a
group are groups of their own (`hubbub.learn.splits`): where clips have neither fold nor split, two such recordings may
end on two sides as well. Silent recordings are left out; they are found as silent.
"""

from __future__ import annotations

from functools import partial

import pandas as pd

from hubbub.pipelines.findings import MAX_NAMES, Finding, make_finding

_TOO_GOOD = "which makes scores too good"
_SAME = "give both the same group (and fold or split), or delete one of them"


def find_shared_groups(clips: pd.DataFrame) -> list[Finding]:
    """Find groups and recordings in several folds, splits or groups: problems.

    Parameters
    ----------
    clips
        The clip table, columns uri, fold, split, group.
    """
    found = []
    for noun, key in (("group", "group"), ("recording", "uri")):
        for column in ("fold", "split", "group"):
            if key == column:
                continue
            # Of a recording in a group that is itself in several folds, the group is what to mend.
            rows = clips if key == "group" else clips[clips["group"].isna() | (column == "group")]
            shared = _find_in_several(rows, key, column)
            text = f"in several {column}s, {_TOO_GOOD}"
            advice = f"correct column '{column}'" + (", or use --split-by group" if column != "group" else "")
            found += make_finding(f"{noun}_in_{column}s", shared, noun, text, advice=advice)
    return found


def find_copies(clips: pd.DataFrame, facts: pd.DataFrame) -> tuple[list[Finding], list[Finding]]:
    """Find recordings with the same samples under different names.

    Parameters
    ----------
    clips
        The clip table, columns uri, start_s, end_s (without nulls), names (labels as one text), fold, split, group.
    facts
        Columns uri, swing, content_hash, audio_hash.

    Returns
    -------
    problems, warnings
        Sets that contradict themselves or leak; and sets that do neither, and count twice.
    """
    sounding = facts[facts["audio_hash"].notna() & (facts["swing"] > 0)]
    copies = sounding[sounding["audio_hash"].duplicated(keep=False)]
    if copies.empty:
        return [], []
    copies = copies.assign(copy=pd.factorize(copies["audio_hash"])[0])
    rows = clips.merge(copies[["uri", "copy"]], on="uri")
    names = _name_sets(copies)
    contradicting = _find_in_several(rows[rows["names"] != ""], ["copy", "start_s", "end_s"], "names")
    labelled = sorted({key[0] for key in contradicting})
    folds = sorted({*_find_in_several(rows, "copy", "fold"), *_find_in_several(rows, "copy", "split")})
    groups = sorted({*_find_in_several(rows, "copy", "group"), *_find_ungrouped(rows)} - set(folds))
    plain = sorted(set(names.index) - {*labelled, *folds, *groups})
    make = partial(_make_set_finding, names)
    problems = [
        *make("copies_with_labels", labelled, "and different labels", "correct the labels, or delete the wrong ones"),
        *make("copies_across_folds", folds, f"in different folds or splits, {_TOO_GOOD}", _SAME),
        *make("copies_across_groups", groups, f"in different groups, {_TOO_GOOD}", _SAME),
    ]
    return problems, make("copies", plain, "that count twice", "delete all but one")


def _make_set_finding(names: pd.Series, kind: str, which: list[int], text: str, advice: str) -> list[Finding]:
    return make_finding(
        kind,
        [names[one] for one in which[:MAX_NAMES]],
        "set of recordings",
        f"with the same samples {text}",
        plural="sets of recordings",
        advice=advice,
        count=len(which),
    )


def _name_sets(copies: pd.DataFrame) -> pd.Series:
    """Names of each set's recordings; byte for byte copies are said to be that."""

    def name(rows: pd.DataFrame) -> str:
        uris = sorted(rows["uri"])
        more = f" and {len(uris) - 3} more" if len(uris) > 3 else ""
        how = "" if rows["content_hash"].nunique() == 1 else " (in different files)"
        return " = ".join(uris[:3]) + more + how

    return copies.groupby("copy")[["uri", "content_hash"]].apply(name)


def _find_ungrouped(rows: pd.DataFrame) -> list[int]:
    """Sets with a clip that has neither group, fold nor split: its side is drawn by its name."""
    is_drawn = rows["group"].isna() & rows["fold"].isna() & rows["split"].isna()
    return list(rows.loc[is_drawn, "copy"].unique())


def _find_in_several(rows: pd.DataFrame, key: str | list[str], column: str) -> list:
    """Keys whose rows have several values in a column, nulls aside, in the order of the rows."""
    keys = [key] if isinstance(key, str) else key
    pairs = rows[[*keys, column]].dropna(subset=[keys[0], column]).drop_duplicates()
    several = pairs.loc[pairs.duplicated(keys), keys].drop_duplicates()
    return several[key].tolist() if isinstance(key, str) else list(several.itertuples(index=False, name=None))
