"""The functions of ``import hubbub`` about soundscapes with known events, and how well events are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hubbub.clips.table import ClipTable
from hubbub.labels.tables import LabelTables

if TYPE_CHECKING:
    import pandas as pd

    from hubbub.pipelines.inputs import PathLike
    from hubbub.pipelines.mix import MixResult
    from hubbub.pipelines.score import ScoreResult


def mix(
    clips: PathLike | ClipTable,
    out: PathLike,
    *,
    scenes: int = 10,
    duration_s: float = 60.0,
    events: tuple[int, int] = (4, 8),
    snr_db: tuple[float, float] = (0.0, 20.0),
    background_db: tuple[float, float] = (-55.0, -35.0),
    fold: int | None = None,
    backgrounds: PathLike | None = None,
    negatives: PathLike | None = None,
    overlap: bool = True,
    sample_rate: int = 44_100,
    seed: int = 0,
    progress: bool = False,
) -> MixResult:
    """Mix soundscapes at known times and levels: FLAC files, and truth.csv beside them.

    Parameters
    ----------
    clips
        A clip table; clips with exactly one label are mixed.
    out
        Folder of the soundscapes, on this machine; the same call on it does nothing.
    scenes, duration_s, sample_rate
        How many, the seconds of each, and Hz.
    events
        Fewest and most events of a soundscape; their labels are drawn alike.
    snr_db
        Lowest and highest level of an event over the background, in dB.
    background_db
        Softest and loudest background, in dBFS.
    fold
        Only clips of this fold; None: all.
    backgrounds
        A folder of recordings without events, which four of five soundscapes are mixed into; the others, and all where
        it is None, are mixed into noise of random colours.
    negatives
        A folder of sounds of no class, which are mixed in as well and are not in the truth.
    overlap
        Whether events may overlap; those of one label never do.
    seed
        Decides what is drawn; a soundscape does not depend on how many there are.

    Returns
    -------
    MixResult
        `folder`, `truth` (the CSV), `scenes`, `events`.

    Raises
    ------
    hubbub.errors.UsageError
        A value is out of range, a recording is silent or too short, or `out` holds other soundscapes.
    hubbub.errors.ClipTableError
        No clip carries exactly one label.
    """
    from hubbub.pipelines.mix import MixSettings
    from hubbub.pipelines.mix import mix as run

    chosen = MixSettings(scenes, duration_s, sample_rate, events, snr_db, background_db, overlap, seed)
    return run(clips, out, settings=chosen, fold=fold, backgrounds=backgrounds, negatives=negatives, progress=progress)


def score(
    labels: PathLike | LabelTables,
    reference: PathLike | pd.DataFrame,
    out: PathLike | None = None,
    *,
    tolerances_s: Sequence[float] = (1.0, 0.2),
    segment_s: float = 1.0,
    every_recording: bool = False,
    progress: bool = False,
) -> ScoreResult:
    """Score found events against those that people annotated.

    Clips that are segments or channels of a recording are scored each as if it were a recording: true events are cut
    where a segment begins and ends. Intervals draw the clips of a recording together.

    Parameters
    ----------
    labels
        Label tables.
    reference
        A DataFrame (uri, label, onset_s, offset_s); or a CSV or TSV, a Raven selection table, a JAMS file, or a folder
        of them or of Audacity label tracks.
    out
        A JSON file for all scores; None: nothing is written.
    tolerances_s
        How far an onset may be off; the offset as far, or half of the event.
    segment_s
        Length of a segment.
    every_recording
        Score recordings that the reference does not name, too, as having no events.

    Returns
    -------
    ScoreResult
        `scores` of segments and events with intervals, `psds`, `mean_pauc`, `false_per_10_min`, `notes`.

    Raises
    ------
    hubbub.errors.LabelsError
        The reference cannot be read, names no recording that was labelled, or holds no events of the model's labels
        without `every_recording`.
    """
    from hubbub.pipelines.score import score as run

    return run(
        labels,
        reference,
        out,
        tolerances_s=tolerances_s,
        segment_s=segment_s,
        every_recording=every_recording,
        progress=progress,
    )
