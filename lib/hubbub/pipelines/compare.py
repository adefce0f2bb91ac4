"""Compare two evaluations on the clips that both tested. What ``hubbub compare`` does.

Label tables are compared in `hubbub.pipelines.compare_labels`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import UsageError
from hubbub.io.atomic import explain_read_errors, local_file, read_bytes
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.tables import LabelTables, is_labels
from hubbub.pipelines.compare_labels import LabelComparison, compare_labels, refuse_mixture
from hubbub.pipelines.inputs import as_labels, as_path
from hubbub.pipelines.reporting import Reporter, choose_reporter

if TYPE_CHECKING:
    from hubbub.learn.clip_metrics import Calls, ClipMetrics
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
    first: PathLike | LabelTables,
    second: PathLike | LabelTables,
    out: PathLike | None = None,
    *,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> Comparison | LabelComparison:
    """Compare two evaluations, cross-validations or label tables; see `hubbub.compare`."""
    reporter = choose_reporter(reporter, progress=progress)
    one, two = (given.path if isinstance(given, LabelTables) else as_path(given, "run") for given in (first, second))
    are_labels = is_labels(one), is_labels(two)
    refuse_mixture(one, two, are_labels)
    if all(are_labels):
        folder = None if out is None else as_path(out, "out")
        return compare_labels(as_labels(first), as_labels(second), folder, reporter=reporter)
    if out is not None:
        raise UsageError(f"-o {out} is for label tables; of evaluations nothing is written: leave -o out")
    return compare_evaluations(one, two, reporter=reporter)


def compare_evaluations(first: StoragePath, second: StoragePath, *, reporter: Reporter) -> Comparison:
    """Compare two evaluations or cross-validations."""
    from hubbub.learn.clip_metrics import clip_metrics
    from hubbub.learn.intervals import compare_paired

    tables = [_read_predictions(path) for path in (first, second)]
    labels = tuple(sorted({label for _, own in tables for label in own}))
    one, two = (_index_by_clip(table, own, labels) for table, own in tables)
    shared = one.index.intersection(two.index, sort=True)
    agree = np.array([*map(np.array_equal, one.loc[shared, "marked"], two.loc[shared, "marked"])], bool)
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
    scores = [np.stack(table.loc[shared, "scores"].to_list()) for table in (one, two)]
    calls = [_call(table.loc[shared], values) for table, values in zip((one, two), scores, strict=True)]
    metrics = [clip_metrics(own, values, labels) for own, values in zip(calls, scores, strict=True)]
    return Comparison(len(shared), labels, metrics[0], metrics[1], compare_paired(calls[0].right, calls[1].right))


def _call(table: pd.DataFrame, scores: npt.NDArray[np.float64]) -> Calls:
    """What the mean of the scores calls; of clips that carry several labels, what at least half of the seeds did."""
    from hubbub.learn.clip_metrics import Calls, call_labels

    calls = call_labels(np.stack(table["marked"].to_list()), scores)
    if table["called"].isna().any():
        return calls
    return Calls(calls.marked, np.stack(table["called"].to_list()) >= 0.5, calls.top)


def _read_predictions(folder: StoragePath) -> tuple[pd.DataFrame, list[str]]:
    """The predictions of a folder, and the labels in the order of their scores."""
    from hubbub.learn.outcomes import COLUMNS

    try:
        with explain_read_errors(folder):
            said: dict[str, Any] = json.loads(read_bytes(folder / "evaluation.json"))
            with local_file(folder / "predictions.parquet") as local:
                table = pd.read_parquet(local)
                wanted = ["clip_id", "true", "scores", *(name for name in COLUMNS if name in table)]
                return table[wanted], list(said["labels"])
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{folder} is no evaluation; make one with: hubbub evaluate BUNDLE STORE -o {folder}, or hubbub crossval; "
            "or give two folders of label tables"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} cannot be read as an evaluation ({error}); evaluate again") from None


def _index_by_clip(table: pd.DataFrame, own: list[str], labels: tuple[str, ...]) -> pd.DataFrame:
    """One line a clip: marked [label], and scores and called [label], the means over its seeds.

    A label that the model did not know scores 0; `called` is None where every clip carries one label.
    """
    from hubbub.learn.targets import mark_labels

    scores = np.zeros((len(table), len(labels)))
    if len(table):
        scores[:, [labels.index(label) for label in own]] = np.stack(table["scores"].to_list())
    clip, ids = pd.factorize(table["clip_id"])
    first = table.drop_duplicates("clip_id")
    carry_several = "labels" in table
    carried = first["labels"] if carry_several else first["true"].map(lambda label: [label])
    called = _mean_over_seeds(mark_labels(table["called"].to_list(), labels), clip) if carry_several else None
    columns = {
        "marked": list(mark_labels(carried.to_list(), labels)),
        "scores": list(_mean_over_seeds(scores, clip)),
        "called": [None] * len(ids) if called is None else list(called),
    }
    return pd.DataFrame(columns, index=pd.Index(ids))


def _mean_over_seeds(values: npt.NDArray[Any], clip: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Mean of the rows of each clip, float64 [clip, label]."""
    means = np.zeros((clip.max(initial=-1) + 1, values.shape[1]))
    np.add.at(means, clip, values)
    return means / np.bincount(clip)[:, None] if len(means) else means
