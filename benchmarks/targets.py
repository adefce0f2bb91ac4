"""What hubbub promises of speed, memory and agreement, and whether a run found it so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agreement import ALLOWED_DB, Difference
from memory import MB, Peak
from speed import Speeds
from table import print_table

TIMES_JOBLIB = {"wav": 2.2}
"""At least so many times joblib and librosa, storing included; the WAV at 44.1 kHz."""

TIMES_JOBLIB_FROM_START = {"ogg": 1.15}
"""At least so many times joblib and librosa whose processes have begun, by the command with all of its start-up; of
3,200 clips (``--repeat 8`` of ESC-10's 400)."""

OF_DECODING = {"ogg": 0.80}
"""At least this part of the clips a second of decoding and resampling alone, which no frontend can be faster than."""

TIMES_BARE_LOOP = {"ogg": 1.08}
"""At most so many times the seconds of a bare loop: what Dask, Zarr and the row parts together cost."""

TIMES_ONE_WORKER = {"ogg": 1.85}
"""At least so many times the clips a second of one worker, with two."""

PEAK_MB = 600.0
"""Below this a worker stays on the longer recording."""

TIMES_SHORTER = 1.10
"""At most so many times its peak on the shorter one."""


@dataclass(frozen=True)
class Verdict:
    """A target, the figure found, and whether it was met."""

    what: str
    wanted: str
    found: str
    met: bool


def verdicts(speeds: Speeds, peaks: Sequence[Peak], differences: Sequence[Difference]) -> list[Verdict]:
    """Hold what was measured against the targets; what was not measured is not judged."""
    return [*_of_speed(speeds), *_of_memory(peaks), *_of_agreement(differences)]


def _of_speed(speeds: Speeds) -> Iterator[Verdict]:
    for suffix, wanted in TIMES_JOBLIB.items():
        if (found := _ratio(speeds, suffix, "joblib")) is not None:
            yield _at_least(f"{suffix}: times joblib and librosa, stored", wanted, found)
    for suffix, wanted in TIMES_JOBLIB_FROM_START.items():
        if (found := _ratio(speeds, suffix, "joblib", way="command")) is not None:
            yield _at_least(f"{suffix}: times joblib and librosa, start-up included", wanted, found)
    for suffix, wanted in OF_DECODING.items():
        if (found := _ratio(speeds, suffix, "decoding")) is not None:
            yield _at_least(f"{suffix}: part of decoding alone", wanted, found)
    for suffix, wanted in TIMES_BARE_LOOP.items():
        if found := _ratio(speeds, suffix, "bare"):
            yield _at_most(f"{suffix}: times the seconds of a bare loop", wanted, 1 / found)
    for suffix, wanted in TIMES_ONE_WORKER.items():
        if (found := _ratio(speeds, suffix, "hubbub-one")) is not None:
            yield _at_least(f"{suffix}: times one worker", wanted, found)


def _ratio(speeds: Speeds, suffix: str, beside: str, *, way: str = "hubbub") -> float | None:
    """How many times as fast as another way hubbub was; None where one of them was left out."""
    times = speeds.get(suffix, {})
    return times[way].times_as_fast_as(times[beside]) if {way, beside} <= times.keys() else None


def _of_memory(peaks: Sequence[Peak]) -> Iterator[Verdict]:
    if peaks:
        shorter, longer = peaks[0], peaks[-1]
        found_mb = longer.peak_bytes / MB
        yield Verdict(
            f"{longer.length} FLAC: peak MB of a worker", f"< {PEAK_MB:g}", f"{found_mb:.0f}", found_mb < PEAK_MB
        )
        what = f"{longer.length} FLAC: times the peak of the {shorter.length} one"
        yield _at_most(what, TIMES_SHORTER, longer.peak_bytes / shorter.peak_bytes)


def _of_agreement(differences: Sequence[Difference]) -> Iterator[Verdict]:
    for item in differences:
        allowed_db = ALLOWED_DB[item.precision, item.where]
        what = f"{item.precision}, {item.where}: dB from librosa"
        yield Verdict(what, f"<= {allowed_db:g}", f"{item.worst_db:.2g}", item.worst_db <= allowed_db)


def _at_least(what: str, wanted: float, found: float) -> Verdict:
    return Verdict(what, f">= {wanted:.2f}", f"{found:.3f}", found >= wanted)


def _at_most(what: str, wanted: float, found: float) -> Verdict:
    return Verdict(what, f"<= {wanted:.2f}", f"{found:.3f}", found <= wanted)


def print_verdicts(judged: Sequence[Verdict]) -> None:
    """Print the table of targets."""
    rows = [(item.what, item.wanted, item.found, "met" if item.met else "MISSED") for item in judged]
    print_table("Targets", ("", "wanted", "found", ""), rows)
