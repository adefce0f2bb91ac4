"""The settings of every frontend, one class each; `name` chooses.

What they share stands in the classes at the top; a frontend's own class adds its name and what is its own. How the
values come about is told where they are computed, in `hubbub.audio.frontends`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from hubbub.config.base import Frozen

Dtype = Literal["float16", "float32"]

_LEAST_POWER = 1e-30  # float32 ends at 1e-38, and a logarithm needs room


class Frames(Frozen):
    """How a waveform becomes frames: what the settings of every frontend offer."""

    is_db: ClassVar[bool] = False
    """Whether values are decibels of power, so that what is right for those (mixing, a floor) may be done to them."""

    sample_rate: int = Field(22050, ge=1000, le=384_000, description="Hz; clips are resampled to it")

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """What rows may be stored as, the default first; what float16 (6e-8 to 65,504) cannot hold needs float32."""
        return ("float16", "float32")

    @property
    def n_bands(self) -> int:
        """Values a frame."""
        raise NotImplementedError

    @property
    def tail_samples(self) -> int:
        """New samples that a window past the first must bring."""
        raise NotImplementedError

    @property
    def not_local(self) -> str | None:
        """Why a stretch of a row is not what that stretch alone would give, and what mends it; None where it is.

        Frames at the edges of the stretch aside, and a floor or peak in decibels, which a stretch is given anew.
        """
        return None

    def n_frames(self, n_samples: int) -> int:
        """Frames that `n_samples` make."""
        raise NotImplementedError


class FourierFrames(Frames):
    """How a waveform is cut into frames that are transformed, and in which precision."""

    n_fft: int = Field(2048, ge=16, le=65536, description="samples a frame")
    hop_samples: int = Field(512, ge=1, description="samples from one frame to the next")
    window: Literal["hann", "hamming", "blackman", "boxcar"] = Field("hann", description="of a frame")
    precision: Literal["float32", "float64"] = Field("float32", description="of the Fourier transform")

    @model_validator(mode="after")
    def _hop_covers(self) -> FourierFrames:
        if self.hop_samples > self.n_fft:
            raise ValueError(f"hop_samples {self.hop_samples} is above n_fft {self.n_fft}: samples would be skipped")
        return self

    @property
    def tail_samples(self) -> int:
        """A frame's hop."""
        return self.hop_samples

    def n_frames(self, n_samples: int) -> int:
        """Frames that `n_samples` make: one at every hop, the first centred on sample 0."""
        return 1 + (n_samples + self.n_fft // 2 * 2 - self.n_fft) // self.hop_samples


class Range(FourierFrames):
    """Frames of which a range of frequencies is taken."""

    fmin_hz: float = Field(0.0, ge=0, description="lowest mel band edge")
    fmax_hz: float | None = Field(None, gt=0, description="highest mel band edge; null: half the sample rate")

    @model_validator(mode="after")
    def _range_fits(self) -> Range:
        top, nyquist = self.top_hz, self.sample_rate / 2
        if top > nyquist:
            raise ValueError(f"fmax_hz {top:g} is above half the sample rate, {nyquist:g}; lower it or leave it null")
        if self.fmin_hz >= top:
            raise ValueError(f"fmin_hz {self.fmin_hz:g} is not below fmax_hz {top:g}")
        return self

    @property
    def top_hz(self) -> float:
        """`fmax_hz` in Hz, with the default resolved."""
        return self.sample_rate / 2 if self.fmax_hz is None else self.fmax_hz


class MelBands(Range):
    """Frames whose spectrum is summed into mel bands."""

    n_mels: int = Field(128, ge=1, le=1024, description="mel bands")

    @property
    def n_bands(self) -> int:
        """Values a frame."""
        return self.n_mels


class Decibels(Frozen):
    """How power becomes decibels, as librosa's `power_to_db`."""

    ref: float | Literal["max"] = Field(1.0, description="power that is 0 dB; 'max': each window's own peak")
    amin: float = Field(1e-10, gt=0, description="power below which everything is the floor")
    top_db: float | None = Field(80.0, gt=0, description="floor below each window's peak; null: none")

    @model_validator(mode="after")
    def _reference_is_power(self) -> Decibels:
        if isinstance(self.ref, float) and self.ref <= 0:
            raise ValueError(f"ref {self.ref:g} is no power: give one above 0, or 'max'")
        if self.amin < _LEAST_POWER:
            raise ValueError(f"amin {self.amin:g} is nothing in float32: give {_LEAST_POWER:g} or more")
        return self


class LogMelSettings(MelBands, Decibels):
    """Power in mel bands, in decibels: the default."""

    is_db: ClassVar[bool] = True
    name: Literal["log-mel"] = "log-mel"


class MelSettings(MelBands):
    """Power in mel bands as it is."""

    name: Literal["mel"] = "mel"

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """Power of quiet sound is below what float16 can hold."""
        return ("float32",)


class StftDbSettings(FourierFrames, Decibels):
    """Power in every bin of the Fourier transform, in decibels: the spectrogram with frequency in hertz."""

    is_db: ClassVar[bool] = True
    name: Literal["stft-db"] = "stft-db"

    @property
    def n_bands(self) -> int:
        """Values a frame."""
        return 1 + self.n_fft // 2


class LogFrequencySettings(Range, Decibels):
    """Power in bands of equal width on a logarithmic frequency scale, in decibels."""

    is_db: ClassVar[bool] = True
    name: Literal["log-frequency"] = "log-frequency"
    fmin_hz: float = Field(32.7, gt=0, description="centre of the lowest band; 32.7 is the note C1")
    fmax_hz: float | None = Field(None, gt=0, description="no centre lies above it; null: half the sample rate")
    bands_per_octave: int = Field(12, ge=1, le=96, description="bands an octave")

    @property
    def n_bands(self) -> int:
        """Values a frame."""
        octaves = math.log2(self.top_hz / self.fmin_hz)
        return 1 + math.floor(octaves * self.bands_per_octave + 1e-9)


class MfccSettings(MelBands, Decibels):
    """Mel-frequency cepstral coefficients, and how they change from frame to frame."""

    name: Literal["mfcc"] = "mfcc"
    n_mfcc: int = Field(20, ge=1, le=128, description="coefficients")
    deltas: int = Field(2, ge=0, le=2, description="0: coefficients only; 1: and their slopes; 2: and their curvatures")
    delta_frames: int = Field(9, ge=3, le=99, description="frames that a slope is fitted to; odd")
    lifter: float = Field(0.0, ge=0, le=1000, description="cepstral liftering, such as 22; 0: none")

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """The first coefficient is several hundred, where float16 has steps of a half; liftered, thousands."""
        return ("float32",) if self.lifter else ("float32", "float16")

    @property
    def not_local(self) -> str | None:
        """Decibels above a floor that the whole window decides are transformed further."""
        if self.top_db is None and self.ref != "max":
            return None
        return "mfcc takes its floor from the whole row; set frontend.top_db to null and frontend.ref to a number"

    @model_validator(mode="after")
    def _coefficients_fit(self) -> MfccSettings:
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc {self.n_mfcc} is above n_mels {self.n_mels}: there are no more coefficients")
        if self.delta_frames % 2 == 0:
            raise ValueError(f"delta_frames {self.delta_frames} is even: give an odd number, such as 9")
        if 0 < self.lifter < 1:
            raise ValueError(f"lifter {self.lifter:g} is below 1: give 0 for none, or some 20")
        return self

    @property
    def n_bands(self) -> int:
        """Values a frame."""
        return self.n_mfcc * (1 + self.deltas)


class ChromaSettings(FourierFrames):
    """Power a pitch class, all octaves together."""

    name: Literal["chroma"] = "chroma"
    n_chroma: int = Field(12, ge=1, le=96, description="pitch classes; 12 are semitones, the first is C")
    tuning: float = Field(0.0, ge=-0.5, lt=0.5, description="deviation from A4 = 440 Hz, in parts of a pitch class")
    norm: Literal["max", "sum"] | None = Field("max", description="what each frame is divided by; null: nothing")

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """Power that is divided by nothing may be below what float16 can hold."""
        return ("float16", "float32") if self.norm else ("float32",)

    @property
    def n_bands(self) -> int:
        """Values a frame."""
        return self.n_chroma


class PcenSettings(MelBands):
    """Mel bands under per-channel energy normalisation: an automatic gain that forgets steady noise."""

    name: Literal["pcen"] = "pcen"
    gain: float = Field(0.98, ge=0, le=2, description="how far each band is divided by its smoothed self")
    bias: float = Field(2.0, ge=0, le=1e6, description="added before the root is taken")
    power: float = Field(0.5, gt=0, le=1, description="the root taken")
    time_constant_s: float = Field(0.4, ge=0.001, le=3600, description="of the smoothing")
    eps: float = Field(1e-6, ge=1e-12, le=1e6, description="what a silent band is divided by at least")
    scale: float = Field(2.0**31, gt=0, le=1e12, description="what samples of full scale 1 are multiplied with before")

    @property
    def not_local(self) -> str | None:
        """The gain remembers."""
        return "pcen remembers what came before; use mode all, or log-mel"

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """Below a gain near one, loud sound stays above what float16 can hold."""
        return ("float16", "float32") if self._largest() < 30_000 else ("float32",)

    @property
    def smoothing(self) -> float:
        """How far the smoothed energy moves towards each frame's, as librosa's `pcen` takes it from the time constant.

        The root of ``t**2 b**2 + b - 1`` with the time constant t in frames: half power at that time.
        """
        t_frames = self.time_constant_s * self.sample_rate / self.hop_samples
        return 2 / (1 + math.sqrt(1 + 4 * t_frames**2))

    def _largest(self) -> float:
        """Value that an onset after silence may reach: its own energy, by `smoothing`, is all it is divided by."""
        energy = 1e6 * self.scale  # far above the magnitudes that full scale makes in a band
        if self.gain > 1:  # then it is not the loudest sound whose value is largest
            energy = min(energy, self.eps / (self.smoothing * (self.gain - 1)))
        return (energy / (self.eps + self.smoothing * energy) ** self.gain + self.bias) ** self.power


class DescriptorsSettings(FourierFrames):
    """Loudness, brightness, pitch classes and timbre of each frame, stacked: the classic table of features."""

    name: Literal["descriptors"] = "descriptors"
    rolloff_share: float = Field(0.85, gt=0, lt=1, description="share of the magnitude that lies below the roll-off")
    n_chroma: int = Field(12, ge=1, le=96, description="pitch classes")
    n_mfcc: int = Field(20, ge=1, le=128, description="mel-frequency cepstral coefficients, of 128 mel bands")

    @property
    def not_local(self) -> str | None:
        """The coefficients among them take their floor from the whole window."""
        return "descriptors take a floor from the whole row; use mode all, or log-mel"

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """A roll-off may be above float16's 65,504 Hz, and its steps there are of 32 Hz."""
        return ("float32",)

    @property
    def n_bands(self) -> int:
        """Values a frame."""
        return 5 + self.n_chroma + self.n_mfcc


class WaveformSettings(Frames):
    """The samples as they are: a frame a sample, for models that hear waveforms."""

    name: Literal["waveform"] = "waveform"

    n_fft: ClassVar[int] = 1
    hop_samples: ClassVar[int] = 1
    precision: ClassVar[Literal["float32"]] = "float32"

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """Samples of 16 bits have more digits than float16."""
        return ("float32",)

    @property
    def n_bands(self) -> int:
        """Values a frame."""
        return 1

    @property
    def tail_samples(self) -> int:
        """A fiftieth of a second, about what the hop of a transform is."""
        return self.sample_rate // 50

    def n_frames(self, n_samples: int) -> int:
        """Frames that `n_samples` make: as many."""
        return n_samples


class EmbeddingSettings(Frames):
    """What a model makes of each window: one vector. `hubbub embed` makes them, nobody sets them by hand."""

    name: Literal["embedding"] = "embedding"
    model: str = Field(min_length=1, max_length=200, description="what the model is called; changes no value")
    model_hash: str = Field(pattern=r"^[0-9a-f]{16}$", description="of the model")
    dimension: int = Field(ge=1, le=65536, description="values a window")
    arithmetic: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="what the model's network computes in"
    )

    # A row is one frame: what lies between frames is never asked.
    n_fft: ClassVar[int] = 1
    hop_samples: ClassVar[int] = 1
    precision: ClassVar[Literal["float32"]] = "float32"

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """A model's values have no bounds that float16 is sure to hold; where it does, it halves the store."""
        return ("float32", "float16")

    @property
    def n_bands(self) -> int:
        """Values a window."""
        return self.dimension

    @property
    def tail_samples(self) -> int:
        """A fiftieth of a second, about what the hop of a transform is."""
        return self.sample_rate // 50

    @property
    def not_local(self) -> str | None:
        """A vector has no stretches."""
        return "an embedding is one vector of the whole window; use mode all"

    def n_frames(self, n_samples: int) -> int:
        """One: the window."""
        return 1


