"""Ids of clips, kept as hashes: one is found where it is there, and where it is there twice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hubbub.clips.ids import ClipIds


@given(st.lists(st.text(max_size=2)), st.lists(st.text(max_size=2)), st.lists(st.text(max_size=2)))
def test_ids_are_found_as_in_a_set(first: list[str], later: list[str], asked: list[str]) -> None:
    ids = ClipIds()
    ids.add(first)
    assert ids.contain(asked) == [one in first for one in asked]
    ids.add(later)
    assert ids.contain(asked) == [one in first + later for one in asked]
    doubled, counts = ids.find_doubled(), Counter(first + later)
    assert len(doubled) == sum(count > 1 for count in counts.values())
    assert doubled.contain(asked) == [counts[one] > 1 for one in asked]
    assert len(ids) == len(first) + len(later)
