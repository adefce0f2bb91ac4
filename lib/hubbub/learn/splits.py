"""Split rows into training, validation and test; a group is never in two of them.

A group is what a clip table calls one (a site, a device, a source recording), or else the clip itself, so that the
windows and the channels of one clip stay together as well. Augmented copies (`variant` above 0) train where their clip
does, and are nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from hubbub.errors import TrainingError, suggest_nearest
from hubbub.io.text import count_noun

SplitBy = Literal["fold", "split", "group"]


@dataclass(frozen=True)
class SplitRule:
    """How rows are parted; plain data that a bundle keeps, so that evaluation finds the same test rows again."""

    by: SplitBy
    """`fold`: one official fold tests. `split`: the data set's own column. `group`: a share of the groups, drawn."""

    test_fold: int | None = None
    """The fold that tests; None unless parted by fold."""

    test_share: float = 0.2
    """Share of the groups that tests, where parted by group."""

    validation_share: float = 0.1
    """Share of each label's training rows, in whole groups, that chooses the epoch to keep; 0 for none."""

    seed: int = 0
    """Decides which groups are drawn."""


@dataclass(frozen=True)
class Split:
    """Rows of a store, parted."""

    labels: tuple[str, ...]
    """Labels of the training rows, sorted; a target is an index into them."""

    train: pd.DataFrame
    """Training rows, with a column `target`."""

    validation: pd.DataFrame
    """Rows that choose the epoch to keep, with a column `target`; may be empty."""

    test: pd.DataFrame
    """Test rows, with a column `target`."""

    skipped: int
    """Rows, as recorded, left out because they carry no label."""


def choose_rule(rows: pd.DataFrame, *, by: str | None, test_fold: int | None, **options: Any) -> SplitRule:
    """Complete what a user asked for: a test fold means `fold`, a `split` column `split`, no folds at all `group`.

    Raises
    ------
    TrainingError
        For an unknown `by`, or when it does not follow from the rows which of them test.
    """
    if by is not None and by not in ("fold", "split", "group"):
        raise TrainingError(f"cannot split by '{by}': {suggest_nearest(by, ['fold', 'split', 'group'])}")
    if by is None:
        by = "fold" if test_fold is not None else "split" if _has(rows, "split", "test") else None
    if by is None and rows["fold"].isna().all():
        by = "group"
    if by is None:
        raise TrainingError(f"which rows test? give a test fold ({_list_folds(rows)}), or split by 'group'")
    if by == "fold" and test_fold is None:
        raise TrainingError(f"splitting by fold needs a test fold ({_list_folds(rows)})")
    if by != "fold" and test_fold is not None:
        raise TrainingError(f"test fold {test_fold} was given, but the rows are split by '{by}'; give one of the two")
    return SplitRule(by=by, test_fold=test_fold, **options)  # type: ignore[arg-type]


def split_rows(rows: pd.DataFrame, rule: SplitRule) -> Split:
    """Part the labelled rows of a store into training, validation and test.

    Parameters
    ----------
    rows
        As `FeatureStore.rows` gives them; without a column `variant` all are as recorded.
    rule
        How. The same rule and rows give the same split.

    Raises
    ------
    TrainingError
        No row is labelled, a clip has several labels, the test fold is not there, training or test would be empty
        or have fewer than two labels, or a group lies on both sides (names it).
    """
    labelled, skipped = labelled_rows(select_recorded(rows))
    is_test = select_test(labelled, rule)
    train, test = labelled[~is_test], labelled[is_test]
    _refuse_shared_groups(train, test, rule)
    train, validation = _draw_validation(train, rule)
    train = _add_variants(train, rows)
    labels = tuple(sorted(train["label"].unique()))
    _refuse_too_few(labels, train, test)
    return Split(
        labels,
        train=_add_target(train, labels),
        validation=_add_target(validation, labels),
        test=_add_target(test, labels),
        skipped=skipped,
    )


