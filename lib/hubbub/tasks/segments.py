"""Segments of long recordings: scored on any worker, and joined by the unit of their recording.

::

    windows    0 ........ 511 | 512 ....... 1023 | 1024 ... 1500
    segments          a                 b                 c ...          the last goes on to the end of the sound
    decoded    [-----------~]
                           [~~-----------~]                            ~ sound around a seam
                                             [~~-----------]

What a segment holds is, to the bit, what the recording decoded in one go would give. For that a resampler must do at a
segment's begin what it would do there in mid-stream. It works in blocks, so it is started a whole number of its periods
after the recording's begin (`resampler_period`), and early enough to have settled. Where that is not possible, or a
decoder remembers what came before, the recording is decoded from its start, and the worker that has the next segment
goes on where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import soundfile
import soxr

from hubbub.audio import decode
from hubbub.audio.blocks import BlockGrid
from hubbub.audio.decode import aligned_start
from hubbub.audio.remote import local_copy, parse_etag
from hubbub.audio.windows import Window, WindowGrid
from hubbub.clips.table import content_version, resolve_uri
from hubbub.io.paths import StoragePath, is_local
from hubbub.labels.tables import LabelTables
from hubbub.planning.units import Item

Scores = npt.NDArray[np.float16] | npt.NDArray[np.uint8]
Score = Callable[[Iterable[Window]], tuple[npt.NDArray[np.int64], Scores]]
"""Goes through windows, or blocks, and gives how many samples each window holds, int64 [window], and its scores."""

_SETTLED_S, _SETTLED_SAMPLES = 1.0, 4096  # around a seam; the samples, a few of soxr's blocks, are of the lower rate
_PERIOD_S, _PERIOD_STEPS = 30, 2**14  # the longest period that is looked for
_TRIED_FRAMES_MOST = 2**23  # 32 MB of noise; no recorder in the air needs more

# Decoders of these give the same from any place on. MP3 differs by the last bits, Opus by more.
_MEMORYLESS = {*(f"PCM_{kind}" for kind in ("16", "24", "32", "S8", "U8")), "FLOAT", "DOUBLE", "ULAW", "ALAW", "VORBIS"}


@dataclass(frozen=True)
class SegmentWindows:
    """How recordings are cut into windows, or into the blocks of a stream.

    Attributes
    ----------
    root
        Where uris lie.
    grid
        Of the windows that are counted and stored.
    sample_rate, channel
        Hz, and which channel is heard (None: all, mixed).
    blocks
        What is decoded and scored at a time, where that is not a window: each is `windows_each` windows.
    """

    root: StoragePath
    grid: WindowGrid
    sample_rate: int
    channel: int | None
    blocks: BlockGrid | None = None
    windows_each: int = 1


@dataclass(frozen=True)
class SegmentResult:
    """A segment, scored.

    Attributes
    ----------
    valid
        int64 [window]: samples of each that are sound.
    scores
        float16 [window, label]; uint8 [window, frame x label] of a stream (`hubbub.labels.frames`).
    samples
        Of the whole clip, where its end was met; else None.
    content
        What tells the content that was read from any other.
    """

    valid: npt.NDArray[np.int64]
    scores: Scores
    samples: int | None
    content: str


def hash_content(item: Item, root: StoragePath) -> str | None:
    """What tells changed content of an item's file: the version it has now; None where that cannot be known."""
    source = resolve_uri(item.clip["uri"], root)
    if not is_local(source):
        return parse_etag(item.clip["version"])  # nothing else is fetched
    try:
        return content_version(source.stat())
    except OSError:
        return None


def score_segment(item: Item, cutting: SegmentWindows, score: Score) -> SegmentResult | None:
    """Decode and score one segment; None where its content cannot be told from another, or changes meanwhile.

    Raises
    ------
    AudioError
        The segment cannot be decoded; what then is wrong with the recording, decoding it from its start will tell.
    BucketError
        It lies in a bucket that cannot be read at all.
    """
    content = hash_content(item, cutting.root)
    if content is None:
        return None
    source = resolve_uri(item.clip["uri"], cutting.root)
    with local_copy(source, item.clip["version"]) as path:
        sound = _Stretch(item, path, cutting)
        valid, scores = score(sound.windows(str(source)))
    return SegmentResult(valid, scores, sound.samples, content) if hash_content(item, cutting.root) == content else None


