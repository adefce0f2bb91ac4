"""How closely hubbub's features agree with librosa's, from the file on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recordings import paths_of
from table import print_table

from hubbub.clips.table import ClipTable
from hubbub.config.frontends import LogMelSettings

NEAR_PEAK_DB = 80.0
ALLOWED_DB = {
    # precision, where -> largest difference allowed, dB
    ("float32", "within 80 dB of the peak"): 0.01,
    ("float32", "anywhere above the floor"): 0.2,
    ("float64", "everywhere"): 1e-4,
}
"""Targets: largest difference from librosa, whose transform is float64, in dB."""


@dataclass(frozen=True)
class Difference:
    """Worst difference from librosa over all clips: of which precision, where, how much, in which clip."""

    precision: str
    where: str
    worst_db: float
    clip: str


def agreement(table: ClipTable) -> list[Difference]:
    """Compare hubbub's features with librosa's over every clip."""
    worst = {key: Difference(*key, 0.0, "") for key in ALLOWED_DB}
    for path in paths_of(table):
        for (precision, where), difference_db in _compare(path).items():
            # A NaN is the worst there is.
            if not difference_db < worst[precision, where].worst_db:
                worst[precision, where] = Difference(precision, where, difference_db, path.name)
    return list(worst.values())


def _compare(path: Path) -> dict[tuple[str, str], float]:
    """Worst differences of one clip in dB, whole, without the floor at 80 dB that would hide the quiet bins."""
    import librosa

    from hubbub.audio.decode import load_audio
    from hubbub.audio.frontends import get_frontend

    samples, rate = librosa.load(path, sr=LogMelSettings().sample_rate)
    expected = librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=rate), top_db=None).T
    masks = {
        "within 80 dB of the peak": expected >= expected.max() - NEAR_PEAK_DB,
        "anywhere above the floor": expected > 10 * np.log10(LogMelSettings().amin),
        "everywhere": np.ones(expected.shape, dtype=bool),
    }
    ours = load_audio(path, sample_rate=LogMelSettings().sample_rate)
    differences = {
        precision: np.abs(get_frontend(LogMelSettings(precision=precision, top_db=None))(ours) - expected)
        for precision in ("float32", "float64")
    }
    return {(precision, where): float(differences[precision][masks[where]].max()) for precision, where in ALLOWED_DB}


def print_agreement(differences: Sequence[Difference], clips: int) -> None:
    """Print the table of differences."""
    rows = [(item.precision, item.where, f"{item.worst_db:.2g}", item.clip) for item in differences]
    print_table(
        f"Worst difference from librosa over {clips} clips, file to dB", ("precision", "bins", "dB", "clip"), rows
    )
