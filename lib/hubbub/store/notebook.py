"""What a notebook shows of a feature store: its facts, and a row as spectrogram and player."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.audio.frontends import get_frontend
from hubbub.audio.pictures import draw_values
from hubbub.audio.playback import encode_audio
from hubbub.audio.remote import cached_copy
from hubbub.audio.shown import ShownAudio, write_facts
from hubbub.clips.table import resolve_uri
from hubbub.errors import HubbubError, StoreError
from hubbub.io.paths import StoragePath, parse_path

if TYPE_CHECKING:
    from hubbub.store.features import FeatureStore

_PLAYED_HZ = 48_000  # the recording is heard as it is, not at the rate of the features


class StoreNotebook:
    """What an open store can do in a notebook."""

    def _repr_html_(self) -> str:
        return _describe(cast("FeatureStore", self))

    def show(self, row: int) -> ShownAudio:
        """Show a row: its features as they are stored, in the store's bands, and its recording, where it can be read.

        Parameters
        ----------
        row
            Its number, as in the column `row` of `rows()`.

        Raises
        ------
        StoreError
            The store holds embeddings, or has no such row.
        """
        return _show_row(cast("FeatureStore", self), int(row))


def _describe(store: FeatureStore) -> str:
    settings, made = store.settings, store.provenance
    shape = f"{store.n_bands} values" if store.holds_embeddings else f"{store.n_frames} frames x {store.n_bands} bands"
    try:
        shards = str(len(store.committed()))
    except (HubbubError, OSError) as error:
        shards = f"cannot be read: {error}"
    hz = store.band_hz
    is_frequency = len(hz) > 0 and bool(np.isfinite(hz).all())
    facts = [
        ("rows of", f"{shape}, {settings.dtype}"),
        ("frontend", f"{settings.frontend.name}: {get_frontend(settings.frontend).long_name}"),
        ("bands", f"{hz[0]:.0f} to {hz[-1]:.0f} Hz" if is_frequency else ""),
        ("windows", f"{settings.windows.duration_s:g} s at {settings.frontend.sample_rate} Hz"),
        ("clips", str(made.get("clips", ""))),
        ("shards", shards),
        ("built from", str(made.get("source") or "")),
        ("built at", str(made.get("created_at") or "")),
        ("settings", settings.hash),
    ]
    return write_facts(f"Feature store {store.path}", facts)


def _show_row(store: FeatureStore, row: int) -> ShownAudio:
    if store.holds_embeddings:
        raise StoreError(
            f"{store.path} holds embeddings, which are no pictures; give a store that hubbub features made"
        )
    held = _find_row(store, row)
    frames = max(1, held["valid_frames"] or 0)
    values = store.read_rows([row])[0][:frames]
    frontend = store.settings.frontend
    shown_s = frames * frontend.hop_samples / frontend.sample_rate
    names = store.band_names
    picture = draw_values(values, shown_s=shown_s, band_hz=store.band_hz, band_names=names)
    start_s = float(held["start_s"] or 0.0)
    sound, problems = "", tuple[str, ...]()
    try:
        path = cached_copy(resolve_uri(held["uri"], _find_root(store)), held.get("version"))
        sound = encode_audio(path, sample_rate=_PLAYED_HZ, shown_s=shown_s, start_s=start_s)
    except (HubbubError, OSError) as error:
        problems = (f"The recording cannot be played. {type(error).__name__}: {error}",)
    labels = ", ".join(held["labels"] or []) or "unlabelled"
    note = f"row {row}, {labels}; {start_s:g} to {start_s + shown_s:.4g} s of its recording"
    if held.get("variant"):
        note += f"; variant {held['variant']}, which is heard without its augmentation"
    return ShownAudio(str(held["uri"]), note, picture, sound, (), problems)


def _find_root(store: FeatureStore) -> StoragePath:
    root = store.provenance.get("root")
    return store.path.parent if root is None else parse_path(str(root))


def _find_row(store: FeatureStore, row: int) -> dict[str, Any]:
    """The description of a row; one row part is read."""
    shard = row // store.rows_per_shard
    if row >= 0 and shard in store.committed():
        part = store.read_part(shard)
        found = part.filter(pc.equal(part["row"], pa.scalar(row, pa.int64()))).to_pylist()
        if found:
            return found[0]
    raise StoreError(f"{store.path} has no row {row}; expected one of the column `row` of store.rows()")
