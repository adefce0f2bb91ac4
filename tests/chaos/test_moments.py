"""Stores that were broken off at random moments end equal to one that nobody broke off: on disk, and in a bucket.

Short by itself; ``HUBBUB_CHAOS_MOMENTS=50 pytest -m chaos`` is the proof. ``HUBBUB_CHAOS_SEED`` draws other moments.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.moments import (
    GUEST,
    LOCAL,
    Chaos,
    Figures,
    assert_equal_stores,
    assert_verified,
    random_moments,
    take_counts,
)
from tests.chaos.processes import SMALL_UNITS, external_cluster, n_parts
from tests.servers.ceph import missing
from tests.servers.proxy import Faults, proxy
from tests.servers.server import Server

ASKED = int(os.environ.get("HUBBUB_CHAOS_MOMENTS") or 0)
SEED = int(os.environ.get("HUBBUB_CHAOS_SEED") or 1)
SHORT = {"local": 2, "guest": 2, "bucket": 2}
"""Moments by test where nobody asked for more."""

BUCKET_UNITS = ("--set", "layout.rows_per_shard=4", "--set", "layout.rows_per_chunk=4")
"""Half as many units as on disk: each takes several requests, and those that go wrong take seconds."""

READ_TIMEOUT_S = 1.0
"""How long the commands wait for an answer, s."""

BAD_NETWORK = Faults(
    error_500=0.02, slow_down=0.03, reset=0.02, lost_answer=0.01, stall=0.003, cut_answer=0.01, cut_request=0.01,
    stall_s=2 * READ_TIMEOUT_S,
)  # fmt: skip
"""A tenth of all requests goes wrong: far beyond what S3 does, so that each fault meets every kind of request."""

_MOTO, _CEPH = pytest.param("s3", "moto_server", id="moto"), pytest.param("ceph", "ceph_gateway", id="ceph")
SERVERS = [_MOTO, _CEPH] if ASKED else [_MOTO if missing() else _CEPH]
"""Fixtures of the servers to build on; the short form takes the one that is more like a cloud."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600 + 60 * ASKED)]


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Iterator[Figures]:
    """Count what happens in a test, to be printed when all tests are done."""
    counted = Figures(SEED)
    yield counted
    record_property("chaos", str(counted))


@pytest.mark.slow
def test_killed_at_random_moments_a_store_on_disk_ends_equal(
    clips: Path, whole_store: Path, tmp_path: Path, figures: Figures
) -> None:
    chaos = Chaos(str(clips), SMALL_UNITS, tmp_path, figures, lambda store: n_parts(Path(store) / "rows"))
    moments = random_moments(ASKED or SHORT["local"], LOCAL, SEED)
    for store in chaos.build_until_all_struck(moments, lambda number: str(tmp_path / f"store-{number}")):
        assert_equal_stores(store, str(whole_store))
        assert_verified(store, str(clips))
        assert not list(Path(store).rglob("*.partial*"))
        figures.stores += 1


@pytest.mark.slow  # in short form, test_faults.py does as much
def test_killed_at_random_moments_on_the_cluster_of_others_a_store_ends_equal(
    clips: Path, whole_store: Path, tmp_path: Path, figures: Figures
) -> None:
    with external_cluster(tmp_path) as cluster:
        chaos = Chaos(str(clips), SMALL_UNITS, tmp_path, figures, lambda store: n_parts(Path(store) / "rows"))
        chaos.cluster = cluster
        moments = random_moments(ASKED or SHORT["guest"], GUEST, SEED)
        for store in chaos.build_until_all_struck(moments, lambda number: str(tmp_path / f"store-{number}")):
            assert_equal_stores(store, str(whole_store))
            assert_verified(store, str(clips))
            figures.stores += 1


@pytest.mark.slow
@pytest.mark.parametrize(("bucket", "server"), SERVERS)
def test_killed_at_random_moments_behind_a_bad_network_a_store_in_a_bucket_ends_equal(
    bucket: str, server: str, clips: Path, whole_store: Path, tmp_path: Path, figures: Figures,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    address, behind = request.getfixturevalue(bucket), request.getfixturevalue(server)
    assert isinstance(behind, Server)
    with proxy(behind.url, BAD_NETWORK, seed=SEED) as between:
        environment = behind.at(between.url).whole_environment() | {"HUBBUB_S3_READ_TIMEOUT_S": str(READ_TIMEOUT_S)}
        count = part_counter(behind)
        chaos = Chaos(str(clips), BUCKET_UNITS, tmp_path, figures, count, environment)
        moments = random_moments(ASKED or SHORT["bucket"], LOCAL, SEED)
        stores = chaos.build_until_all_struck(moments, lambda number: f"{address}/some stores/store-{number}")
        take_counts(figures, between)
    for store in stores:
        assert_equal_stores(store, str(whole_store))
        assert_verified(store, str(clips))
        figures.stores += 1


def part_counter(server: Server) -> Callable[[str], int]:
    """Return what counts the units that a store in a bucket has committed, past any proxy, a few times a second."""
    client = server.client()

    def count(store: str) -> int:
        time.sleep(0.05)
        bucket, _, prefix = store.removeprefix("s3://").partition("/")
        return int(client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/rows/")["KeyCount"])

    return count
