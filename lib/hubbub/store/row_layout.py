"""How rows lie in the array on disk: spectrograms as [row, frame, band], embeddings as [row, dimension].

Everything but the array has rows of [frame, band]; an embedding is one frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from hubbub.audio.frontends import n_frames
from hubbub.audio.windows import window_grid
from hubbub.config import Settings
from hubbub.store import arrays


@dataclass(frozen=True)
class RowLayout:
    """Dimensions of a store's array."""

    dimensions: tuple[str, ...]
    """Their names."""

    shape: tuple[int, ...]
    """Of a row on disk."""

    coordinates: tuple[tuple[str, str], ...]
    """Names and units of the arrays that tell where frames and bands lie."""

    @classmethod
    def of(cls, settings: Settings) -> RowLayout:
        """Return the layout that settings make."""
        frontend = settings.frontend
        if frontend.name == "embedding":
            return cls(("row", "dimension"), (frontend.n_bands,), ())
        frames = n_frames(frontend, window_grid(settings).window)
        return cls(("row", "frame", "band"), (frames, frontend.n_bands), (("frame_s", "s"), ("band_hz", "Hz")))

    def shard_key(self, shard: int) -> str:
        """Name of a shard's object within the array."""
        return arrays.shard_key(shard, len(self.dimensions))
