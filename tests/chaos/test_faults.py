"""Kills, stalls, cut connections and poison, by seeded chance: every run ends, every clip is accounted for.

Short by itself, on the 100 clips in the repository; ``HUBBUB_CHAOS_MOMENTS=200 pytest -m chaos`` is the proof, on the
whole of ESC-10 where that lies. ``HUBBUB_CHAOS_SEED`` draws other faults.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.moments import (
    FAULTS,
    Chaos,
    Figures,
    assert_equal_stores,
    assert_poisoned,
    assert_verified,
    random_moments,
)
from tests.chaos.poison_clips import REASONS, poisoned_environment
from tests.chaos.processes import SMALL_UNITS, external_cluster, n_parts
from tests.chaos.test_moments import ASKED, SEED
from tests.jobs.command import succeed

SHORT, SHORT_POISON = 5, ("ogg", "exit")
"""Faults where nobody asked for more, and poison among the clips."""

TIME_LIMIT_S = 15
"""Base of what a clip may take: longer than the first of a new process takes on a busy machine."""

PATIENCE_S = 900
"""How long a run may take, s: poison that hangs costs `TIME_LIMIT_S` twice, a busy machine all sorts of time."""

MEMORY = 10**9
"""Of a worker, bytes."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200 + 60 * ASKED)]


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Iterator[Figures]:
    """Count what happens in a test, to be printed when all tests are done."""
    counted = Figures(SEED)
    yield counted
    record_property("chaos", str(counted))


@pytest.fixture
def archive(request: pytest.FixtureRequest) -> Path:
    """The recordings: all 400 of ESC-10 for the long form."""
    found: Path = request.getfixturevalue("esc10" if ASKED else "esc10_mini")
    return found


def test_through_every_kind_of_fault_every_run_ends_and_every_clip_is_accounted_for(
    archive: Path, tmp_path: Path, figures: Figures
) -> None:
    clips, whole = tmp_path / "clips.parquet", tmp_path / "whole"
    succeed("index", archive / "esc10.csv", "-o", clips)
    succeed("features", clips, "-o", whole, "--cluster", "serial", *SMALL_UNITS)
    poison = drawn_poison(sorted(path.name for path in (archive / "audio").iterdir()))
    environment = poisoned_environment(tmp_path / "poison", poison) | {
        "HUBBUB_TIME_LIMIT_S": str(TIME_LIMIT_S),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    }
    with external_cluster(tmp_path, environment, worker_words=("--memory-limit", str(MEMORY))) as cluster:
        chaos = Chaos(str(clips), SMALL_UNITS, tmp_path, figures, lambda store: n_parts(Path(store) / "rows"))
        chaos.cluster, chaos.poison, chaos.patience_s = cluster, poison, PATIENCE_S
        moments = random_moments(ASKED or SHORT, FAULTS, SEED)
        for store in chaos.build_until_all_struck(moments, lambda number: str(tmp_path / f"store-{number}")):
            assert_poisoned(store, poison)
            assert_equal_stores(store, str(whole), poison)
            assert_verified(store, str(clips))
            figures.stores += 1


def drawn_poison(names: list[str]) -> dict[str, str]:
    """Clips and their deeds by seeded chance; one of each kind in the long form."""
    deeds = list(REASONS) if ASKED else SHORT_POISON
    return dict(zip(random.Random(SEED).sample(names, len(deeds)), itertools.cycle(deeds), strict=False))
