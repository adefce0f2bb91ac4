"""A feature store's own spectrograms as tiles: what the model was trained on, also where a recording is gone."""

from __future__ import annotations

import io
import threading
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import UsageError
from hubbub.store.features import FeatureStore
from hubbub.web.tiles import COLUMNS, LINES

LOWEST, HIGHEST = 1.0, 99.9
"""Percentiles of the store's values between which its tiles go from dark to bright."""

_LOOKED_AT = 64  # rows whose values tell the range
_COLUMNS = ["row", "uri", "start_s", "valid_frames", "variant"]


class StoreView:
    """The rows of a store by recording.

    Parameters
    ----------
    store
        A store of frames and bands.

    Raises
    ------
    UsageError
        It holds embeddings, which are no picture.
    """

    def __init__(self, store: FeatureStore) -> None:
        if store.holds_embeddings:
            raise UsageError(f"--store {store.path} holds embeddings; expected features of frames and bands")
        self._store = store
        rows = store.rows(_COLUMNS)
        rows = rows[(rows["variant"] == 0) & rows["row"].notna()].sort_values(["uri", "start_s"], kind="stable")
        self._rows: dict[str, pd.DataFrame] = {str(uri): own for uri, own in rows.groupby("uri", sort=False)}
        names = pd.Series([PurePosixPath(uri).name for uri in self._rows], index=[*self._rows], dtype=object)
        self._by_name = {name: uri for uri, name in names[~names.duplicated(keep=False)].items()}
        self._range: tuple[float, float] | None = None
        self._lock = threading.Lock()

    def find(self, uri: str) -> pd.DataFrame | None:
        """Rows of a recording: of that uri, or of the only one with its file name; None where there are none."""
        found = self._rows.get(uri)
        return self._rows.get(str(self._by_name.get(PurePosixPath(uri).name))) if found is None else found

    def line_edges_hz(self) -> npt.NDArray[np.float64]:
        """Borders of the lines in Hz, float64 [LINES + 1]; lines share a band where there are fewer bands."""
        band_hz = self._store.band_hz
        if np.isnan(band_hz).any():
            return np.linspace(0.0, self._store.settings.frontend.sample_rate / 2, LINES + 1)
        between = (band_hz[1:] + band_hz[:-1]) / 2
        edges = np.concatenate([[max(0.0, 2 * band_hz[0] - between[0])] if len(between) else [0.0], between])
        edges = np.append(edges, 2 * band_hz[-1] - between[-1] if len(between) else band_hz[-1] * 2)
        return np.interp(np.arange(LINES + 1) * len(band_hz) / LINES, np.arange(len(edges)), edges)

    def draw_tile(self, uri: str, *, level: int, number: int) -> bytes:
        """Draw a tile as `hubbub.web.tiles.draw_tile` does, of the store's values.

        Raises
        ------
        UsageError
            The store holds nothing of the recording.
        """
        from PIL import Image

        rows = self.find(uri)
        if rows is None:
            raise UsageError(f"the store {self._store.path} holds nothing of {uri}; expected features of this archive")
        values = self.read_columns(rows, (number + (np.arange(COLUMNS) + 0.5) / COLUMNS) * 2.0**level)
        low, high = self._find_range()
        grey = np.clip(1 + np.nan_to_num((values - low) * (254 / max(high - low, 1e-9)), nan=-1.0), 0, 255)
        lines = grey.astype(np.uint8)[:, np.arange(LINES) * values.shape[1] // LINES]
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(lines.T[::-1]), mode="L").save(file, format="PNG", compress_level=3)
        return file.getvalue()

    def read_columns(self, rows: pd.DataFrame, at_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """The store's values at some times: float32 [time, band], NaN where it holds none."""
        frame_s = self._store.frame_s
        step_s = float(frame_s[1] - frame_s[0]) if len(frame_s) > 1 else self._store.settings.windows.input_s
        starts = rows["start_s"].to_numpy(np.float64)
        place = np.searchsorted(starts, at_s, side="right") - 1
        frame = np.floor((at_s - starts[np.maximum(place, 0)]) / step_s).astype(int)
        is_there = (place >= 0) & (frame < rows["valid_frames"].to_numpy(int)[np.maximum(place, 0)])
        values = np.full((len(at_s), self._store.n_bands), np.nan, np.float32)
        numbers = rows["row"].to_numpy(int)
        for own in np.unique(place[is_there]):
            here = is_there & (place == own)
            values[here] = self._store.read_rows([int(numbers[own])])[0][frame[here]]
        return values

    def _find_range(self) -> tuple[float, float]:
        with self._lock:
            if self._range is None:
                numbers = np.concatenate([own["row"].to_numpy(int) for own in self._rows.values()])
                chosen = numbers[np.unique(np.linspace(0, len(numbers) - 1, _LOOKED_AT).astype(int))]
                values = self._store.read_rows([int(number) for number in chosen]).astype(np.float32)
                low, high = np.percentile(values[np.isfinite(values)], [LOWEST, HIGHEST])
                self._range = float(low), float(high)
        return self._range
