"""Dealing: the order in which clips go into units, so that every shard is a fair sample of the clip table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa


def deal_clips(rows: pa.Table) -> pa.Table:
    """Return the rows of a clip table in an order drawn from a hash of their uris.

    Data sets come sorted: a class, a site or a day after the other. Shards filled in that order would hold one class
    each, and batches read from a few shards would, too. The hash depends on the uri alone, so the order of the table
    decides nothing, and a table that grows keeps the order of the clips it had.

    Segments of one file stay next to each other, in the order of the table: a file is then read by one unit, or by
    two, and not by as many as it has segments. pandas computes the hash (SipHash with a fixed key).
    """
    hashes = pd.util.hash_array(rows["uri"].to_pandas().to_numpy(object), categorize=False)
    return rows.take(pa.array(np.argsort(hashes, kind="stable")))
