"""The samples as they are, for models that hear waveforms: a frame a sample, one band."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hubbub.config.frontends import WaveformSettings


class Waveform:
    """Samples, full scale 1."""

    units = "1"
    long_name = "waveform"

    def __init__(self, settings: WaveformSettings) -> None:
        self.band_hz = np.full(settings.n_bands, np.nan)
        self.band_names = ["sample"]

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Copy float32 [samples] to float32 [frame, 1]."""
        return np.array(samples, np.float32)[:, None]