def select_recorded(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without augmented copies."""
    return rows[rows["variant"].fillna(0) == 0] if "variant" in rows else rows


def _add_variants(train: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Training rows, and the augmented copies of their clips."""
    copies = rows.drop(select_recorded(rows).index)
    copies = copies[copies["clip_id"].isin(train["clip_id"])]
    return train if copies.empty else pd.concat([train, labelled_rows(copies)[0]]).sort_values("row")


def labelled_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows with exactly one label, with columns `label` and `unit`, and how many had none.

    Raises
    ------
    TrainingError
        For a clip with several labels, or when no row has one.
    """
    count = rows["labels"].map(len)
    several = rows[count > 1]
    if len(several):
        first = several.iloc[0]
        raise TrainingError(
            f"{count_noun(several['clip_id'].nunique(), 'clip')} with several labels, such as {first['uri']} "
            f"({', '.join(first['labels'])}); the models here tell one label a clip: give each clip the one that counts"
        )
    labelled = rows[count == 1]
    if labelled.empty:
        raise TrainingError(
            f"none of the {count_noun(len(rows), 'row')} is labelled; index a folder with a sub-folder a "
            "label, or a CSV with labels"
        )
    labelled = labelled.assign(
        label=labelled["labels"].map(lambda names: names[0]),
        # Segments of one file belong together, whether the clip table says so or not.
        unit=labelled["group"].astype("object").where(labelled["group"].notna(), labelled["uri"]).astype(str),
    )
    return labelled, int((count == 0).sum())


def select_test(labelled: pd.DataFrame, rule: SplitRule) -> pd.Series:
    """Return which of `labelled_rows` test, bool.

    Raises
    ------
    TrainingError
        When the fold is not there, some rows have none, or no row is marked as test.
    """
    return _SELECT[rule.by](labelled, rule)


def _by_fold(labelled: pd.DataFrame, rule: SplitRule) -> pd.Series:
    fold = labelled["fold"]
    is_test = (fold == rule.test_fold).fillna(False).astype(bool)
    if not is_test.any():
        raise TrainingError(f"there is no fold {rule.test_fold}; choose one of those ({_list_folds(labelled)})")
    if fold.isna().any():
        raise TrainingError(
            f"{count_noun(int(fold.isna().sum()), 'labelled row')} without a fold, such as "
            f"{labelled[fold.isna()].iloc[0]['uri']}; "
            "give each clip a fold, or split by 'group'"
        )
    return is_test


def _by_split(labelled: pd.DataFrame, rule: SplitRule) -> pd.Series:
    is_test = (labelled["split"] == "test").fillna(False).astype(bool)
    there = sorted(labelled["split"].dropna().unique())
    known = labelled["split"].isin(["train", "val", "test"])
    if not known.all():
        odd = labelled[~known].iloc[0]
        raise TrainingError(
            f"column 'split' of {odd['uri']} is {odd['split']!r}; expected train, val or test for every clip"
        )
    if not is_test.any() or not (labelled["split"] == "train").any():
        raise TrainingError(f"column 'split' has no 'train' or no 'test' (there are: {', '.join(there)})")
    return is_test


def _by_group(labelled: pd.DataFrame, rule: SplitRule) -> pd.Series:
    """Groups by what they draw, not by their rank: a store that grows keeps every group on its side."""
    draw = _draw(rule, "test")
    units = sorted(labelled["unit"].unique(), key=draw)
    drawn = [unit for unit in units if int.from_bytes(draw(unit)[:8], "big") < rule.test_share * 2**64]
    chosen = (drawn or units[:1])[: len(units) - 1]
    return labelled["unit"].isin(chosen)


_SELECT: dict[str, Callable[[pd.DataFrame, SplitRule], pd.Series]] = {
    "fold": _by_fold,
    "split": _by_split,
    "group": _by_group,
}


def _draw_validation(train: pd.DataFrame, rule: SplitRule) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take the data set's own validation rows, or whole groups until each label has given its share."""
    if rule.by == "split" and (train["split"] == "val").any():
        own = train["split"] == "val"
        _refuse_shared_groups(train[~own], train[own], rule)
        return train[~own], train[own]
    drawn: set[str] = set()
    for _, rows in train.groupby("label", sort=True):
        drawn |= _share_of_groups(rows, drawn, rule)
    chosen = train["unit"].isin(drawn)
    return train[~chosen], train[chosen]


def _share_of_groups(rows: pd.DataFrame, drawn: set[str], rule: SplitRule) -> set[str]:
    """Groups of one label, beyond those drawn already, that make its share; never all of them."""
    sizes = rows["unit"].value_counts()
    units = sorted(sizes.index, key=_draw(rule, "validation"))
    wanted = rule.validation_share * len(rows)
    have = int(sum(sizes[unit] for unit in units if unit in drawn))
    free = [unit for unit in units if unit not in drawn]
    taken: set[str] = set()
    for unit in free[:-1]:
        # Half a clip of slack: the last group may bring a share closer by going over it.
        if have + sizes[unit] > wanted + 0.5:
            continue
        taken.add(unit)
        have += int(sizes[unit])
    return taken


def _draw(rule: SplitRule, purpose: str) -> Callable[[str], bytes]:
    """Sort key that shuffles: it depends on the seed and the name alone, so other groups change nothing."""
    return lambda unit: hashlib.sha256(f"{rule.seed}/{purpose}/{unit}".encode()).digest()


def _refuse_shared_groups(train: pd.DataFrame, other: pd.DataFrame, rule: SplitRule) -> None:
    shared = sorted(set(train["unit"]) & set(other["unit"]))
    if shared:
        more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
        raise TrainingError(
            f"group '{shared[0]}'{more} would be in both training and test, split by {rule.by}, which makes scores too "
            f"good; correct column '{rule.by}', or use --split-by group"
        )


def _refuse_too_few(labels: Sequence[str], train: pd.DataFrame, test: pd.DataFrame) -> None:
    if train.empty or test.empty:
        raise TrainingError(
            f"{count_noun(len(train), 'training row')} and {count_noun(len(test), 'test row')}; expected at "
            "least one of each"
        )
    if len(labels) < 2:
        raise TrainingError(
            f"one label in {count_noun(len(train), 'training row')}: '{labels[0]}'; expected at least two labels"
        )
    unknown = sorted(set(test["label"]) - set(labels))
    if unknown:
        raise TrainingError(f"label '{unknown[0]}' has test rows but none to train on; move some of its clips")


def _add_target(part: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    part = part[part["label"].isin(labels)]
    index = {label: position for position, label in enumerate(labels)}
    return part.assign(target=part["label"].map(index).astype("int64")).reset_index(drop=True)


def _has(rows: pd.DataFrame, column: str, value: str) -> bool:
    return column in rows.columns and bool((rows[column] == value).fillna(False).any())


def _list_folds(rows: pd.DataFrame) -> str:
    folds = sorted({int(fold) for fold in rows["fold"].dropna()})
    return f"there are: {', '.join(map(str, folds))}" if folds else "the clips have no folds"