def read_segment_result(item: Item, tables: LabelTables) -> SegmentResult | None:
    """The segment that an earlier unit or run left; None where there is none that can be read and fits."""
    if (held := tables.read_segment(describe_segment(item))) is None:
        return None
    table, found = held
    try:
        scores = table["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        scores = scores.reshape(-1, _count_values(tables)).astype(np.float16 if tables.frames is None else np.uint8)
        return SegmentResult(table["valid"].to_numpy(), scores, found["samples"], found["content"])
    except (KeyError, ValueError, pa.ArrowException):
        return None


def write_segment_result(item: Item, segment: SegmentResult, tables: LabelTables) -> None:
    """Write a segment down; errors of `LabelTables.write_segment`."""
    scores = pa.FixedSizeListArray.from_arrays(pa.array(segment.scores.ravel()), _count_values(tables))
    table = pa.table({"valid": pa.array(segment.valid, pa.int64()), "scores": scores})
    tables.write_segment(describe_segment(item), table, {"samples": segment.samples, "content": segment.content})


def _count_values(tables: LabelTables) -> int:
    """Stored values a window."""
    return len(tables.labels) * (1 if tables.frames is None else tables.frames.per_window)


def describe_segment(item: Item) -> dict[str, Any]:
    """What a segment is of, as plain data."""
    clip = {name: item.clip[name] for name in ("clip_id", "version")}
    return clip | {name: getattr(item, name) for name in ("first_window", "n_windows", "windows")}


def join_segments(segments: Sequence[SegmentResult], items: Sequence[Item], grid: WindowGrid) -> SegmentResult | None:
    """All segments of a recording as one; None where they are not what one decoding of one content gives."""
    samples = next((segment.samples for segment in segments if segment.samples is not None), None)
    if samples is None or len({segment.content for segment in segments}) > 1:
        return None
    ends = [*(item.first_window for item in items[1:]), math.inf]  # the last goes on to the end of the sound
    for item, segment, end in zip(items, segments, ends, strict=True):
        if len(segment.valid) != max(0, min(grid.count(samples), end) - item.first_window):
            return None
    valid, scores = (np.concatenate([getattr(segment, name) for segment in segments]) for name in ("valid", "scores"))
    return SegmentResult(valid, scores, samples, segments[0].content)


class _Stretch:
    """Where the windows of one segment lie in its file.

    Attributes
    ----------
    samples
        Of the clip, once the windows were gone through and its end was met; else None.
    """

    samples: int | None = None

    def __init__(self, item: Item, path: Path, cutting: SegmentWindows) -> None:
        clip, rate = item.clip, cutting.sample_rate
        self._item, self._path, self._cutting = item, path, cutting
        self._grid: WindowGrid | BlockGrid = cutting.blocks or cutting.grid
        self._first = item.first_window // cutting.windows_each
        self._count = -(-item.n_windows // cutting.windows_each)
        self._start = round((clip["start_s"] or 0.0) * rate)
        self._end = None if clip["end_s"] is None else round(clip["end_s"] * rate)
        self._is_last = item.first_window + item.n_windows >= item.windows
        self._beyond = math.inf if self._is_last else self._first + self._count
        self._rate, self._source_rate = rate, _rate_if_memoryless(path)

    def windows(self, source: str) -> Iterator[Window]:
        """The segment's windows; the last segment's go on to the end of the sound, whatever was planned."""
        for window in self._sought() if self._can_be_sought() else self._onward(source):
            if window.number < self._beyond:
                yield window

    def _can_be_sought(self) -> bool:
        """Whether the file, from the middle on, gives the same values to the bit."""
        source_rate, rate = self._source_rate, self._rate
        if source_rate is None or (source_rate != rate and resampler_period(source_rate, rate) is None):
            return False
        return decode.can_seek(self._path)

    def _sought(self) -> Iterator[Window]:
        grid, first = self._grid, self._first
        own = None if self._is_last else grid.own(first, self._count)
        return grid.split(self._sound(grid.start(first), own), first=first)

    def _sound(self, begin: int, own: int | None) -> Iterator[npt.NDArray[np.float32]]:
        """The clip's sound from sample `begin` on, `own` samples of it; decoded with what lies around it."""
        around = self._settling_samples()
        lead, wanted = self._lead(begin), math.inf if own is None else own + around
        left = math.inf if self._end is None else max(0, self._end - self._start - begin)
        asked, seen = min(wanted, left), -lead
        for block in self._blocks(begin - lead, None if asked == math.inf else lead + int(asked)):
            ours = block[max(0, -seen) : None if own is None else max(0, own - seen)]
            seen += len(block)
            if len(ours):
                yield ours
        if seen > 0 and (seen < wanted or wanted == math.inf):
            self.samples = begin + seen

    def _settling_samples(self) -> int:
        return _align_halo(self._source_rate or self._rate, self._rate, self._rate)

    def _lead(self, begin: int) -> int:
        """Samples to decode before `begin`, so that the resampler has settled, and stands as it would in mid-stream."""
        source_rate, rate = self._source_rate, self._rate
        if begin == 0 or source_rate is None or source_rate == rate:
            return 0
        period = resampler_period(source_rate, rate)
        assert period is not None  # or the segment would be decoded from its recording's start
        step = rate // math.gcd(source_rate, rate)
        source_step = source_rate // math.gcd(source_rate, rate)
        whole, _ = aligned_start(self._start, source_rate, rate)
        early = self._start + begin - self._settling_samples()
        at, _ = aligned_start(max(self._start, early), source_rate, rate)
        to_go_back = (at - whole) % period
        if early <= self._start or at - to_go_back <= whole:
            return begin
        return self._settling_samples() + to_go_back // source_step * step

    def _onward(self, source: str) -> Iterator[Window]:
        """The same of a recording that has to be decoded from its start: a worker goes on where it stands."""
        item, first, cutting = self._item, self._first, self._cutting
        what = (source, item.clip["version"], item.clip["clip_id"], cutting)
        at = _OPEN_STREAMS.pop(what, None)  # taken out: no two threads share a decoder
        if at is None or at.number > first:
            at = _OpenStream(self._blocks(0, None if self._end is None else self._end - self._start), self._grid)
        while at.number < self._beyond:
            window = next(at.windows, None)
            if window is None:
                self.samples = at.samples
                break
            at.number = window.number + 1
            if window.number >= first:
                yield window
        _OPEN_STREAMS.clear()
        _OPEN_STREAMS[what] = at

    def _blocks(self, begin: int, count: int | None) -> Iterator[npt.NDArray[np.float32]]:
        """Blocks from the clip's sample `begin` on."""
        return decode.decode_blocks(
            self._path,
            sample_rate=self._cutting.sample_rate,
            channel=self._cutting.channel,
            first=self._start + begin,
            count=count,
        )


class _OpenStream:
    """A recording that is being decoded: its next window's number, and the samples that came by."""

    def __init__(self, decode_blocks: Iterator[npt.NDArray[np.float32]], grid: WindowGrid | BlockGrid) -> None:
        self.number = self.samples = 0
        self.windows = grid.split(self._count_samples(decode_blocks))

    def _count_samples(self, blocks: Iterator[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
        for block in blocks:
            self.samples += len(block)
            yield block


_OPEN_STREAMS: dict[Any, _OpenStream] = {}
"""The recording that `_Stretch._onward` stands in: one a process."""


def _rate_if_memoryless(path: Path) -> int | None:
    """Hz of a file whose decoder remembers nothing of what came before; None for any other."""
    try:
        info = soundfile.info(str(path)) if path.is_file() else None  # a pipe would be waited for
    except (soundfile.SoundFileError, TypeError, ValueError):  # what only a mended header, or PyAV, makes readable
        return None
    return info.samplerate if info is not None and info.subtype in _MEMORYLESS else None


def _align_halo(source_rate: int, rate: int, at_rate: int) -> int:
    """Samples at `at_rate` around a stretch, in which a resampler has settled."""
    return math.ceil((_SETTLED_S + _SETTLED_SAMPLES / min(source_rate, rate)) * at_rate)


@lru_cache
def resampler_period(source_rate: int, rate: int) -> int | None:
    """Frames after which a resampler does the same again, to the bit; None where no such number was found.

    soxr filters by blocks, in the frequency domain, so that the last bits of a sample depend on where in its block it
    lies. How long its blocks are, it does not tell; but its output comes in bursts, one a block, and their pattern
    repeats when all stages are at their blocks' begin together. What is found is tried out on noise.

    Parameters
    ----------
    source_rate, rate
        Hz, different.

    Returns
    -------
    int or None
        A multiple of the frames that make a whole number of samples.
    """
    divisor = math.gcd(source_rate, rate)
    source_step, step = source_rate // divisor, rate // divisor
    stream, silence = _resampler(source_rate, rate), np.zeros(source_step, np.float32)
    steps = min(_PERIOD_STEPS, _PERIOD_S * source_rate // source_step)
    bursts = np.array([len(stream.resample_chunk(silence)) for _ in range(steps)], np.int64)
    settled = bursts[steps // 4 :]
    made = np.cumsum(settled)
    for count in np.flatnonzero(made == step * np.arange(1, len(made) + 1)) + 1:
        if count <= len(settled) // 2 and np.array_equal(settled[count:], settled[:-count]):
            period = int(count) * source_step
            return period if _is_periodic(period, source_rate, rate) else None
    return None


def _is_periodic(period: int, source_rate: int, rate: int) -> bool:
    """Whether noise, begun a period later, is resampled to the same bits once all has settled."""
    around = _align_halo(source_rate, rate, source_rate)
    if period + 3 * around > _TRIED_FRAMES_MOST:
        return False
    noise = np.random.default_rng(0).standard_normal(period + 3 * around, np.float32)
    whole = _resampler(source_rate, rate).resample_chunk(noise, last=True)
    later = _resampler(source_rate, rate).resample_chunk(noise[period:], last=True)
    begin, end = (n * around * rate // source_rate for n in (1, 2))
    shift = period * rate // source_rate
    return np.array_equal(whole[shift + begin : shift + end], later[begin:end])


def _resampler(source_rate: int, rate: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
