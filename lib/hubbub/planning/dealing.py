"""Dealing: the order in which clips go into units, so that every shard is a fair sample of the clip table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa


def deal(uris: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return the positions of uris in an order drawn from a hash of them, int64 [uri].

    Data sets come sorted: a class, a site or a day after the other. Shards filled in that order would hold one class
    each, and batches read from a few shards would, too. The hash depends on the uri alone, so the order of the table
    decides nothing, and a table that grows keeps the order of the clips it had.

    What has the same uri, such as segments of a file and variants of a clip, stays next to each other, in its order: a
    file is then read by one unit, or by two, and not by as many as it has segments. pandas computes the hash (SipHash
    with a fixed key).
    """
    hashes = pd.util.hash_array(uris.to_pandas().to_numpy(object), categorize=False)
    return np.argsort(hashes, kind="stable")
