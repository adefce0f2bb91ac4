"""The order of an epoch: every row once, parted fairly among workers, and known without reading anything."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.errors import TrainingError
from hubbub.learn.order import Order, Partition, Position, plan_order

cases = st.tuples(st.integers(1, 80), st.integers(1, 9), st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**31))


def orders_of(rows, stretch_rows, capacity, workers, seed, epoch) -> list[Order]:
    ask = {"stretch_rows": stretch_rows, "capacity": capacity, "seed": seed, "epoch": epoch}
    return [plan_order(rows, **ask, share=Partition(index, workers)) for index in range(workers)]


@given(case=cases, epoch=st.integers(0, 3), shuffled=st.booleans())
def test_workers_get_equally_many_rows_and_none_that_another_gets(case, epoch, shuffled):
    n_rows, stretch_rows, capacity, workers, seed = case
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.flatnonzero(rng.random(n_rows) < 0.7))
    orders = orders_of(rows, stretch_rows, capacity, workers, seed if shuffled else None, epoch)
    served = [place for order in orders for place in order.served.tolist()]
    assert {len(order.served) for order in orders} == {len(rows) // workers}
    assert len(set(served)) == len(served) > len(rows) - workers


@given(case=cases, epoch=st.integers(0, 3))
def test_no_more_stretches_are_in_use_at_once_than_there_is_room_for(case, epoch):
    n_rows, stretch_rows, capacity, workers, seed = case
    rows = np.random.default_rng(seed).permutation(n_rows)
    for order in orders_of(rows, stretch_rows, capacity, workers, seed, epoch):
        stretch = rows[order.served] // stretch_rows
        used = {number: np.flatnonzero(stretch == number) for number in set(stretch.tolist())}
        in_use = [sum(at[0] <= now <= at[-1] for at in used.values()) for now in range(len(stretch))]
        assert max(in_use, default=0) <= order.capacity == max(3, capacity)
        assert order.is_whole == (len(set((rows // stretch_rows).tolist())) <= order.capacity)


def test_shuffled_whole_any_row_may_come_anywhere():
    rows, places = np.arange(12), np.zeros((12, 12), int)
    for epoch in range(600):
        places[plan_order(rows, stretch_rows=4, capacity=3, seed=0, epoch=epoch).served, rows] += 1
    assert (abs(places - 50) < 35).all()  # five times the spread of a fair draw


def test_without_a_seed_rows_come_by_their_numbers():
    rows = np.random.default_rng(0).permutation(50)
    order = plan_order(rows, stretch_rows=4, capacity=3, seed=None)
    assert rows[order.served].tolist() == list(range(50))


def test_another_epoch_leaves_out_other_rows():
    left_out = set()
    for epoch in range(8):
        orders = orders_of(np.arange(11), 2, 3, 3, 0, epoch)
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
