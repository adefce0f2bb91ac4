"""The recordings a benchmark reads: a folder's clips, the same in other formats or several times, and long ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hubbub.clips.table import ClipTable, resolve_uri

FORMATS = {
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "flac": ("FLAC", "PCM_16"),
    "wav": ("WAV", "PCM_16"),
}
"""File suffix -> libsndfile's names of the container and of what is in it."""

ROOT = Path(__file__).resolve().parents[1]
LONG_RATE, LONG_CHANNELS = 48000, 2
_BLOCK_FRAMES = 2**16  # libsndfile is known to crash on long Ogg written in one call
_NOISE_S = 10
_NOISE_LSB = 3.0  # standard deviation: a quiet place, some 4 bits a sample after FLAC


def default_clips() -> Path:
    """Find ESC-10: where ``HUBBUB_ESC10`` says, beside the repository, else the hundred clips within."""
    whole = Path(os.environ.get("HUBBUB_ESC10") or ROOT.parent / "shared" / "esc10")
    return whole if (whole / "esc10.csv").is_file() else ROOT / "tests" / "data" / "esc10-mini"


def index(folder: Path, limit: int | None = None) -> ClipTable:
    """Make the clip table of a folder: of the CSV file in it, else of the folder itself."""
    from hubbub.clips.index import index_listing
    from hubbub.clips.sources import Columns, list_source

    source = next(iter(sorted(folder.glob("*.csv"))), folder)
    table, unreadable = index_listing(list_source(source, None, Columns()))
    if unreadable:
        raise SystemExit(f"a benchmark needs clips that can be read: {unreadable[0]}")
    return ClipTable(table.rows.slice(0, limit), table.root.resolve())


def paths_of(table: ClipTable) -> list[Path]:
    """Where the clips lie."""
    return [resolve_uri(uri, table.root) for uri in table.rows["uri"].to_pylist()]


def in_format(table: ClipTable, suffix: str, folder: Path) -> ClipTable:
    """Give the same clips in one of `FORMATS`: as they are if all have that suffix, else written to a new folder."""
    paths = paths_of(table)
    if all(path.suffix.lower() == f".{suffix}" for path in paths):
        return table
    folder.mkdir()
    for number, path in enumerate(paths):
        transcode(path, folder / f"{number:06d}-{path.stem}.{suffix}")
    return index(folder)


def repeat(table: ClipTable, times: int, folder: Path) -> ClipTable:
    """Link every recording `times` times into a new folder: a small data set then makes as many units as a large one.

    Returns
    -------
    ClipTable
        The clips of that folder; the given table where `times` is 1.
    """
    if times == 1:
        return table
    folder.mkdir()
    for number in range(times):
        for path in paths_of(table):
            (folder / f"{number:03d}-{path.name}").symlink_to(path)
    return index(folder)


def transcode(source: Path, target: Path) -> None:
    """Write a recording in the format that the target's suffix names, at its own rate and channels."""
    import soundfile

    container, subtype = FORMATS[target.suffix[1:]]
    with soundfile.SoundFile(source) as reader:
        rate, channels = reader.samplerate, reader.channels
        try:
            with soundfile.SoundFile(target, "w", rate, channels, format=container, subtype=subtype) as writer:
                for block in reader.blocks(_BLOCK_FRAMES, dtype="float32"):
                    writer.write(block)
        except soundfile.LibsndfileError as error:
            raise SystemExit(
                f"{source.name} ({rate} Hz, {channels} channels) cannot be written as {target.suffix[1:]} "
                f"({error.error_string}); choose others with --formats"
            ) from None


def write_long(path: Path, duration_s: int) -> None:
    """Write a 48 kHz stereo FLAC of any length: ten seconds of quiet noise, over and over."""
    import soundfile

    noise = _noise(np.random.default_rng(0))
    with soundfile.SoundFile(
        path, "w", LONG_RATE, LONG_CHANNELS, format="FLAC", subtype="PCM_16", compression_level=0
    ) as writer:
        for frames in _lengths(duration_s * LONG_RATE, len(noise)):
            writer.write(noise[:frames])


def _noise(random: np.random.Generator) -> npt.NDArray[np.int16]:
    """Low-passed noise, another in each channel, int16 [frame, channel]; outdoor hum lies low as well."""
    white = random.standard_normal((_NOISE_S * LONG_RATE + 3, LONG_CHANNELS))
    smooth = (white[:-3] + white[1:-2] + white[2:-1] + white[3:]) / 2
    return np.round(smooth * _NOISE_LSB).astype(np.int16)


def _lengths(total: int, most: int) -> Iterator[int]:
    for begin in range(0, total, most):
        yield min(most, total - begin)
