"""Labels and other columns in the names of files, found by the named groups of a regular expression."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any

from hubbub.clips.sources.csv import parse_time, parse_whole_number
from hubbub.clips.sources.folder import list_recordings
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.clips.table import TAKEN_COLUMNS
from hubbub.errors import ClipTableError
from hubbub.io.text import count_noun

_MEANINGS = frozenset({"label", "fold", "split", "group", "recorded_at"})
_SHOWN = 10
_PATIENT = re.compile(r"(\d+)_\d{6,}_")  # before the time: 101_1305030823364_A
_ENOUGH = 0.95
"""Share of the names that must match a preset for a folder to be recognised by it."""


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ClipTableError(
            f"--pattern {pattern!r} is no regular expression: {error}; expected one such as '(?P<label>[a-z]+)_.*'"
        ) from None
    if not found.groupindex:
        raise ClipTableError(
            f"--pattern {pattern!r} has no named group; name what a part is, such as '(?P<label>[a-z]+)_.*'"
        )
    taken = TAKEN_COLUMNS - _MEANINGS
    if clash := sorted(taken & set(found.groupindex)):
        raise ClipTableError(
            f"--pattern: the group '{clash[0]}' has a meaning in hubbub's tables; name it otherwise "
            f"(with a meaning here: {', '.join(sorted(_MEANINGS))})"
        )
    return found


def _match_name(pattern: re.Pattern[str], path: str) -> re.Match[str] | None:
    """Match the whole of a file's name, with or without its ending; with a slash in the pattern, of its path."""
    whole = path if "/" in pattern.pattern else posixpath.basename(path)
    return pattern.fullmatch(posixpath.splitext(whole)[0]) or pattern.fullmatch(whole)


def _columns_of(match: re.Match[str], path: str) -> dict[str, Any]:
    """The columns that the groups of a match give; a group that took no part is null."""
    values: dict[str, Any] = {name: text or None for name, text in match.groupdict().items()}
    label = values.pop("label", None)
    try:
        if "fold" in values:
            values["fold"] = parse_whole_number(values["fold"], "fold")
        if "recorded_at" in values:
            values["recorded_at"] = parse_time(values["recorded_at"], "recorded_at")
    except ClipTableError as error:
        raise ClipTableError(f"{path}: --pattern: {error}") from None
    return {"labels": [] if label is None else [label], **values}


def _read(tree: Tree, options: Options) -> Listing:
    if options.pattern is None:
        raise ClipTableError(
            f"{tree.source}: say which parts of a name are what with --pattern, such as '(?P<label>[a-z]+)_.*'"
        )
    pattern = _compile_pattern(options.pattern)
    return _list_matches(tree, options, pattern, f"--pattern {options.pattern!r}", lambda columns: columns)


def _list_matches(
    tree: Tree, options: Options, pattern: re.Pattern[str], what: str, refine: Callable[[dict[str, Any]], Any]
) -> Listing:
    """List recordings with the columns of their names; names that do not match are unlabelled, and told."""

    def describe(path: str) -> dict[str, Any] | None:
        match = _match_name(pattern, path)
        return None if match is None else refine(_columns_of(match, path))

    listing = list_recordings(tree, options, lambda path: describe(path) or {"labels": []})
    total, unmatched, shown = len(listing.clips), 0, list[str]()
    for path, _ in tree.recordings():  # and values that do not fit are refused before any recording is opened
        if describe(path) is None:
            unmatched += 1
            shown += [path] if unmatched <= _SHOWN else []
    if unmatched == total:
        names = "".join(f"\n  {name}" for name in shown)
        raise ClipTableError(f"{what} matches none of {count_noun(total, 'name')}; make it fit names such as:{names}")
    notes = list(listing.notes)
    if unmatched:
        notes.append(
            f"{count_noun(unmatched, 'name')} of {total} {'does' if unmatched == 1 else 'do'} not match "
            f"{what} and {'stays' if unmatched == 1 else 'stay'} unlabelled: {', '.join(shown)}"
        )
    return Listing(listing.root, listing.clips, notes)


def _make_preset(
    name: str, holds: str, example: str, pattern: str, refine: Callable[[dict[str, Any]], dict[str, Any]]
) -> Format:
    compiled = re.compile(pattern)

    def recognise(tree: Tree) -> str | None:
        if not tree.is_folder or not tree.survey.recordings:
            return None
        has_labels, matching, labels = "label" in compiled.groupindex, 0, set[str]()
        for path, _ in tree.recordings():
            if match := _match_name(compiled, path):
                matching += 1
                labels |= {match["label"]} if has_labels else set()
        if matching < _ENOUGH * tree.survey.recordings or (has_labels and len(labels) < 2):
            return None
        shape = example.splitlines()[0]
        return f"{matching} of {count_noun(tree.survey.recordings, 'name')} have the shape of {shape}"

    def read(tree: Tree, options: Options) -> Listing:
        options.refuse(tree.source, name)
        return _list_matches(tree, options, compiled, f"the pattern of {name}", refine)

    return Format(name, holds, example, recognise, read)


def _refine_heart_sound(columns: dict[str, Any]) -> dict[str, Any]:
    """Files of the challenge's tests have no label; those of one patient are a group, where the name says whose."""
    (label,) = columns["labels"] or [None]
    is_test = label is None or label.lower().endswith("unlabelledtest")
    patient = _PATIENT.match(columns["take"])
    group = None if patient is None else patient[1]
    return columns | {"labels": [] if is_test else [label], "split": "test" if is_test else None, "group": group}


PRESETS = (
    _make_preset(
        "heart-sounds",
        "names of the PASCAL heart sounds challenge: class, noise, patient and time; …unlabelledtest stays unlabelled",
        "extrahls__201101070953.wav\nnormal_noisynormal_101_1305030823364_A.wav\nBunlabelledtest__101_….wav",
        r"(?P<label>artifact|extrahls|extrastole|murmur|normal|[AB]?unlabelledtest)_"
        r"(?P<noise>noisy[a-z]+)?_(?P<take>.*)",
        _refine_heart_sound,
    ),
    _make_preset(
        "spoken-digits",
        "names of the Free Spoken Digit Dataset: digit, speaker (the group), take",
        "7_jackson_32.wav\n0_theo_4.wav",
        r"(?P<label>\d)_(?P<group>[a-z]+)_(?P<take>\d+)",
        lambda columns: columns,
    ),
    _make_preset(
        "city-sounds",
        "names of city archives: city, mood, number; unlabelled, for labelling by city and mood",
        "berlin_calm_17.mp3\nnewyork_chaotic_3.mp3",
        r"(?P<city>[^\W\d_]+(?:[- ][^\W\d_]+)*)_(?P<mood>calm|boring|chaotic|annoying|eventful|lively|pleasant|"
        r"monotonous|vibrant|quiet|noisy)_(?P<archive_id>\d+)",
        lambda columns: columns,
    ),
)

FORMAT = Format(
    "names",
    "labels in the names of files: --pattern with named groups (label, fold, split, group, recorded_at, or your own)",
    "--pattern '(?P<label>[a-z]+)_(?P<group>[^_]+)_.*'\ndog_garden_01.wav\nrain_roof_17.wav",
    lambda tree: None,
    _read,
)
