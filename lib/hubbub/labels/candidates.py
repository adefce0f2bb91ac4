r"""Event candidates: stretches between changes of a score, whose borders do not move with the threshold.

A threshold that crosses a slope moves an onset with it. Here borders lie where the score changes most, and stretches
that differ little are joined, so that each candidate has one confidence, its mean score, and a threshold only says
which candidates are events. In the manner of change-detection sound event bounding boxes: J. Ebbers, F. Germain,
G. Wichern and J. Le Roux, "Sound Event Bounding Boxes", 2024 (arXiv 2406.04212).

::

    score       ____/‾‾‾‾‾\______/‾‾\___
    candidates  |    |      |    |    |
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def find_candidates(scores: Floats, step: int, least_change: float) -> tuple[Ints, Floats]:
    """Divide a score's frames into candidates.

    Parameters
    ----------
    scores
        float64 [frame], 0 to 1.
    step
        Frames on either side of a border whose means are compared.
    least_change
        Neighbours whose means differ by less are joined, those that differ least first; 0 to 1.

    Returns
    -------
    edges
        int64 [candidate + 1], first frames, and the end.
    means
        float64 [candidate].
    """
    total = np.concatenate([[0.0], np.cumsum(scores)])
    borders = _find_borders(total, max(1, step), least_change / 2)
    return _join_alike(borders, total, least_change)


def _find_borders(total: Floats, step: int, least: float) -> Ints:
    """Frames where the mean after differs most from the mean before, int64 [border], the two ends among them."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    n = len(total) - 1
    at = np.arange(n + 1)
    after, before = np.minimum(at + step, n), np.maximum(at - step, 0)
    rise = (total[after] - total[at]) / np.maximum(after - at, 1) - (total[at] - total[before]) / np.maximum(
        at - before, 1
    )
    size = step // 2 * 2 + 1
    is_onset = (rise >= max(least, 1e-9)) & (rise == maximum_filter1d(rise, size))
    is_offset = (rise <= -max(least, 1e-9)) & (rise == minimum_filter1d(rise, size))
    return np.unique(np.concatenate([[0], np.flatnonzero(is_onset | is_offset), [n]]))


def _join_alike(edges: Ints, total: Floats, least_change: float) -> tuple[Ints, Floats]:
    """Join neighbours, those whose means differ least first, until all differ by `least_change` or more."""
    count = len(edges) - 1
    first, end = edges[:-1].tolist(), edges[1:].tolist()
    means = ((total[edges[1:]] - total[edges[:-1]]) / np.diff(edges)).tolist()
    after, before = list(range(1, count + 1)), list(range(-1, count - 1))
    version = [0] * count
    queue = [(abs(means[i] - means[i + 1]), i, 0, 0) for i in range(count - 1)]
    heapq.heapify(queue)
    alive = [True] * count
    while queue:
        change, left, left_version, right_version = heapq.heappop(queue)
        if change >= least_change:
            break
        right = after[left] if alive[left] else count
        if right >= count or version[left] != left_version or version[right] != right_version:
            continue  # one of the two has been joined since
        end[left] = end[right]
        means[left] = float(total[end[left]] - total[first[left]]) / (end[left] - first[left])
        alive[right], after[left] = False, after[right]
        version[left] += 1
        if after[left] < count:
            before[after[left]] = left
            _push(queue, means, version, left, after[left])
        if before[left] >= 0:
            _push(queue, means, version, before[left], left)
    kept = [place for place in range(count) if alive[place]]
    return np.array([first[place] for place in kept] + [int(edges[-1])]), np.array([means[place] for place in kept])


def _push(
    queue: list[tuple[float, int, int, int]], means: list[float], version: list[int], left: int, right: int
) -> None:
    heapq.heappush(queue, (abs(means[left] - means[right]), left, version[left], version[right]))
