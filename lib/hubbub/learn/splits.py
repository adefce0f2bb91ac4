"""Split rows into training, validation and test; a group is never in two of them.

A group is what a clip table calls one (a site, a device, a source recording), or else the clip itself, so that the
windows and the channels of one clip stay together as well. Augmented copies (`variant` above 0) train where their clip
does, and are nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import TrainingError, suggest_nearest
from hubbub.io.text import count_noun
from hubbub.learn.targets import choose_main_labels, number_kinds, pair_labels
from hubbub.learn.validation import draw_groups, select_validation

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
    """Share of the training rows, in whole groups, that chooses the epoch to keep; 0 for none."""

    seed: int = 0
    """Decides which groups are drawn."""


@dataclass(frozen=True)
class Split:
    """Rows of a store, parted."""

    labels: tuple[str, ...]
    """Labels of the training rows, sorted."""

    table: npt.NDArray[np.float32]
    """float32 [kind, label]: what a row carries whose target is `kind`. The first kinds are the labels by themselves;
    sets of several labels come after them."""

    train: pd.DataFrame
    """Training rows, with a column `target`."""

    validation: pd.DataFrame
    """Rows that choose the epoch to keep, with a column `target`; may be empty."""

    test: pd.DataFrame
    """Test rows, with a column `target`."""

    skipped: int
    """Rows, as recorded, left out because they carry no label."""

    @property
    def is_multilabel(self) -> bool:
        """Whether some rows carry several labels."""
        return len(self.table) > len(self.labels)


def choose_rule(rows: pd.DataFrame, *, by: str | None, test_fold: int | None, **options: Any) -> SplitRule:
    """Complete what a user asked for: a test fold means `fold`, a `split` column `split`, no folds at all `group`.

    Test rows without labels, as of a challenge, are no split: none of them could be scored.

    Raises
    ------
    TrainingError
        For an unknown `by`, or when it does not follow from the rows which of them test.
    """
    if by is not None and by not in ("fold", "split", "group"):
        raise TrainingError(f"cannot split by '{by}': {suggest_nearest(by, ['fold', 'split', 'group'])}")
    if by is None:
        by = "fold" if test_fold is not None else "split" if _has_labelled_test(rows) else None
    if by is None and rows["fold"].isna().all():
        by = "group"
    if by is None:
        raise TrainingError(f"which rows test? give --test-fold ({_list_folds(rows)}), or --split-by group")
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
        No row is labelled, the test fold is not there, training or test would be empty or have fewer than two labels,
        or a group lies on both sides (names it).
    """
    labelled, skipped = labelled_rows(select_recorded(rows))
    is_test = select_test(labelled, rule)
    train, test = labelled[~is_test], labelled[is_test]
    _refuse_shared_groups(train, test, rule)
    train, validation = _draw_validation(train, rule)
    train = _add_variants(train, rows)
    labels = tuple(sorted(pair_labels(train)["label"].unique()))
    _refuse_too_few(labels, train, test, rule)
    train, validation, test = (_keep_known(part, labels) for part in (train, validation, test))
    targets, table = number_kinds([part["labels"] for part in (train, validation, test)], labels)
    return Split(
        labels,
        table,
        train=train.assign(target=targets[0]),
        validation=validation.assign(target=targets[1]),
        test=test.assign(target=targets[2]),
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
    """Return the rows with labels, and how many had none.

    Their `labels` are sorted, each once; `label` is the one by which a row is counted where only one can be
    (`choose_main_labels`), `unit` its group.

    Raises
    ------
    TrainingError
        When no row has a label, or there is no row.
    """
    if rows.empty:
        raise TrainingError(
            f"{count_noun(len(rows), 'row')} with features: all clips of the store failed; "
            "read why with: hubbub info STORE"
        )
    carried = rows["labels"].map(lambda names: tuple(sorted(set(names))))
    count = carried.map(len)
    labelled = rows[count > 0].assign(labels=carried[count > 0])
    if labelled.empty:
        raise TrainingError(
            f"none of the {count_noun(len(rows), 'row')} is labelled; index a folder with a sub-folder a "
            "label, or a CSV with labels"
        )
    labelled = labelled.assign(
        label=choose_main_labels(labelled["labels"]),
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
            "give each clip a fold, or use --split-by group"
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
        raise TrainingError(
            f"column 'split' has no 'train' or no 'test' among the labelled rows (there are: {', '.join(there)}); "
            "correct the column, or use --split-by group"
        )
    return is_test


def _by_group(labelled: pd.DataFrame, rule: SplitRule) -> pd.Series:
    """Groups by what they draw, not by their rank: a store that grows keeps every group on its side.

    Where that would leave a label nothing to train on, its last group stays in training.
    """
    draw = draw_groups(rule.seed, "test")
    units = sorted(labelled["unit"].unique(), key=draw)
    drawn = [unit for unit in units if int.from_bytes(draw(unit)[:8], "big") < rule.test_share * 2**64]
    chosen = set(drawn or units[:1])
    for _, held in pair_labels(labelled).groupby("label", sort=True)["unit"]:
        if chosen.issuperset(held):
            chosen.discard(max(held.unique(), key=draw))
    if not chosen and len(units) > 1:  # the label of the first group has no other: one that can go tests
        chosen = set(_first_that_can_go(labelled, units))
    return labelled["unit"].isin(chosen)


def _first_that_can_go(labelled: pd.DataFrame, units: list[str]) -> list[str]:
    """The first group whose labels all have another group, in a list; an empty one where there is none."""
    pairs = pair_labels(labelled)
    n_units = pairs.groupby("label")["unit"].nunique()
    can_go = pairs.groupby("unit")["label"].agg(lambda labels: bool((n_units[labels.unique()] > 1).all()))
    return [unit for unit in units if can_go[unit]][:1]


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
    chosen = select_validation(train, share=rule.validation_share, seed=rule.seed)
    return train[~chosen], train[chosen]


def _refuse_shared_groups(train: pd.DataFrame, other: pd.DataFrame, rule: SplitRule) -> None:
    shared = sorted(set(train["unit"]) & set(other["unit"]))
    if shared:
        more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
        raise TrainingError(
            f"group '{shared[0]}'{more} would be in both training and test, split by {rule.by}, which makes scores too "
            f"good; correct column '{rule.by}', or use --split-by group"
        )


def _refuse_too_few(labels: Sequence[str], train: pd.DataFrame, test: pd.DataFrame, rule: SplitRule) -> None:
    if test.empty and rule.by == "group":
        raise TrainingError(
            f"no group can test: there {'is' if train['unit'].nunique() == 1 else 'are'} "
            f"{count_noun(train['unit'].nunique(), 'group')}, and every label must keep one to train on; "
            "expected at least two groups (recordings, sites) of a label"
        )
    if train.empty or test.empty:
        raise TrainingError(
            f"{count_noun(len(train), 'training row')} and {count_noun(len(test), 'test row')}; expected at "
            "least one of each"
        )
    if len(labels) < 2:
        raise TrainingError(
            f"one label in {count_noun(len(train), 'training row')}: '{labels[0]}'; expected at least two labels"
        )
    unknown = sorted(set(pair_labels(test)["label"]) - set(labels))
    if unknown:
        raise TrainingError(f"label '{unknown[0]}' has test rows but none to train on; move some of its clips")


def _keep_known(part: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Leave out labels that no training row carries, and rows that carry no other."""
    known = set(labels)
    carried = part["labels"].map(lambda names: tuple(name for name in names if name in known))
    part = part.assign(labels=carried)[carried.map(len) > 0]
    strange = ~part["label"].isin(labels)
    return part.assign(label=part["label"].where(~strange, part["labels"].map(lambda names: names[0]))).reset_index(
        drop=True
    )


def _has_labelled_test(rows: pd.DataFrame) -> bool:
    if "split" not in rows.columns:
        return False
    return bool(((rows["split"] == "test").fillna(False) & (rows["labels"].map(len) > 0)).any())


def _list_folds(rows: pd.DataFrame) -> str:
    folds = sorted({int(fold) for fold in rows["fold"].dropna()})
    return f"there are: {', '.join(map(str, folds))}" if folds else "the clips have no folds"
