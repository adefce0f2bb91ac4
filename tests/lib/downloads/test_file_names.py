"""Names of fetched files: safe for whatever address, and other for other addresses."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.downloads.addresses import parse_address
from hubbub.downloads.failures import FetchFailure
from hubbub.downloads.file_names import choose_file_name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://h.example/mp3s/Oslo/Oslo_calm_1.mp3", "h.example/mp3s/Oslo/Oslo_calm_1.mp3"),
        ("https://h.example/caf%C3%A9%20noir.wav", "h.example/café noir.wav"),
        ("http://h.example:8080/a.wav", "h.example_8080/a.wav"),
        ("https://h.example//a//b.wav", "h.example/a/b.wav"),
        ("https://h.example/a.wav#t=3", "h.example/a.wav"),
        ("https://münchen.example/a.wav", "xn--mnchen-3ya.example/a.wav"),
    ],
)
def test_plain_addresses_keep_their_names(address: str, name: str) -> None:
    assert choose_file_name(parse_address(address)) == name


@pytest.mark.parametrize(
    "path",
    [
        "/%2e%2e/x.wav",
        "/a%2f..%2fb.wav",
        "/CON.wav",
        "/nul",
        "/LPT1.mp3",
        "/.ssh/x.wav",
        "/a%0Ab.wav",
        "/x.wav?id=1",
        "/%ff.wav",
    ],
)
def test_odd_addresses_are_told_apart_by_a_hash(path: str) -> None:
    name = choose_file_name(parse_address(f"https://h.example{path}"))
    assert re.search(r"-[0-9a-f]{8}(\.\w+)?$", name)


addresses = st.text(min_size=1, max_size=400).map(lambda text: f"https://h.example/{text}")
escaped = st.lists(
    st.sampled_from(["%2e", "%2f", "%5c", "%00", "..", "/", "a", "con", ".", " ", "%E2%80%AE", "?", ":"])
)


@given(addresses | escaped.map(lambda parts: f"https://h.example/{''.join(parts)}"))
def test_no_address_gives_a_name_that_leaves_the_folder_or_that_disks_mind(text: str) -> None:
    try:
        name = choose_file_name(parse_address(text))
    except FetchFailure:
        return
    path = PurePosixPath(name)
    assert not path.is_absolute()
    assert path.parts[0] == "h.example"
    assert len(path.parts) >= 2
    for part in path.parts:
        assert part not in ("", ".", "..")
        assert not part.startswith(".")
        assert len(part.encode()) < 200
        assert not re.search(r'[\x00-\x1f\x7f<>:"|?*\\\u202e]', part)
        assert part == part.strip(" ")
        assert not re.match(r"(?i)(con|nul|aux|prn|com\d|lpt\d)(\.|$)", part)


@given(addresses, addresses)
def test_two_addresses_have_two_names(one: str, other: str) -> None:
    try:
        first, second = parse_address(one), parse_address(other)
    except FetchFailure:
        return
    if first.replace("//", "/") != second.replace("//", "/"):
        assert choose_file_name(first) != choose_file_name(second)
