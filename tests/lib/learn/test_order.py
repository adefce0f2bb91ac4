"""The order of an epoch: every row once, parted fairly among workers, and known without reading anything."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.errors import TrainingError
from hubbub.learn.order import Partition, Position, plan_order

cases = st.tuples(st.integers(1, 80), st.integers(1, 9), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**31))


@given(case=cases, epoch=st.integers(0, 3))
def test_workers_get_equally_many_rows_and_none_that_another_gets(case, epoch):
    n_rows, rows_per_shard, mix_shards, workers, seed = case
    rows = np.flatnonzero(np.random.default_rng(seed).random(n_rows) < 0.7)
    orders = [
        plan_order(
            rows,
            rows_per_shard=rows_per_shard,
            mix_shards=mix_shards,
            seed=seed,
            epoch=epoch,
            share=Partition(index, workers),
        )
        for index in range(workers)
    ]
    served = [place for order in orders for place in order.served.tolist()]
    assert {len(order.served) for order in orders} == {len(rows) // workers}
    assert len(set(served)) == len(served) > len(rows) - workers
    for order in orders:
        for mix, shards in enumerate(order.shards):
            part = rows[order.served[order.bounds[mix] : order.bounds[mix + 1]]]
            assert set(part // rows_per_shard) == set(shards.tolist())
            assert len(set(shards.tolist())) == len(shards) <= mix_shards


def oracle(rows: np.ndarray, rows_per_shard: int, mix_shards: int, seed: int, epoch: int) -> list[int]:
    """The rule in words: shuffle the shards; of each few of them shuffle the rows; draws in this order."""
    rng = np.random.default_rng([seed, epoch])
    shards = rng.permutation(np.unique(rows // rows_per_shard))
    served: list[int] = []
    for at in range(0, len(shards), mix_shards):
        mix = np.concatenate([np.sort(rows[rows // rows_per_shard == s]) for s in shards[at : at + mix_shards]])
        served += mix[rng.permutation(len(mix))].tolist()
    return served


@given(case=cases, epoch=st.integers(0, 3))
def test_the_order_is_the_rule(case, epoch):
    n_rows, rows_per_shard, mix_shards, _, seed = case
    rows = np.random.default_rng(seed).permutation(n_rows)
    order = plan_order(rows, rows_per_shard=rows_per_shard, mix_shards=mix_shards, seed=seed, epoch=epoch)
    assert rows[order.served].tolist() == oracle(rows, rows_per_shard, mix_shards, seed, epoch)


def test_another_epoch_leaves_out_other_rows():
    left_out = set()
    for epoch in range(8):
        orders = [
            plan_order(np.arange(11), rows_per_shard=2, mix_shards=2, seed=0, epoch=epoch, share=Partition(index, 3))
            for index in range(3)
        ]
        left_out |= set(range(11)) - {int(place) for order in orders for place in order.served}
    assert len(left_out) > 2


def test_a_position_survives_json():
    position = Position(3, 17, "0badcafe")
    assert Position.from_json(json.loads(json.dumps(position.to_json()))) == position


@pytest.mark.parametrize(
    "said",
    [None, [], {}, {"epoch": 1, "batch": 2}]
    + [{"epoch": 1, "batch": batch, "order": "0"} for batch in (-1, 1.5, "2", True)]
    + [{"epoch": 1, "batch": 2, "order": 3}],
)
def test_what_is_no_position_is_refused(said):
    with pytest.raises(TrainingError, match="no position of the loader"):
        Position.from_json(said)


@pytest.mark.parametrize(("index", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_a_worker_that_is_not_there_is_refused(index, count):
    with pytest.raises(TrainingError, match=f"worker {index} of {count}"):
        Partition(index, count)
