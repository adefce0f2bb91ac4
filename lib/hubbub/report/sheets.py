"""A sheet of sample spectrograms of a store, some of each label, on one colour scale."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hubbub.audio.frontends import get_frontend
from hubbub.errors import StoreError
from hubbub.io.atomic import atomic_write
from hubbub.store.features import FeatureStore
from hubbub.store.info import sample_rows

PER_LABEL = 3
"""Rows that are drawn of each label."""
MOST_LABELS = 24

_ONE_BLOCK = 5  # labels, at most, that stand under each other; more are set in two blocks
_WIDTH_IN, _HEIGHT_IN, _HEAD_IN = 3.0, 1.75, 0.9
_LETTERS_AN_INCH = 10  # of the title, at most: those of its font are 0.1 inch wide or less, on average
_DPI = 100
_OUTLIERS = 0.5  # percent of values at either end that do not widen the scale of colours
_MOST_TICKS = 6


def draw_sheet(store: FeatureStore, path: Path, *, per_label: int = PER_LABEL) -> int:
    """Draw sample rows of each label, of the `MOST_LABELS` most frequent, as a PNG that appears whole or not at all.

    Time in seconds to the right, bands upwards in hertz, or by their names where they are no frequencies; padding is
    grey. One scale of colours for all, from the values' percentiles; where units differ from band to band, each band is
    scaled by its own.

    Returns
    -------
    int
        Rows drawn.

    Raises
    ------
    StoreError
        When the store holds embeddings or no labelled rows, or cannot be read.
    StorageError
        When the picture cannot be written.
    """
    if store.holds_embeddings:
        raise StoreError(
            f"{store.path} holds embeddings, which are no pictures; give a store that hubbub features made"
        )
    rows = sample_rows(store, per_label=per_label, most_labels=MOST_LABELS)
    if rows.empty:
        raise StoreError(f"{store.path} holds no labelled rows to draw; expected clips with labels")
    values = store.read_rows(rows["row"].tolist()).astype(np.float32)
    padding = np.arange(store.n_frames) >= rows["valid_frames"].to_numpy()[:, np.newaxis]
    values[padding] = np.nan
    figure = _figure(store, rows, values)
    with atomic_write(path) as partial:
        figure.savefig(partial, format="png", dpi=_DPI)
    return len(rows)


def _figure(store: FeatureStore, rows: pd.DataFrame, values: npt.NDArray[np.float32]) -> Figure:
    labels = rows["label"].unique().tolist()
    across = int(rows.groupby("label").size().max())
    blocks = 1 if len(labels) <= _ONE_BLOCK else 2
    lines = -(-len(labels) // blocks)
    size = (_WIDTH_IN * across * blocks + 1.5, _HEIGHT_IN * lines + _HEAD_IN)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines, across * blocks, squeeze=False)
    shown, unit = _scale_colours(values, store)
    low, high = np.nanpercentile(shown, [_OUTLIERS, 100 - _OUTLIERS])
    scale = {"vmin": low, "vmax": max(high, low + 1e-6), "cmap": colormaps["magma"].with_extremes(bad="0.8")}
    for number, label in enumerate(labels):
        block, line = divmod(number, lines)
        is_last = line == lines - 1 or number == len(labels) - 1
        for place, index in enumerate(np.flatnonzero((rows["label"] == label).to_numpy())):
            axis, row = axes[line, block * across + place], rows["row"].iloc[index]
            axis.imshow(
                shown[index].T, origin="lower", aspect="auto", interpolation="nearest", **scale, **_extent(store)
            )
            axis.set_title(
                f"{label}, row {row}" if place == 0 else f"row {row}", fontsize=9, loc="left", parse_math=False
            )
            _label_axes(axis, store, bands=place == 0, seconds=is_last)
    for axis in axes.flat:
        axis.set_axis_on() if axis.has_data() else axis.set_axis_off()
    mappable = ScalarMappable(Normalize(scale["vmin"], scale["vmax"]), scale["cmap"])
    figure.colorbar(mappable, ax=axes, label=unit, aspect=12 * lines, fraction=0.03, pad=0.01)
    what = get_frontend(store.settings.frontend).long_name
    title = textwrap.fill(f"{store.path.name}: {what}", round(size[0] * _LETTERS_AN_INCH))
    figure.suptitle(title, fontsize=11, parse_math=False)
    return figure


def _scale_colours(values: npt.NDArray[np.float32], store: FeatureStore) -> tuple[npt.NDArray[np.float32], str]:
    """Values as they are drawn, and what the scale of colours is called."""
    units = get_frontend(store.settings.frontend).units
    if np.isfinite(store.band_hz).all():
        return values, "value, no unit" if units == "1" else units
    low, high = np.nanpercentile(values, [_OUTLIERS, 100 - _OUTLIERS], axis=(0, 1))
    return ((values - low) / np.maximum(high - low, 1e-12)).astype(np.float32), "0 to 1 within each band's own range"


def _extent(store: FeatureStore) -> dict[str, tuple[float, float, float, float]]:
    """Edges of a picture: half a frame and half a band beyond the centres."""
    hop_s = store.settings.frontend.hop_samples / store.settings.frontend.sample_rate
    return {"extent": (-hop_s / 2, (store.n_frames - 0.5) * hop_s, -0.5, store.n_bands - 0.5)}


def _label_axes(axis: Any, store: FeatureStore, *, bands: bool, seconds: bool) -> None:
    """Ticks on all pictures; numbers and names only at the edges of a block."""
    places, texts = _band_ticks(store)
    axis.set_yticks(places, texts if bands else [""] * len(places), parse_math=False)
    axis.tick_params(labelsize=8, labelbottom=seconds)
    if bands:
        axis.set_ylabel("frequency (Hz)" if np.isfinite(store.band_hz).all() else "band", fontsize=8)
    if seconds:
        axis.set_xlabel("time (s)", fontsize=8)


def _band_ticks(store: FeatureStore) -> tuple[list[float], list[str]]:
    """Octaves between the bands, as far as there is room from the top down; or names of bands, evenly spaced."""
    hz, n_bands = store.band_hz, store.n_bands
    if not np.isfinite(hz).all():
        named = np.unique(np.linspace(0, n_bands - 1, min(n_bands, _MOST_TICKS)).round().astype(int))
        return named.astype(float).tolist(), [store.band_names[band] for band in named]
    octaves = [octave for octave in 31.25 * 2.0 ** np.arange(14) if hz[0] <= octave <= hz[-1]]
    ticks: list[tuple[float, str]] = []
    for octave in reversed(octaves):
        place = float(np.interp(octave, hz, np.arange(n_bands)))
        if not ticks or ticks[-1][0] - place >= n_bands / (_MOST_TICKS + 1):
            ticks.append((place, f"{octave:g}"))
    return [place for place, _ in ticks], [text for _, text in ticks]
