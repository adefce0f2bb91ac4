"""The function of ``import hubbub`` that writes events for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubbub.io.paths import StoragePath
from hubbub.labels.tables import LabelTables

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike


def export_events(
    labels: PathLike | LabelTables,
    out: PathLike,
    *,
    format: str,
    timezone: str | None = None,
    by: str | None = None,
    spreadsheet: bool = False,
    points: str | None = None,
    padding_s: float | None = None,
    per_label: int | None = None,
    root: PathLike | None = None,
    confirmed: bool = False,
    progress: bool = False,
) -> list[StoragePath]:
    """Write events for other programs.

    Parameters
    ----------
    labels
        The label tables.
    out
        Folder to write to; of ``clips`` a new one.
    format
        ``csv``, ``jsonl``, ``daily``, ``geojson``, ``birdnet`` or ``kaleidoscope`` for tables; ``audacity``, ``elan``,
        ``jams``, ``raven`` or ``textgrid`` for annotations; ``clips`` or ``wav-cues`` for audio.
    timezone
        For ``daily`` and ``kaleidoscope``: whose days and hours, such as ``Europe/Berlin``; None: UTC.
    by
        For ``daily``: a column of the clip table.
    spreadsheet
        For ``csv`` and ``daily``: write an apostrophe before text that spreadsheets take for a formula.
    points
        For ``geojson``: ``recordings`` or ``events``; None: recordings.
    padding_s
        For ``clips``: seconds around an event; None: 1.
    per_label
        For ``clips``: how many of each label at most, spread over the range of scores; None: all.
    root
        For ``clips`` and ``wav-cues``: where recordings with relative names lie now; None: where the label tables say.
    confirmed
        Only events that most reviewers call right; those that nobody has judged are left out.
    progress
        Print what is done.

    Returns
    -------
    list of path
        The files. Of ``clips`` and ``wav-cues`` the table among them says in its column `problem` what failed, and why.

    Raises
    ------
    hubbub.errors.UsageError
        The format is unknown, or does not take an option that is given; `out` is a file, or of ``clips`` holds
        something; `root` is no folder; `confirmed`, and nobody has judged an event.
    hubbub.errors.LabelsError
        There are no label tables, or they lack a column.

    Examples
    --------
    >>> hubbub.export_events("labels", "selections", format="raven")  # doctest: +SKIP
    """
    from hubbub.labels.export import ExportOptions
    from hubbub.pipelines.export import export as run
    from hubbub.pipelines.inputs import as_path

    lies = None if root is None else as_path(root, "root")
    options = ExportOptions(timezone, by, spreadsheet, points, padding_s, per_label, lies)
    return run(labels, out, format=format, options=options, confirmed=confirmed, progress=progress).paths
