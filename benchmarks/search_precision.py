"""How many of the ten windows most like a clip have its label: search by example over a store of labelled embeddings.

    python benchmarks/search_precision.py STORE [--top N]

Every clip of the store that carries one label is the example once; windows that overlap it are not found, and those of
its group, where it has one, do not count: they are of the same source recording. The last column is what lots would
find.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from arguments import positive
from table import print_table


def main() -> None:
    """Print the mean precision of each label."""
    parser = argparse.ArgumentParser(description="Precision of a search by example, label by label.")
    parser.add_argument("store", type=Path, help="a store of embeddings, made by hubbub embed of labelled clips")
    parser.add_argument("--top", type=positive, default=10, metavar="N", help="windows that count; default: 10")
    options = parser.parse_args()
    import numpy as np

    from hubbub.store.opening import open_store
    from hubbub.tasks.search import find_nearest

    store = open_store(options.store)
    rows = store.rows(["row", "clip_id", "uri", "labels", "group"])
    rows = rows[rows["labels"].map(len) == 1].reset_index(drop=True)
    label = rows["labels"].map(lambda labels: labels[0])
    group = rows["group"].where(rows["group"].notna(), rows["uri"])
    vectors = store.read_rows(rows["row"].tolist())[:, 0]
    directions = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    found, by_lot = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for _, own in rows.groupby("clip_id"):
        first = own.index[0]
        others = np.flatnonzero((group != group[first]).to_numpy())
        nearest = find_nearest(vectors[others], directions[own.index].mean(axis=0), options.top, others)
        found[label[first]].append(float((label[nearest.rows] == label[first]).mean()))
        by_lot[label[first]].append(float((label[others] == label[first]).mean()))
    lines = [
        (name, str(len(shares)), f"{np.mean(shares):.3f}", f"{np.mean(by_lot[name]):.3f}")
        for name, shares in sorted(found.items())
    ]
    every = [share for shares in found.values() for share in shares]
    lots = [share for shares in by_lot.values() for share in shares]
    lines.append(("all", str(len(every)), f"{np.mean(every):.3f}", f"{np.mean(lots):.3f}"))
    title = f"{options.store}: share of the {options.top} nearest windows with the example's label, {len(rows)} windows"
    print_table(title, ("label", "examples", "precision", "by lot"), lines)


if __name__ == "__main__":
    main()
