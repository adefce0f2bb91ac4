"""Mix soundscapes with known events from a clip table. What ``hubbub mix`` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubbub.audio import decode
from hubbub.audio.remote import local_copy
from hubbub.audio.soundscape import Soundscape, find_stretches, mix_soundscape
from hubbub.clips.sources.tree import is_audio
from hubbub.clips.table import ClipTable, read_table, resolve_uri
from hubbub.errors import AudioError, ClipTableError, EmptyAudio, UsageError
from hubbub.io.atomic import explain_write_errors, write_json, write_text
from hubbub.io.folders import refuse_foreign_folder
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun, list_few
from hubbub.pipelines.inputs import as_path
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.train import require_local

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike

TRUTH, COMMAND = "truth.csv", "mix.json"
LONGEST_S = 3600.0
"""A soundscape is held in memory as a whole: an hour takes some gigabytes."""

SHORTEST_BACKGROUND_S = 1.0
_CROSSFADE_S = 0.05
_OVER_NOISE_SHARE = 0.2  # of the soundscapes, where there are recordings


@dataclass(frozen=True)
class MixSettings:
    """What is mixed; the same settings and clips make the same soundscapes.

    Attributes
    ----------
    scenes, duration_s, sample_rate
        How many soundscapes, the seconds of each, and Hz.
    events
        Fewest and most events of a soundscape.
    snr_db
        Lowest and highest level of an event over the background.
    background_db
        Softest and loudest background, dBFS.
    overlap
        Whether events may overlap.
    seed
        Decides everything else.
    """

    scenes: int = 10
    duration_s: float = 60.0
    sample_rate: int = 44_100
    events: tuple[int, int] = (4, 8)
    snr_db: tuple[float, float] = (0.0, 20.0)
    background_db: tuple[float, float] = (-55.0, -35.0)
    overlap: bool = True
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot be mixed; raises `UsageError`."""
        if self.scenes < 1:
            raise UsageError(f"--scenes {self.scenes}: expected 1 or more")
        if not 0 < self.duration_s <= LONGEST_S:
            raise UsageError(f"--duration {self.duration_s:g}: expected more than 0 and up to {LONGEST_S:g} s")
        for name, low_high in (("events", self.events), ("snr", self.snr_db), ("level", self.background_db)):
            if not low_high[0] <= low_high[1]:
                raise UsageError(f"--{name} {low_high[0]:g} {low_high[1]:g}: expected the lower value first")
        if self.events[0] < 0:
            raise UsageError(f"--events {self.events[0]} {self.events[1]}: expected 0 or more")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: expected 0 or more")


@dataclass(frozen=True)
class MixResult:
    """Soundscapes and their truth: `folder`, `truth` (a CSV), how many `scenes` and `events`; `was_done` before.

    `skipped` are clips that could not be mixed, and why.
    """

    folder: Path
    truth: Path
    scenes: int
    events: int
    was_done: bool = False
    skipped: tuple[str, ...] = ()


def mix(
    clips: PathLike | ClipTable,
    out: PathLike,
    *,
    settings: MixSettings | None = None,
    fold: int | None = None,
    backgrounds: PathLike | None = None,
    negatives: PathLike | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> MixResult:
    """Mix soundscapes; see `hubbub.mix`."""
    reporter, chosen = choose_reporter(reporter, progress=progress), settings or MixSettings()
    chosen.check()
    folder = require_local(as_path(out, "out"), "mix into a folder here, then copy it")
    table = clips if isinstance(clips, ClipTable) else read_table(as_path(clips, "clips"))
    pool = _choose_clips(table, fold)
    under = None if backgrounds is None else _list_recordings(as_path(backgrounds, "backgrounds"), "--backgrounds")
    strange = None if negatives is None else _list_recordings(as_path(negatives, "negatives"), "--negatives")
    command = _describe_command(chosen, pool, under, strange)
    refuse_foreign_folder(folder, COMMAND, "the soundscapes")
    if (done := _find_done(folder, command)) is not None:
        reporter.say(f"mix: {folder} holds these soundscapes already")
        return done
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / COMMAND, command)
    maker = _SceneMaker(chosen, table.root, pool, under, strange)
    rows: list[dict[str, Any]] = []
    with reporter.show_progress("mix", chosen.scenes, "soundscapes") as advance:
        for number in range(chosen.scenes):
            rows += maker.write(number, folder)
            advance(1)
    _write_truth(folder / TRUTH, rows)
    skipped = tuple(sorted(maker.skipped.values()))
    return MixResult(folder, folder / TRUTH, chosen.scenes, len(rows), skipped=skipped)


