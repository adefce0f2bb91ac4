"""Compare two evaluations on the clips that both tested. What ``hubbub compare`` does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hubbub.errors import UsageError
from hubbub.io.atomic import explain_read_errors, local_file, read_bytes
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.pipelines.inputs import as_path
from hubbub.pipelines.reporting import Reporter, choose_reporter

if TYPE_CHECKING:
    from hubbub.learn.clip_metrics import ClipMetrics
    from hubbub.learn.intervals import PairedTest
    from hubbub.pipelines.inputs import PathLike


@dataclass(frozen=True)
class Comparison:
    """Two models on the same clips.

    Attributes
    ----------
    clips
        Clips that both tested; only these count. One that was tested with several seeds has the mean of its scores.
    labels
        Labels of both, sorted.
    first, second
        Their scores.
    test
        How probable the difference is by chance.
    """

    clips: int
    labels: tuple[str, ...]
    first: ClipMetrics
    second: ClipMetrics
    test: PairedTest


def compare(
    first: PathLike, second: PathLike, *, progress: bool = False, reporter: Reporter | None = None
) -> Comparison:
    """Compare two evaluations or cross-validations; see `hubbub.compare`."""
    from hubbub.learn.clip_metrics import clip_metrics
    from hubbub.learn.intervals import compare_paired

    reporter = choose_reporter(reporter, progress=progress)
    tables = [_read_predictions(as_path(path, "evaluation")) for path in (first, second)]
    labels = tuple(sorted({label for _, own in tables for label in own}))
    one, two = (_index_by_clip(table, own, labels) for table, own in tables)
    shared = one.index.intersection(two.index, sort=True)
    agree = one.loc[shared, "true"].to_numpy() == two.loc[shared, "true"].to_numpy()
    if not agree.all():
        reporter.warn(f"{count_noun(int((~agree).sum()), 'clip')} left out, whose label is not the same in both")
    shared = shared[agree]
    if not len(shared):
        raise UsageError(
            f"{first} and {second} have no clip with the same label in common: the one tested "
            f"{count_noun(len(one), 'clip')}, the other {len(two)}; evaluate both models on the same clips (--fold K)"
        )
    if len(shared) < max(len(one), len(two)):
        reporter.warn(
            f"compared on the {count_noun(len(shared), 'clip')} that both tested, of {len(one)} and {len(two)}"
        )
    true = one.loc[shared, "true"].map(labels.index).to_numpy(np.int64)
    scores = [np.stack(table.loc[shared, "scores"].to_list()) for table in (one, two)]
    right = [values.argmax(axis=1) == true for values in scores]
    metrics = [clip_metrics(true, values, labels) for values in scores]
    return Comparison(len(shared), labels, metrics[0], metrics[1], compare_paired(right[0], right[1]))


def _read_predictions(folder: StoragePath) -> tuple[pd.DataFrame, list[str]]:
    """The predictions of a folder, and the labels in the order of their scores."""
    try:
        with explain_read_errors(folder):
            said: dict[str, Any] = json.loads(read_bytes(folder / "evaluation.json"))
            with local_file(folder / "predictions.parquet") as local:
                return pd.read_parquet(local, columns=["clip_id", "true", "scores"]), list(said["labels"])
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{folder} is no evaluation; make one with: hubbub evaluate BUNDLE STORE -o {folder}, or hubbub crossval"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} cannot be read as an evaluation ({error}); evaluate again") from None


def _index_by_clip(table: pd.DataFrame, own: list[str], labels: tuple[str, ...]) -> pd.DataFrame:
    """One line a clip, true and scores [label], the mean over its seeds; a label that it did not know scores 0."""
    scores = np.zeros((len(table), len(labels)))
    if len(table):
        scores[:, [labels.index(label) for label in own]] = np.stack(table["scores"].to_list())
    clip, ids = pd.factorize(table["clip_id"])
    means = np.zeros((len(ids), len(labels)))
    np.add.at(means, clip, scores)
    means /= np.bincount(clip, minlength=len(ids))[:, None]
    true = table.drop_duplicates("clip_id")["true"].to_list()
    return pd.DataFrame({"true": true, "scores": list(means)}, index=pd.Index(ids))
