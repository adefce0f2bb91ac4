"""What changed between two sets of label tables of the same recordings: events in both, only in one, moved.

Events of one recording and label match where the time that they share is at least `LEAST_IOU` of the time that they
cover together; one to one, the best pair first. Events of audio that the other tables have not analysed are no change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.labels.coverage import keep_analysed

LEAST_IOU = 0.5
"""Intersection over union from which two events are one."""

_EQUAL_S, _EQUAL_SCORE = 1e-6, 1e-6
_ROUNDING = 1e-9  # of a ratio of float64 times: what equals the least on paper passes

_LABEL_COLUMNS = ("in_both", "only_first", "only_second", "onset_shift_s", "offset_shift_s", "score_shift")
_PAIR_COLUMNS = ("onset_s", "offset_s", "peak")

Rows = npt.NDArray[np.integer[Any]]
Pairs = tuple[Rows, Rows]


@dataclass(frozen=True)
class EventChanges:
    """What changed between two sets of events.

    Attributes
    ----------
    recordings
        Recordings that both analysed.
    by_label
        One line a label, the most changes first: label, in_both, only_first, only_second; onset_shift_s,
        offset_shift_s and score_shift are means over the events in both, second less first; NaN where there is none.
    by_file
        One line a recording that both analysed, the most changes first: uri, in_both, only_first, only_second, changes.
    in_both
        One line a pair: uri, label; onset_s, offset_s and peak, each with ``_first`` and ``_second``; iou.
    vanished, appeared
        Events of the first alone, and of the second alone, with their columns.
    only_first, only_second
        Recordings that are in one of the two, sorted.
    failed_first, failed_second
        Clips that failed in one and are ok in the other: uri, error.
    not_compared
        Events of the first and of the second that lie in audio which the other did not analyse.
    """

    recordings: int
    by_label: pd.DataFrame
    by_file: pd.DataFrame
    in_both: pd.DataFrame
    vanished: pd.DataFrame
    appeared: pd.DataFrame
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    failed_first: pd.DataFrame
    failed_second: pd.DataFrame
    not_compared: tuple[int, int]

    @property
    def changed(self) -> pd.DataFrame:
        """Events in both of which onset, offset or peak differ."""
        pairs = self.in_both
        moved = np.zeros(len(pairs), bool)
        for name, equal in zip(_PAIR_COLUMNS, (_EQUAL_S, _EQUAL_S, _EQUAL_SCORE), strict=True):
            moved |= (pairs[f"{name}_second"] - pairs[f"{name}_first"]).abs().to_numpy() > equal
        return pairs[moved].reset_index(drop=True)


def compare_events(
    first_files: pd.DataFrame,
    first_events: pd.DataFrame,
    second_files: pd.DataFrame,
    second_events: pd.DataFrame,
    *,
    least_iou: float = LEAST_IOU,
) -> EventChanges:
    """Compare the tables of two labellings; recordings are the same where their uris are.

    Parameters
    ----------
    first_files, second_files
        Tables of `LabelTables.files`.
    first_events, second_events
        Tables of `LabelTables.events`.
    least_iou
        Above 0, at most 1.
    """
    files = (first_files, second_files)
    analysed = [set(keep_analysed(table)["uri"]) for table in files]
    known = [set(table["uri"]) for table in files]
    heard = (_lie_within(first_events, second_files), _lie_within(second_events, first_files))
    first, second = first_events[heard[0]].reset_index(drop=True), second_events[heard[1]].reset_index(drop=True)
    ours, theirs = match_overlapping(first, second, least_iou=least_iou)
    pairs = _pair(first.iloc[ours], second.iloc[theirs])
    vanished = first.drop(index=first.index[ours]).reset_index(drop=True)
    appeared = second.drop(index=second.index[theirs]).reset_index(drop=True)
    shared = sorted(analysed[0] & analysed[1])
    return EventChanges(
        len(shared),
        _count_labels(pairs, vanished, appeared),
        _count_files(shared, pairs, vanished, appeared),
        pairs,
        vanished,
        appeared,
        tuple(sorted(known[0] - known[1])),
        tuple(sorted(known[1] - known[0])),
        _failed_here(first_files, second_files),
        _failed_here(second_files, first_files),
        (int((~heard[0]).sum()), int((~heard[1]).sum())),
    )


def match_overlapping(first: pd.DataFrame, second: pd.DataFrame, *, least_iou: float = LEAST_IOU) -> Pairs:
    """Match events of one recording and label that overlap, one to one, the highest intersection over union first.

    Parameters
    ----------
    first, second
        Columns uri, label, onset_s, offset_s.
    least_iou
        Above 0, at most 1.

    Returns
    -------
    ours, theirs
        int64 [pair]: positions in `first` and in `second`, sorted by the first. With the tables swapped the pairs are
        the same.
    """
    group = _group_codes(first, second)
    one, two = _times(first), _times(second)
    i, j = _overlapping(group[0], one, group[1], two)
    shared_s = np.minimum(one[i, 1], two[j, 1]) - np.maximum(one[i, 0], two[j, 0])
    whole_s = np.maximum(one[i, 1], two[j, 1]) - np.minimum(one[i, 0], two[j, 0])
    iou = shared_s / whole_s
    near = iou >= least_iou - _ROUNDING
    i, j, iou = i[near], j[near], iou[near]
    copies = _number_copies(group[0], one)[i], _number_copies(group[1], two)[j]
    # Nothing in the order tells the first table from the second.
    edges = [bound(one[i, time], two[j, time]) for time in (0, 1) for bound in (np.minimum, np.maximum)]
    order = np.lexsort((np.maximum(*copies), np.minimum(*copies), *reversed(edges), -iou))
    taken, taken_too = np.zeros(len(first), bool), np.zeros(len(second), bool)
    chosen = []
    for pair, a, b in zip(order.tolist(), i[order].tolist(), j[order].tolist(), strict=True):
        if not taken[a] and not taken_too[b]:
            taken[a] = taken_too[b] = True
            chosen.append(pair)
    chosen.sort(key=lambda pair: int(i[pair]))
    places = np.array(chosen, np.int64)
    return i[places], j[places]


def _group_codes(first: pd.DataFrame, second: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """One number a recording and label, the same in both tables; int64 [event] each."""
    keys = pd.concat([table[["uri", "label"]].astype(str) for table in (first, second)], ignore_index=True)
    codes: npt.NDArray[np.int64] = np.asarray(keys.groupby(["uri", "label"], sort=False).ngroup(), np.int64)
    return codes[: len(first)], codes[len(first) :]


def _times(events: pd.DataFrame) -> npt.NDArray[np.float64]:
    return events[["onset_s", "offset_s"]].to_numpy(np.float64)


def _overlapping(
    group_one: npt.NDArray[np.int64],
    one: npt.NDArray[np.float64],
    group_two: npt.NDArray[np.int64],
    two: npt.NDArray[np.float64],
) -> Pairs:
    """All pairs of one group that share some time, without a look at any other pair.

    Times become ranks, group by group, so that one sorted array holds all groups.
    """
    times = np.concatenate([one[:, 0], one[:, 1], two[:, 0], two[:, 1]])
    groups = np.concatenate([group_one, group_one, group_two, group_two])
    order = np.lexsort((times, groups))
    is_new = np.ones(len(order), bool)
    is_new[1:] = (np.diff(times[order]) != 0) | (np.diff(groups[order]) != 0)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.cumsum(is_new)
    onset, offset = rank[: len(one)], rank[len(one) : 2 * len(one)]
    other_onset, other_offset = rank[2 * len(one) : 2 * len(one) + len(two)], rank[2 * len(one) + len(two) :]
    by_onset = np.argsort(other_onset, kind="stable")
    latest = np.maximum.accumulate(other_offset[by_onset]) if len(two) else other_offset
    begin = np.searchsorted(latest, onset, side="right")  # all before have ended by then
    end = np.searchsorted(other_onset[by_onset], offset, side="left")
    count = np.maximum(end - begin, 0)
    i = np.repeat(np.arange(len(one)), count)
    j = by_onset[np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count) + begin[i]]
    meets = (other_offset[j] > onset[i]) & (other_onset[j] < offset[i])
    return i[meets], j[meets]


def _number_copies(group: npt.NDArray[np.int64], times: npt.NDArray[np.float64]) -> Rows:
    """Number events of one group with equal times: 0, 1, 2 …, int64 [event]."""
    table = pd.DataFrame({"group": group, "onset_s": times[:, 0], "offset_s": times[:, 1]})
    return table.groupby(["group", "onset_s", "offset_s"]).cumcount().to_numpy(np.int64)


def _lie_within(events: pd.DataFrame, files: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which events touch audio that a clip of `files` with status ok covers, bool [event]."""
    ok = keep_analysed(files)
    is_whole = ok["clip_start_s"].isna() & ok["clip_end_s"].isna()
    inside = np.array(events["uri"].isin(ok.loc[is_whole, "uri"]), bool)
    spans = pd.DataFrame(
        {
            "uri": ok["uri"],
            "start_s": ok["clip_start_s"].astype("float64").fillna(0.0),
            "end_s": ok["clip_end_s"].astype("float64").fillna(np.inf),
        }
    )[~is_whole.to_numpy(bool)]
    numbered = pd.DataFrame({"uri": events["uri"], "event": np.arange(len(events))})
    both = numbered[~inside].merge(spans, on="uri")
    times = _times(events)[both["event"].to_numpy(np.int64)]
    touches = (times[:, 0] < both["end_s"].to_numpy()) & (times[:, 1] > both["start_s"].to_numpy())
    inside[both["event"].to_numpy(np.int64)[touches]] = True
    return inside