def _choose_clips(table: ClipTable, fold: int | None) -> list[dict[str, Any]]:
    rows = [row for row in table.rows.to_pylist() if len(row["labels"]) == 1]
    if not rows:
        raise ClipTableError(f"none of {count_noun(len(table), 'clip')} carries exactly one label, as hubbub mix needs")
    if fold is not None:
        folds = sorted({row["fold"] for row in rows if row["fold"] is not None})
        rows = [row for row in rows if row["fold"] == fold]
        if not rows:
            raise UsageError(f"--fold {fold}: no clip is in it (folds: {', '.join(map(str, folds)) or 'none'})")
    return sorted(rows, key=lambda row: (row["labels"][0], row["uri"], row["start_s"] or 0.0))


def _list_recordings(source: StoragePath, option: str) -> list[Path]:
    if not is_local(source) or not source.is_dir():
        raise UsageError(f"{option} {source}: expected a folder of recordings on this machine")
    found = sorted(path for path in source.rglob("*") if path.is_file() and is_audio(path.name))
    if not found:
        raise UsageError(f"{option} {source}: no recordings in it; expected WAV, FLAC, Ogg or MP3 files")
    return found


def _describe_command(
    settings: MixSettings, pool: list[dict[str, Any]], under: list[Path] | None, strange: list[Path] | None
) -> dict[str, Any]:
    """All that decides the soundscapes, as JSON holds it."""
    sources = {"backgrounds": under, "negatives": strange}
    named = {name: None if paths is None else [path.name for path in paths] for name, paths in sources.items()}
    return json.loads(json.dumps(asdict(settings) | {"clips": [row["clip_id"] for row in pool], **named}))


