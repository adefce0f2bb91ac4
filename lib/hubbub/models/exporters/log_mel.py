"""The log-mel frontend as arrays and numbers, for programs that have neither hubbub nor librosa.

`example.py` beside an exported model computes features from them in six lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hubbub.audio.frontends.mel import make_mel_weights
from hubbub.audio.frontends.spectrum import make_window
from hubbub.config.frontends import LogMelSettings
from hubbub.models.bundle import Bundle

HOPS = 5
"""Windows begin a fifth of their length apart, as `hubbub label` has them."""


def write_log_mel(bundle: Bundle, path: Path) -> bool:
    """Write what computes a bundle's features, as a .npz without pickles; False, and nothing, for other frontends.

    Holds `window` float64 [n_fft] and `mel` float32 [band, bin]; as numbers `sample_rate`, `n_fft`, `hop_samples`,
    `amin`, `ref` (0: each window's peak), `top_db` (infinite: none) and `dtype` (to which features are rounded); and in
    samples `size` (of a window; 0: the whole recording), `step` (from one window to the next), `tail` (that a window
    past the first brings at least), `halo` (silence around), `unit` (of which the padded length is a multiple) and
    `frame` (of a score); `frames`: what the number of frames that the network takes is a multiple of.
    """
    frontend = bundle.settings.frontend
    if not isinstance(frontend, LogMelSettings):
        return False
    numbers: dict[str, Any] = {
        "sample_rate": frontend.sample_rate,
        "n_fft": frontend.n_fft,
        "hop_samples": frontend.hop_samples,
        "amin": frontend.amin,
        "ref": 0.0 if frontend.ref == "max" else frontend.ref,
        "top_db": np.inf if frontend.top_db is None or bundle.frames is not None else frontend.top_db,
        "dtype": bundle.settings.dtype,
        **_describe_windows(bundle),
    }
    window = make_window(frontend.window, frontend.n_fft)
    np.savez(path, window=window, mel=make_mel_weights(frontend), **numbers)
    return True


def _describe_windows(bundle: Bundle) -> dict[str, int]:
    frontend, frames = bundle.settings.frontend, bundle.frames
    if frames is None:
        rate, window_s = frontend.sample_rate, bundle.settings.windows.input_s
        size, step = (max(1, round(seconds * rate)) for seconds in (window_s, window_s / HOPS))
        return {
            "size": size,
            "step": step,
            "tail": min(frontend.tail_samples, size),
            "halo": 0,
            "unit": size,
            "frame": size,
            "frames": 1,
        }
    hop, multiple = frontend.hop_samples, frames.multiple
    counts = {"step": 1, "tail": 1, "halo": frames.halo * hop, "unit": multiple * hop, "frame": frames.stride * hop}
    return {"size": 0, **counts, "frames": multiple}