def _pair(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    columns = {name: ours[name].to_numpy() for name in ("uri", "label")}
    for name in _PAIR_COLUMNS:
        columns |= {
            f"{name}_first": ours[name].to_numpy(np.float64),
            f"{name}_second": theirs[name].to_numpy(np.float64),
        }
    table = pd.DataFrame(columns)
    onsets, offsets = table[["onset_s_first", "onset_s_second"]], table[["offset_s_first", "offset_s_second"]]
    shared_s, whole_s = offsets.min(axis=1) - onsets.max(axis=1), offsets.max(axis=1) - onsets.min(axis=1)
    return table.assign(iou=shared_s / whole_s)


def _count_by(column: str, pairs: pd.DataFrame, vanished: pd.DataFrame, appeared: pd.DataFrame) -> pd.DataFrame:
    """Events in both, only in the first and only in the second, by the values of a column."""
    tables = zip(_LABEL_COLUMNS[:3], (pairs, vanished, appeared), strict=True)
    counts = {name: table[column].astype(str).value_counts() for name, table in tables}
    return pd.DataFrame(counts).fillna(0).astype(np.int64)


def _count_labels(pairs: pd.DataFrame, vanished: pd.DataFrame, appeared: pd.DataFrame) -> pd.DataFrame:
    counts = _count_by("label", pairs, vanished, appeared)
    for name, shift in zip(_PAIR_COLUMNS, _LABEL_COLUMNS[3:], strict=True):
        moved = pairs[f"{name}_second"] - pairs[f"{name}_first"]
        counts[shift] = moved.groupby(pairs["label"].astype(str)).mean().reindex(counts.index).astype(np.float64)
    return _most_changes_first(counts, "label")


def _count_files(
    shared: Sequence[str], pairs: pd.DataFrame, vanished: pd.DataFrame, appeared: pd.DataFrame
) -> pd.DataFrame:
    counts = _count_by("uri", pairs, vanished, appeared)
    counts = counts.reindex(sorted({*shared, *counts.index}), fill_value=0)
    return _most_changes_first(counts.assign(changes=counts["only_first"] + counts["only_second"]), "uri")


def _most_changes_first(counts: pd.DataFrame, name: str) -> pd.DataFrame:
    table = counts.rename_axis(name).reset_index()
    changes = (table["only_first"] + table["only_second"]).to_numpy()
    order = np.lexsort((table[name].to_numpy(str), -table["in_both"].to_numpy(), -changes))
    return table.iloc[order].reset_index(drop=True)


def _failed_here(files: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Failed clips of recordings that are ok in the other tables: uri, error."""
    failed = files[(files["status"] != "ok") & files["uri"].isin(keep_analysed(others)["uri"])]
    return failed[["uri", "error"]].sort_values("uri", ignore_index=True)
