"""The libsndfile decoder: WAV, FLAC, Ogg, Opus, MP3, AIFF, CAF, AU and other formats.

Length and positions are counted in the audio, not read from the header, wherever headers were seen to be wrong
(libsndfile 1.2.2): see `SoundFile.n_frames` and `SoundFile.read`.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import numpy as np
import numpy.typing as npt
import soundfile

from hubbub.audio.headers import CorrectedFile, Readable, correct_length, is_chained
from hubbub.errors import DecodeError

_ABSURD_FRAMES = 2**46  # 11 years at 192 kHz: what a length left out is given as
_OGG_PAGE_FRAMES = 255 * 4096  # the most a page holds: 255 packets of the longest block that Vorbis has
_PREROLL_S = 1.0  # of an MP3 decoded before a place sought
_SMALL_BLOCK = 4096  # frames; a FLAC block
_PCM_16_STEP = np.float32(2.0**-15)  # of full scale 1
_SKIP_VALUES = 2**18  # samples times channels read at once on the way to a place


class UnsupportedFile(Exception):
    """libsndfile does not read this file; says why."""


class _Stream(soundfile.SoundFile):
    """Reads on and on. soundfile would seek after each block, to where it stands: decoders then start anew there."""

    def seekable(self) -> bool:
        return False


class SoundFile:
    """One open recording.

    Attributes
    ----------
    sample_rate
        Hz.
    channels
        How many.
    stated_frames
        Samples a channel as the header says; more where it says none, or is not believed.
    can_seek
        Whether a place is reached without decoding all before it; see `_before`.
    """

    def __init__(self, fd: Readable, size: int, name: str) -> None:
        """Open a file by its descriptor, which stays the caller's: names such as .raw mislead libsndfile.

        Raises
        ------
        NotRead
            For what libsndfile does not read, or not to its end.
        """
        if is_chained(fd, size):
            raise UnsupportedFile("several Ogg streams one behind the other")
        self._fd, self._view, self._name = fd, correct_length(fd, size), name
        self._is_corrected = self._view is not None
        if not isinstance(fd, int) and self._view is None:
            self._view = CorrectedFile(fd)
        try:
            self._file = self._opened()
        except soundfile.LibsndfileError as error:
            raise UnsupportedFile(_reason(error)) from None
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.header_frames: float = self._file.frames
        self.can_seek = self._file.subtype != "OPUS"

    def _opened(self) -> _Stream:
        if self._view is not None:
            self._view.seek(0)
            return _Stream(self._view, closefd=False)
        assert isinstance(self._fd, int)
        os.lseek(self._fd, 0, os.SEEK_SET)
        return _Stream(self._fd, closefd=False)

    def close(self) -> None:
        """Let go of the decoder; the descriptor stays open."""
        self._file.close()

    def n_frames(self, block_frames: int) -> float:
        """Frames that decoding gives.

        Trusted: WAV, AIFF, CAF, AU, W64 and RF64 (libsndfile compares their headers with the file's size), Ogg (it
        looks for the last page), MP3 with an Info frame that fits the file, FLAC whose last promised frame is there.
        Counted by decoding: MP3 else, FLAC else, MP3 and what soundfile has no name for within WAV.

        Raises
        ------
        DecodeError
            When decoding, which counts, breaks off.
        """
        if self._is_trusted():
            return self.header_frames
        self._reopen()
        return sum(len(block) for block in self.read(0, None, block_frames))

    def _is_trusted(self) -> bool:
        if self._file.format == "FLAC":
            return self._holds(self.header_frames - 1)
        if self._file.format == "MP3":
            return not self._is_corrected
        known = self._file.subtype != "n/a" and not self._file.subtype.startswith("MPEG")
        return known and self.header_frames < _ABSURD_FRAMES

    def _holds(self, frame: float) -> bool:
        if not 0 <= frame < _ABSURD_FRAMES:
            return frame < 0
        try:
            self._file.seek(int(frame))
            return len(self._file.read(1, dtype="float32", always_2d=True)) == 1
        except soundfile.LibsndfileError:
            return False

    def read(self, begin: int, end: int | None, block_frames: int) -> Generator[npt.NDArray[np.float32]]:
        """Read from one frame to another, or to the end.

        Yields
        ------
        float32 [frames, channels]
            At most `block_frames`, never empty.

        Raises
        ------
        DecodeError
            Where the file breaks off.
        """
        position = begin
        try:
            if not self._go_to(begin):
                return
            last = self.header_frames if end is None else min(end, self.header_frames)
            while position < last and len(block := self._block(min(block_frames, last - position))):
                yield block
                position += len(block)
        except soundfile.LibsndfileError as error:
            after_s = self._end_before_error(position) / self.sample_rate
            raise DecodeError(f"{self._name} breaks off after {after_s:.3f} s ({_reason(error)})") from None

    def _end_before_error(self, position: int) -> int:
        """How far a file is good that went wrong somewhere in the block from `position` on."""
        self._reopen()
        try:
            if self._go_to(position):
                while passed := len(self._block(_SMALL_BLOCK)):
                    position += passed
        except soundfile.LibsndfileError:
            pass
        return position

    def _block(self, frames: float) -> npt.NDArray[np.float32]:
        if self._file.subtype != "PCM_16":
            return self._file.read(int(frames), dtype="float32", always_2d=True)
        # The same values, to the bit, in a quarter of the time: libsndfile converts one sample after the other.
        return self._file.read(int(frames), dtype="int16", always_2d=True) * _PCM_16_STEP

    def _go_to(self, begin: int) -> bool:
        """Move to a frame; says whether the file reaches it."""
        position = self._sought(self._before(begin)) if begin else 0
        step = max(1, _SKIP_VALUES // self.channels)
        while position < begin:
            passed = len(self._block(min(step, begin - position)))
            if not passed:
                return False
            position += passed
        return True

    def _before(self, begin: int) -> int:
        """A frame at or before `begin` from which reading on gives what reading from the start does.

        libvorbis seeks wrongly within a file's last page (by hundreds of frames), so Vorbis is sought before that page
        at the latest. MP3 frames borrow bits from up to 511 bytes before, which at 8 to 32 kbit/s is further than a
        seek goes back: the samples differed by 0.4. Opus is read from its start (300 times as fast as it sounds): its
        speech coder predicts from what was before, for as long as 30 s, in which the samples differed by 0.02.
        """
        if not self.can_seek:
            return 0
        if self._file.subtype == "VORBIS":
            begin = min(begin, int(self.header_frames) - _OGG_PAGE_FRAMES)
        if self._file.subtype.startswith("MPEG"):
            begin -= round(_PREROLL_S * self.sample_rate)
        return max(0, begin)

    def _sought(self, frame: int) -> int:
        """Seek to a frame, or to the start where that fails; returns the frame stood on."""
        if frame == 0 or not soundfile.SoundFile.seekable(self._file):
            return 0
        try:
            if self._file.seek(frame) == frame:
                return frame
        except soundfile.LibsndfileError:
            pass
        self._reopen()
        return 0

    def _reopen(self) -> None:
        """Begin anew: a decoder that failed to seek decodes nothing any more."""
        self._file.close()
        self._file = self._opened()


def _reason(error: soundfile.LibsndfileError) -> str:
    return error.error_string.removeprefix("Error : ").rstrip(".")