def _find_done(folder: Path, command: dict[str, Any]) -> MixResult | None:
    """Soundscapes that the same command made; those of another are refused, unfinished ones are removed."""
    if not (folder / COMMAND).exists():
        return None
    if not (folder / TRUTH).exists():
        for left in folder.glob("scene-*.flac"):
            left.unlink()
        return None
    try:
        made_by = json.loads((folder / COMMAND).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{folder / COMMAND} cannot be read ({error}); delete {folder} to mix anew") from None
    if made_by != command:
        names = [name for name in command if made_by.get(name) != command[name]]
        raise UsageError(
            f"{folder} holds other soundscapes (another {list_few(names, 'setting')}); give another -o, or delete it"
        )
    events = len((folder / TRUTH).read_text(encoding="utf-8").splitlines()) - 1
    return MixResult(folder, folder / TRUTH, command["scenes"], events, was_done=True)


class _SceneMaker:
    """Makes soundscapes, each from its own seed, so that more of them change none."""

    def __init__(
        self,
        settings: MixSettings,
        root: StoragePath,
        pool: list[dict[str, Any]],
        under: list[Path] | None,
        strange: list[Path] | None,
    ) -> None:
        self._settings, self._root, self._under, self._strange = settings, root, under, strange
        self._by_label: dict[str, list[dict[str, Any]]] = {}
        self.skipped: dict[str, str] = {}
        for row in pool:
            self._by_label.setdefault(row["labels"][0], []).append(row)

    def write(self, number: int, folder: Path) -> list[dict[str, Any]]:
        """Write one soundscape; return its events as rows of the truth."""
        import soundfile

        rng, settings = np.random.default_rng([self._settings.seed, number]), self._settings
        drawn = [self._draw_clip(label, rng) for label in self._draw_labels(rng)]
        chosen, sounds = [row for row, _ in drawn], [(row["labels"][0], samples) for row, samples in drawn]
        strange = [] if self._strange is None else [self._load_negative(rng) for _ in range(int(rng.integers(0, 3)))]
        mixed = self._mix([*sounds, *strange], rng)
        name = f"scene-{number + 1:0{max(4, len(str(settings.scenes)))}d}.flac"
        with explain_write_errors(folder):
            soundfile.write(folder / name, mixed.samples, settings.sample_rate, subtype="PCM_16")
        return [
            {
                "uri": name,
                "label": event.label,
                "onset_s": event.onset_s,
                "offset_s": event.offset_s,
                "snr_db": round(event.snr_db, 2),
                "source": chosen[event.clip]["uri"],
            }
            for event in mixed.events
            if event.clip < len(chosen)
        ]

    def _mix(self, sounds: Sequence[tuple[str, np.ndarray]], rng: np.random.Generator) -> Soundscape:
        settings = self._settings
        over_noise = self._under is None or rng.random() < _OVER_NOISE_SHARE
        return mix_soundscape(
            sounds,
            duration_s=settings.duration_s,
            sample_rate=settings.sample_rate,
            background=None if over_noise else self._load_background(rng),
            background_db=float(rng.uniform(*settings.background_db)),
            snr_db=settings.snr_db,
            min_gap_s=None if settings.overlap else 0.5,
            varied_noise=True,
            seed=int(rng.integers(2**32)),
        )

    def _draw_labels(self, rng: np.random.Generator) -> list[str]:
        """Labels, each drawn alike, however many clips it has."""
        labels = sorted(self._by_label)
        count = int(rng.integers(self._settings.events[0], self._settings.events[1], endpoint=True))
        return [labels[int(rng.integers(len(labels)))] for _ in range(count)]

    def _draw_clip(self, label: str, rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
        """Draw a clip of a label, and another where it cannot be mixed, which is remembered."""
        clips = self._by_label[label]
        while left := [row for row in clips if row["clip_id"] not in self.skipped]:
            row = left[int(rng.integers(len(left)))]
            try:
                return row, self._load(row)
            except AudioError as error:
                self.skipped[row["clip_id"]] = f"{row['uri']}: {error.reason}"
        raise UsageError(
            f"none of {count_noun(len(clips), 'clip')} of {label} can be mixed, such as "
            f"{self.skipped[clips[0]['clip_id']]}; leave the label out of the clip table"
        )

    def _load(self, row: dict[str, Any]) -> np.ndarray:
        rate = self._settings.sample_rate
        first = round((row["start_s"] or 0.0) * rate)
        count = None if row["end_s"] is None else round(row["end_s"] * rate) - first
        with local_copy(resolve_uri(row["uri"], self._root), row["version"]) as path:
            samples = decode.load_audio(path, sample_rate=rate, first=first, count=count)
        if not find_stretches(samples, rate):
            raise EmptyAudio("silent")
        return samples

    def _load_negative(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        assert self._strange is not None
        path = self._strange[int(rng.integers(len(self._strange)))]
        samples = self._read(path)
        if not find_stretches(samples, self._settings.sample_rate):
            raise EmptyAudio(f"--negatives: {path} is silent; leave it out")
        return "", samples

    def _load_background(self, rng: np.random.Generator) -> np.ndarray:
        """Stretches of recordings, end to end, until they fill a soundscape."""
        assert self._under is not None
        rate = self._settings.sample_rate
        wanted, fade = round(self._settings.duration_s * rate), round(_CROSSFADE_S * rate)
        whole = np.zeros(0)
        while len(whole) < wanted:
            path = self._under[int(rng.integers(len(self._under)))]
            samples = self._read(path)
            if len(samples) < SHORTEST_BACKGROUND_S * rate:
                raise UsageError(
                    f"--backgrounds: {path} has {len(samples) / rate:.2f} s; expected {SHORTEST_BACKGROUND_S:g} s at "
                    "least; leave it out"
                )
            if not np.any(samples):
                raise UsageError(f"--backgrounds: {path} is silent; leave it out")
            start = int(rng.integers(0, max(0, len(samples) - wanted) + 1))
            whole = _join(whole, samples[start : start + wanted].astype(np.float64), fade)
        return whole[:wanted]

    def _read(self, path: Path) -> np.ndarray:
        try:
            return decode.load_audio(path, sample_rate=self._settings.sample_rate)
        except AudioError as error:
            raise UsageError(f"{path}: {error.reason}; leave it out") from None


def _join(before: np.ndarray, after: np.ndarray, fade: int) -> np.ndarray:
    """Put one stretch after another, equally loud, over a crossfade."""
    if not len(before):
        return after
    loud, soft = np.sqrt(np.mean(np.square(before))), np.sqrt(np.mean(np.square(after)))
    after = after * (loud / max(soft, 1e-9))
    rise = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / fade)
    seam = before[-fade:] * rise[::-1] + after[:fade] * rise
    return np.concatenate([before[:-fade], seam, after[fade:]])


def _write_truth(path: Path, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    columns = ["uri", "label", "onset_s", "offset_s", "snr_db", "source"]
    write_text(path, pd.DataFrame(rows, columns=columns).to_csv(index=False))


def describe_mix(result: MixResult, settings: MixSettings) -> dict[str, str]:
    """Describe what was mixed, as names and values for people."""
    return {
        "soundscapes": f"{result.scenes} of {settings.duration_s:g} s",
        "events": count_noun(result.events, "event"),
        **({"clips left out": count_noun(len(result.skipped), "clip")} if result.skipped else {}),
        "truth": str(result.truth),
    }
