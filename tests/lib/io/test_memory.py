"""Freed memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc
import numpy as np
from hubbub.io.memory import release_freed_memory

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

held = [np.ones(100_000, np.uint8) for _ in range(1000)]  # small enough for the heap, not pages of their own
kept = held[::10]  # what stays holds the heap's end, so that nothing goes back by itself
del held
gc.collect()
before = resident_mb()
release_freed_memory()
print(before - resident_mb(), sum(int(one[0]) for one in kept))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives back memory amid what is in use")
def test_holes_between_what_is_in_use_go_back() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    released_mb, kept = map(float, done.stdout.split())
    assert kept == 100
    assert released_mb > 50  # 90 MB were freed
