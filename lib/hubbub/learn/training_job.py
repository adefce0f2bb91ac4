"""A training, decided before it starts: rows, split, recipe, and what identifies the command."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hubbub.config import canonical_hash
from hubbub.errors import TrainingError
from hubbub.learn.checksummed_store import ChecksummedStore
from hubbub.learn.crops import covering_crops, input_frames, valid_within
from hubbub.learn.dataset import BandStatistics, band_statistics
from hubbub.learn.networks import Recipe, Shape, find_recipe
from hubbub.learn.splits import Split, SplitRule, choose_rule, split_rows
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store


@dataclass(frozen=True)
class TrainingJob:
    """One training, fully decided."""

    store: FeatureStore
    out: Path
    recipe: Recipe
    rule: SplitRule
    split: Split
    epochs: int
    batch_rows: int
    seed: int

    @property
    def partial(self) -> Path:
        """Where work happens."""
        return self.out.with_name(self.out.name + ".partial")

    @property
    def shape(self) -> Shape:
        """What the network is built for."""
        return Shape(input_frames(self.store.settings), self.store.n_bands, len(self.split.labels))

    @cached_property
    def statistics(self) -> BandStatistics:
        """Of the training rows' sound, padding left out. Taking them compares every row with its checksum."""
        rows, crops = covering_crops(self.store.settings, self.split.train)
        return band_statistics(
            ChecksummedStore(self.store, rows),
            rows["row"].to_numpy(),
            valid_within(rows, crops),
            crops=crops,
            is_db=self.store.settings.frontend.is_db,
        )

    @property
    def command(self) -> dict[str, Any]:
        """All that decides the weights: the same command means the same bundle."""
        parts = {name: _rows_hash(getattr(self.split, name)) for name in ("train", "validation", "test")}
        return {
            "model": self.recipe.name,
            "epochs": self.epochs,
            "batch_rows": self.batch_rows,
            "seed": self.seed,
            "split": {name: value for name, value in asdict(self.rule).items() if name != "seed"},
            "labels": list(self.split.labels),
            "rows": parts,
            "settings_hash": self.store.settings_hash,
        }


def plan_training(
    store: str | Path | FeatureStore,
    out: Path,
    model: str,
    test_fold: int | None,
    split_by: str | None,
    epochs: int | None,
    seed: int,
    validation_share: float,
) -> TrainingJob:
    """Decide everything that can be decided before anything is read or written."""
    recipe = find_recipe(model)
    if epochs is not None and epochs < 1:
        raise TrainingError(f"{epochs} epochs; give at least 1")
    if not 0 <= validation_share < 1:
        raise TrainingError(f"a validation share of {validation_share:g}; give at least 0 and less than 1")
    if seed < 0:
        raise TrainingError(f"seed {seed}; give 0 or more")
    opened = store if isinstance(store, FeatureStore) else open_store(store)
    rows = opened.rows()
    rule = choose_rule(rows, by=split_by, test_fold=test_fold, validation_share=validation_share, seed=seed)
    split = split_rows(rows, rule)
    count = len(split.train)
    return TrainingJob(
        store=opened,
        out=out,
        recipe=recipe,
        rule=rule,
        split=split,
        epochs=recipe.epochs_for(count) if epochs is None else epochs,
        batch_rows=recipe.batch_for(count),
        seed=seed,
    )


def _rows_hash(rows: Any) -> str:
    """Changes when other rows, other contents or other labels are used."""
    lines = zip(rows["row"], rows["crc32"], rows["label"], strict=True)
    return canonical_hash([f"{row} {crc32} {label}" for row, crc32, label in lines])
