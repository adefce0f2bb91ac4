"""A training, decided before it starts: rows, split, recipe, and what identifies the command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.audio.distractors import names_voice
from hubbub.clips.table import IS_EVENT
from hubbub.config import canonical_hash
from hubbub.config.network_features import check_network
from hubbub.config.recipes import RecipeSettings
from hubbub.errors import SettingsError, TrainingError
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.learn.augment import Augmentation
from hubbub.learn.budget import shuffle_budget_bytes
from hubbub.learn.checksummed_store import ChecksummedStore
from hubbub.learn.crops import covering_crops, input_frames, valid_within
from hubbub.learn.dataset import BandStatistics, KeptRows, band_statistics
from hubbub.learn.extra_sounds import ExtraSounds, load_extra_sounds
from hubbub.learn.networks import Recipe, Shape, find_recipe
from hubbub.learn.pretrained import Weights, find_weights
from hubbub.learn.scenes import WHOLE_EVENT, SceneMixer
from hubbub.learn.splits import Split, SplitRule, choose_rule, split_rows
from hubbub.learn.stages import Stage
from hubbub.learn.teaching import Lesson, prepare_lessons
from hubbub.models.frames import FrameLayout
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from hubbub.tasks.embed import find_store_model


@dataclass(frozen=True)
class TrainingJob:
    """One training, fully decided."""

    store: FeatureStore
    out: Path
    recipe: Recipe
    recipe_settings: RecipeSettings
    rule: SplitRule
    split: Split
    epochs: int
    batch_rows: int
    seed: int
    extra: Mapping[str, ExtraSounds]
    """Recordings beside the rows: `backgrounds`, `negatives` and `unlabelled`, those that were given."""

    teacher: Path | None
    """The bundle that says what is in the `unlabelled` ones."""

    weights: Weights | None
    """What the network begins with; None for recipes that always begin with random weights."""
    backbone: StoragePath | None
    """The model that makes the embeddings that a head trains on; None for any other network."""

    memory_bytes: int
    """Bytes of rows that are shuffled together; decides the order of rows only where not all of them fit."""

    @cached_property
    def kept(self) -> KeptRows:
        """Rows that stay in memory from one epoch to the next, where all of them fit."""
        return KeptRows()

    @property
    def partial(self) -> Path:
        """Where work happens."""
        return self.out.with_name(self.out.name + ".partial")

    @property
    def shape(self) -> Shape:
        """What the network is built for."""
        settings = self.store.settings
        return Shape(input_frames(settings), self.store.n_bands, len(self.split.labels), settings)

    @cached_property
    def policy(self) -> Augmentation | None:
        """The augmentation; None where the settings or the recipe have none."""
        if self.recipe.policy is None or not self.recipe_settings.train.augment:
            return None
        policy = self.recipe.policy(self.store.settings)
        if not isinstance(policy, SceneMixer):
            return policy
        if any(map(names_voice, self.split.labels)):
            policy = replace(policy, voices=())
        pieces = {name: sounds.pieces for name, sounds in self.extra.items() if name != "unlabelled"}
        return policy.with_sounds(**pieces, lessons=self.lessons[0])

    @cached_property
    def lessons(self) -> tuple[tuple[Lesson, ...], str]:
        """What the teacher hears in the unlabelled recordings, and what identifies that."""
        if self.teacher is None:
            return (), ""
        return prepare_lessons(self.extra["unlabelled"], self.teacher, self.store.settings, self.split.labels)

    @cached_property
    def target_table(self) -> npt.NDArray[np.float32]:
        """float32 [kind, label], what rows carry, by their `targets_of`.

        For networks of frames the kinds come twice, the second time at `WHOLE_EVENT`: rows that are one event.
        """
        table = self.split.table
        return table if self.frames is None else np.concatenate([table, WHOLE_EVENT * table])

    def targets_of(self, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
        """The kind of each row, int64 [row]."""
        targets = rows["target"].to_numpy(np.int64)
        if self.frames is None or IS_EVENT not in rows:
            return targets
        return targets + len(self.split.table) * rows[IS_EVENT].fillna(False).to_numpy(bool)

    @cached_property
    def frames(self) -> FrameLayout | None:
        """How the scores of a network of frames lie; None for one that scores whole rows."""
        return None if self.recipe.plan_frames is None else self.recipe.plan_frames(self.store.settings)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Which part of the network trains in which epochs."""
        return self.recipe.plan_stages(self.epochs, self.recipe_settings.model)

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
            "recipe_settings": self._settings_that_count(),
            "seed": self.seed,
            "split": {name: value for name, value in asdict(self.rule).items() if name != "seed"},
            "labels": list(self.split.labels),
            "rows": parts,
            "settings_hash": self.store.settings_hash,
            **{name: sounds.identity for name, sounds in self.extra.items()},
            **({} if self.teacher is None else {"unlabelled": self.lessons[1]}),
            **({} if self.weights is None else {"weights": self.weights.identity}),
        }

    def _settings_that_count(self) -> dict[str, dict[str, Any]]:
        """All but what is in the command by itself."""
        elsewhere = {"train": {"epochs", "batch_rows", "validation_share"}, "model": {"weights"}}
        return self.recipe_settings.model_dump(mode="json", exclude=elsewhere)