_DEFAULT = "log-mel"
_CLASSES: tuple[type[Frames], ...] = (
    LogMelSettings,
    MelSettings,
    StftDbSettings,
    LogFrequencySettings,
    MfccSettings,
    ChromaSettings,
    PcenSettings,
    DescriptorsSettings,
    WaveformSettings,
)
FRONTENDS: dict[str, type[Frames]] = {kind.model_fields["name"].default: kind for kind in _CLASSES}
"""Classes of settings by the name that chooses them; those that only models make are not among them."""

MADE_BY_MODELS = {"embedding": "hubbub embed CLIPS --model MODEL -o STORE"}
"""Frontends that nobody chooses for `hubbub features`, and the command that makes their rows."""


def _name_of(given: Any) -> str:
    return given.get("name", _DEFAULT) if isinstance(given, dict) else getattr(given, "name", _DEFAULT)


FrontendSettings = Annotated[
    Annotated[LogMelSettings, Tag("log-mel")]
    | Annotated[MelSettings, Tag("mel")]
    | Annotated[StftDbSettings, Tag("stft-db")]
    | Annotated[LogFrequencySettings, Tag("log-frequency")]
    | Annotated[MfccSettings, Tag("mfcc")]
    | Annotated[ChromaSettings, Tag("chroma")]
    | Annotated[PcenSettings, Tag("pcen")]
    | Annotated[DescriptorsSettings, Tag("descriptors")]
    | Annotated[WaveformSettings, Tag("waveform")]
    | Annotated[EmbeddingSettings, Tag("embedding")],
    Discriminator(_name_of),
]
"""Settings of any frontend; without a `name` they are log-mel's."""
