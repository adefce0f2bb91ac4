"""The accessor `hubbub` on a Dataset that xarray opened from a store; ``import hubbub.store.xarray`` registers it.

::

    import hubbub.store.xarray
    import xarray

    dataset = xarray.open_zarr("store/features.zarr", consolidated=False)
    dataset.hubbub.rows()

xarray is no part of hubbub: ``pip install "xarray[io]"``.
"""

from __future__ import annotations

from functools import cached_property

import pandas as pd
import xarray

from hubbub.audio.shown import ShownAudio
from hubbub.config import Settings
from hubbub.errors import StoreError
from hubbub.io.paths import parse_path
from hubbub.store.features import ARRAYS, FeatureStore
from hubbub.store.opening import open_store


@xarray.register_dataset_accessor("hubbub")
class HubbubAccessor:
    """What hubbub knows of a Dataset opened from ``features.zarr``."""

    def __init__(self, dataset: xarray.Dataset) -> None:
        self._dataset = dataset

    @cached_property
    def store(self) -> FeatureStore:
        """The feature store.

        Raises
        ------
        StoreError
            The dataset was not opened from a store's ``features.zarr``.
        """
        source = str(self._dataset.encoding.get("source") or "").rstrip("/")
        folder, _, name = source.rpartition("/")
        if name != ARRAYS:
            raise StoreError(
                f"the dataset comes from {source or 'no file'}; expected one of a store: "
                f'xarray.open_zarr("STORE/{ARRAYS}", consolidated=False)'
            )
        return open_store(parse_path(folder))

    @property
    def settings(self) -> Settings:
        """The settings the features were made with."""
        return self.store.settings

    def rows(self) -> pd.DataFrame:
        """Return the rows that count, as `FeatureStore.rows` does; column `row` counts along the dimension `row`."""
        return self.store.rows()

    def show(self, row: int) -> ShownAudio:
        """Show a row as spectrogram and player, by its number in the store; errors of `FeatureStore.show`."""
        return self.store.show(row)