def plan_training(
    store: str | Path | FeatureStore,
    out: Path,
    model: str,
    test_fold: int | None,
    split_by: str | None,
    settings: RecipeSettings,
    seed: int,
    extra: Mapping[str, Path] | None = None,
) -> TrainingJob:
    """Decide everything that can be decided before anything is read or written.

    `extra` are the folders or stores of `backgrounds`, `negatives` and `unlabelled`, for recipes that mix scenes, and
    the bundle that is the `teacher`.
    """
    extra = dict(extra or {})
    recipe = find_recipe(model)
    if seed < 0:
        raise TrainingError(f"seed {seed}; give 0 or more")
    if settings.train.augment and recipe.policy is None:
        raise SettingsError(f"train.augment: true, but {model} has no augmentation; leave it false, or use default")
    if recipe.plan_frames is not None and not settings.train.augment:
        raise SettingsError(f"train.augment: false, but {model} trains on mixed scenes only; leave it true")
    opened = store if isinstance(store, FeatureStore) else open_store(store)
    check_network(model, opened.settings, str(opened.path))
    if extra and recipe.plan_frames is None:
        raise TrainingError(f"--{next(iter(extra))}: {model} mixes no scenes; leave it out, or train --model detector")
    if ("unlabelled" in extra) != ("teacher" in extra):
        given, missing = (
            ("unlabelled", "--teacher BUNDLE, a detector with the same labels")
            if "unlabelled" in extra
            else ("teacher", "--unlabelled FOLDER, recordings of which it says what is in them")
        )
        raise TrainingError(f"--{given} {extra[given]} was given alone; give also {missing}")
    teacher = extra.pop("teacher", None)
    if recipe.plan_frames is not None:
        recipe.plan_frames(opened.settings)  # refuses features that the network cannot take
    rows = opened.rows()
    asked = settings.train
    rule = choose_rule(rows, by=split_by, test_fold=test_fold, validation_share=asked.validation_share, seed=seed)
    split = split_rows(rows, rule)
    if split.is_multilabel and recipe.activation == "softmax":
        raise TrainingError(_refuse_several_labels(split, model))
    count = len(split.train)
    job = TrainingJob(
        store=opened,
        out=out,
        recipe=recipe,
        recipe_settings=settings,
        rule=rule,
        split=split,
        epochs=asked.epochs or recipe.epochs_for(count),
        batch_rows=min(asked.batch_rows or recipe.batch_for(count), count),
        seed=seed,
        extra={name: load_extra_sounds(path, opened.settings, f"--{name}") for name, path in extra.items()},
        teacher=teacher,
        weights=find_weights(model, settings),
        backbone=find_store_model(opened) if opened.holds_embeddings else None,
        memory_bytes=shuffle_budget_bytes() if asked.shuffle_mb is None else asked.shuffle_mb * 10**6,
    )
    _ = job.stages  # refuses what cannot be divided into them
    return job


def _refuse_several_labels(split: Split, model: str) -> str:
    rows = pd.concat([split.train, split.validation, split.test])
    several = rows[rows["labels"].map(len) > 1]
    first = several.iloc[0]
    return (
        f"{count_noun(several['clip_id'].nunique(), 'clip')} with several labels, such as {first['uri']} "
        f"({', '.join(first['labels'])}), and {model} tells one label a clip; use --model default, "
        "or give each clip the one that counts"
    )


def _rows_hash(rows: Any) -> str:
    """Changes when other rows, other contents or other labels are used."""
    lines = zip(rows["row"], rows["crc32"], rows["labels"], strict=True)
    return canonical_hash([f"{row} {crc32} {' + '.join(labels)}" for row, crc32, labels in lines])
