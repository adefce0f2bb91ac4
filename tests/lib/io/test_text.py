"""What a terminal is given: nothing that it obeys, and counts that read."""

from __future__ import annotations

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.io import text
from hubbub.io.text import count_noun, make_visible


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("dog.wav", "dog.wav"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),  # colours
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),  # the window's title
        ("over\rwritten", r"over\rwritten"),
        ("back\b\b\b\bspace", r"back\x08\x08\x08\x08space"),
        ("\x9b2J", r"\x9b2J"),  # an escape of one byte: clears the screen
        ("gpj.\u202ewav", r"gpj.\u202ewav"),  # the right-to-left override, which shows another name
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("line\u2028separator", r"line\u2028separator"),
        ("not UTF-8: \udcff", r"not UTF-8: \udcff"),  # how Python holds a name of other bytes
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("Fußgänger 歩行者 🐕 naïve", "Fußgänger 歩行者 🐕 naïve"),
    ],
)
def test_what_a_terminal_would_obey_is_made_visible(given: str, seen: str) -> None:
    assert make_visible(given) == seen


@given(st.text(st.characters()))
def test_nothing_hidden_is_left_and_nothing_visible_is_changed(given: str) -> None:
    seen = make_visible(given)
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c not in "\n\t" for c in seen)
    seen.encode()  # can be printed
    assert make_visible(seen) == seen
    assert all(c in seen for c in given if c.isprintable())


def test_counts_have_their_plural() -> None:
    assert [count_noun(n, "clip") for n in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
    assert count_noun(3, "axis", "axes") == "3 axes"


def test_the_examples_hold() -> None:
    assert doctest.testmod(text).failed == 0
