"""Batches: the size is measured where there is a GPU, and no row's values depend on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubbub.models import gpu
from hubbub.models.batches import CPU_ROWS, MOST_ROWS, RowBatches, choose_batch_rows, is_out_of_memory


def time_by(batch_s: dict[int, float]) -> object:
    """Measurements by the number of rows; what is not among them is too large."""

    def time_batch(rows: int) -> float:
        if rows not in batch_s:
            raise MemoryError
        return batch_s[rows]

    return time_batch


CASES = {
    "each batch takes as long: doubled to the end": ({16: 1, 32: 1, 64: 1, 128: 1, 256: 1}, 256),
    "memory ends": ({16: 1, 32: 1, 64: 1}, 64),
    "rows take as long each: not doubled": ({16: 1, 32: 2, 64: 4}, 16),
    "no more gain from 64 on": ({16: 1.0, 32: 1.2, 64: 1.5, 128: 2.9}, 64),
    "twice as large is slower": ({16: 1.0, 32: 5.0}, 16),
    "not even twice fits": ({16: 1.0}, 16),
}


@pytest.mark.parametrize("name", CASES)
def test_a_batch_is_doubled_while_that_pays(name: str):
    batch_s, expected = CASES[name]
    assert choose_batch_rows(time_by(batch_s), most=256) == expected


def test_a_batch_is_never_above_what_a_worker_may_hold():
    tried: list[int] = []
    assert choose_batch_rows(lambda rows: tried.append(rows) or 1.0, most=100) == 64
    assert tried == [16, 32, 64]


def double(batch: np.ndarray) -> np.ndarray:
    return 2 * batch.sum(axis=1)


@pytest.mark.parametrize("count", [1, 3, 15, 16, 17, 50])
@pytest.mark.parametrize("multiple", [1, 4, CPU_ROWS])
def test_rows_are_the_same_in_any_batch(count: int, multiple: int):
    rows = np.random.default_rng(0).normal(size=(count, 5, 2)).astype(np.float32)
    sizes: list[int] = []

    def compute(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return double(batch)

    np.testing.assert_array_equal(RowBatches(compute, multiple=multiple)(rows), double(rows))
    assert max(sizes) <= CPU_ROWS
    assert not [size for size in sizes if size % multiple]


def test_a_gpu_gets_what_its_memory_holds_and_always_as_many_rows():
    sizes: list[int] = []

    def compute(batch: np.ndarray) -> np.ndarray:
        if len(batch) > 64:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes")
        sizes.append(len(batch))
        return double(batch)

    batches = RowBatches(compute, on_gpu=True)
    rows = np.random.default_rng(0).normal(size=(70, 5, 2)).astype(np.float32)
    chosen = batches.count_rows((5, 2))
    assert chosen in (16, 32, 64)
    sizes.clear()
    np.testing.assert_array_equal(batches(rows), double(rows))
    assert set(sizes) == {chosen}


def test_long_rows_make_small_batches():
    asked: list[int] = []
    batches = RowBatches(lambda batch: batch[:, 0], on_gpu=True)
    batches._time_batch = lambda shape: asked.append(shape[0]) or 1.0
    assert batches.count_rows((2**20,)) == 64  # 256 MiB of float32
    assert batches.count_rows((2**20,)) == 64
    assert asked == [16, 32, 64]  # measured once
    batches = RowBatches(lambda batch: batch[:, 0], on_gpu=True)
    batches._time_batch = lambda shape: 1.0
    assert batches.count_rows((4,)) == MOST_ROWS


class ResourceExhaustedError(Exception):
    """As TensorFlow calls its own."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (ResourceExhaustedError("OOM when allocating tensor"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 MiB"), True),
        (RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer"), True),
        (ValueError("shapes do not fit"), False),
    ],
)
def test_every_backends_way_to_say_that_memory_is_not_enough(error: Exception, expected: bool):
    assert is_out_of_memory(error) is expected


def test_a_gpu_is_seen_by_its_device_and_hidden_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert not gpu.has_device(tmp_path)
    (tmp_path / "nvidiactl").touch()  # of a driver, and no GPU
    assert not gpu.has_device(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert gpu.has_device(tmp_path)
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not gpu.has_device(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert gpu.has_device(tmp_path)


def test_onnx_runtime_computes_on_a_gpu_where_both_are_there(monkeypatch: pytest.MonkeyPatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(gpu, "has_device", lambda: True)
    assert gpu.list_providers() == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(gpu, "has_device", lambda: False)
    assert gpu.list_providers() == ["CPUExecutionProvider"]
