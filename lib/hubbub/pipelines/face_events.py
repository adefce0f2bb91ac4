"""The functions of ``import hubbub`` about events and their rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hubbub.labels.tables import LabelTables

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike


def find_events(
    labels: PathLike | LabelTables,
    *,
    rules: PathLike | None = None,
    from_reviews: bool = False,
    precision: float | None = None,
    thresholds: float | Mapping[str, float] | None = None,
    release: float | None = None,
    min_duration_s: float | None = None,
    merge_gap_s: float | None = None,
    progress: bool = False,
) -> LabelTables:
    """Find events again from stored window scores, without the model; a rule that is not given stays.

    The label tables on disk are changed. Thresholds come from `rules`, then from reviews, then from `thresholds`: later
    ones win. Parameters that are not named here are those of `label`.

    Parameters
    ----------
    labels
        The label tables, or their path.
    rules
        A YAML file of rules by label: ``dog: 0.7``, or ``dog: {threshold: 0.7, release: 0.4}``.
    from_reviews
        Give each reviewed label the smallest threshold whose expected precision is `precision`; a label whose verdicts
        tell none keeps its own.
    precision
        With `from_reviews`: the share of events that shall be right, above 0 and below 1.

    Raises
    ------
    UsageError
        For options that do not go together, an unknown label, or reviews that hold no verdict on an event.
    SettingsError
        For a rule file that cannot be read, or a rule that cannot be.
    LabelsError
        When there are no label tables, or a part of them or of their reviews is torn.
    """
    from hubbub.pipelines.events import find_events as run

    return run(
        labels,
        rules=rules,
        from_reviews=from_reviews,
        precision=precision,
        thresholds=thresholds,
        release=release,
        min_duration_s=min_duration_s,
        merge_gap_s=merge_gap_s,
        progress=progress,
    )
