"""A stretch of a clip's recording, wherever it lies, as picture and sound; or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from hubbub.audio import decode
from hubbub.audio.pictures import LONGEST_S, Picture, draw_picture
from hubbub.audio.playback import encode_audio
from hubbub.audio.remote import cached_copy
from hubbub.clips.table import resolve_uri
from hubbub.config.frontends import Frames, LogMelSettings
from hubbub.errors import HubbubError
from hubbub.io.paths import StoragePath

_LEAST_HZ, _MOST_HZ = 1000, 384_000  # rates that a log-mel spectrogram may have


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording on the page; without `picture` it could not be read, and `problem` says why."""

    picture: Picture | None
    sound: str
    problem: str


def show_stretch(
    uri: str,
    root: StoragePath,
    settings: Frames | None,
    *,
    start_s: float = 0.0,
    end_s: float = LONGEST_S,
    version: str | None = None,
) -> Stretch:
    """Draw and encode a stretch of a recording, wherever it lies.

    Parameters
    ----------
    uri, root, version
        As a clip table has them.
    settings
        Of the frontend, see `draw_picture`; None: a log-mel spectrogram at the recording's own rate.
    start_s, end_s
        What is shown, in seconds.
    """
    try:
        path = cached_copy(resolve_uri(uri, root), version)
        if settings is None:
            rate = decode.read_audio_info(path).sample_rate
            settings = LogMelSettings(sample_rate=min(max(rate, _LEAST_HZ), _MOST_HZ))
        picture = draw_picture(path, settings, start_s=start_s, end_s=end_s)
        sound = encode_audio(path, sample_rate=settings.sample_rate, shown_s=picture.shown_s, start_s=start_s)
    except (HubbubError, OSError) as error:
        return Stretch(None, "", f"{type(error).__name__}: {error}")
    return Stretch(picture, sound, "")
