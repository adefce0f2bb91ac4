"""Recipes and what they find on pages."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hubbub.downloads.failures import FetchFailure
from hubbub.downloads.pages import read_page
from hubbub.downloads.recipe import Recipe, list_recipes, load_recipe, parse_recipe, resolve_headers
from hubbub.errors import UsageError

PAGE = "https://h.example/sounds/"


def test_every_recipe_that_comes_along_says_what_it_is_for() -> None:
    found = list_recipes()
    assert {"city-sounds", "directory-listing", "freesound", "internet-archive"} <= set(found)
    for name, recipe in found.items():
        assert recipe.about
        assert recipe.example.startswith("hubbub fetch")
        assert name in recipe.example or name == "directory-listing"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("recordings: [{select: 'a['}]", "CSS selector"),
        ("recordings: [{match: '('}]", "regular expression"),
        ("recordings: [{selct: a}]", "did you mean 'select'"),
        ("recordngs: []", "did you mean 'recordings'"),
        ("recordings: []", "at least 1"),
        ("start: https://h.example/", "recordings is missing"),
        ("- a\n- b", "holds no names with values"),
        ("a: [", "is no YAML"),
        ("recordings: [{select: a}]\ncolumns: {title: {selekt: h1}}", "did you mean 'select'"),
        ("1: 2\nrecordings: [{select: a}]", "expected"),
        ("recordings: !!python/object/apply:os.system ['true']", "is no YAML"),
    ],
)
def test_a_recipe_that_is_wrong_is_refused_in_words(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_recipe(text, "mine.yaml")


def test_an_unknown_recipe_names_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'city-sounds'"):
        load_recipe("city-sound")
    with pytest.raises(UsageError, match="cannot be read"):
        load_recipe(str(tmp_path / "none.yaml"))


def test_secrets_come_from_the_environment_and_are_not_repeated() -> None:
    recipe = Recipe(recordings=({"address": "{url}"},), headers={"Authorization": "Token ${KEY}"})
    assert resolve_headers(recipe, {"KEY": "abc"}) == {"Authorization": "Token abc"}
    for environment in ({}, {"KEY": "a\nHost: evil"}):
        with pytest.raises(UsageError, match="environment variable KEY") as error:
            resolve_headers(recipe, environment)
        assert "evil" not in str(error.value)


def links(
    html: bytes, recipe: Recipe, content_type: str = "text/html", **options: object
) -> list[tuple[str, dict[str, object]]]:
    page = read_page(html, content_type, PAGE, recipe, options.get("inherited", {}), PAGE)  # type: ignore[arg-type]
    return [(link.address, link.columns) for link in page.recordings]


def test_links_are_absolute_once_and_carry_what_their_names_and_page_say() -> None:
    recipe = Recipe(
        recordings=({"select": "audio[src]", "attribute": "src", "match": r"/(?P<city>\w+)_(?P<mood>\w+)\.mp3"},),
        columns={"title": {"select": "h1"}, "year": {"select": "p", "match": r"(\d{4})"}},
    )
    html = (
        b"<base href='/media/'><h1> Night\n sounds </h1><p>from 2019 on</p>"
        + b"<audio src='Oslo_calm.mp3'></audio>" * 2
    )
    assert links(html, recipe, inherited={"place": "Oslo"}) == [
        (
            "https://h.example/media/Oslo_calm.mp3",
            {"place": "Oslo", "title": "Night sounds", "year": "2019", "city": "Oslo", "mood": "calm"},
        )
    ]


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
@pytest.mark.parametrize("where", ["header", "page"])
def test_letters_are_read_by_the_charset_of_server_or_page(charset: str, where: str) -> None:
    head = f"<meta charset={charset}>" if where == "page" else ""
    html = f"{head}<h1>Café</h1><a href='a.wav'>a</a>".encode(charset)
    recipe = Recipe(recordings=({"match": "wav$"},), columns={"title": {"select": "h1"}})
    kind = f"text/html; charset={charset}" if where == "header" else "text/html"
    assert links(html, recipe, kind)[0][1]["title"] == "Café"


@pytest.mark.parametrize("charset", ["punycode", "idna", "rot13", "unicode_escape", "nonsense"])
def test_a_charset_that_no_page_has_is_not_used(charset: str) -> None:
    html = f"<meta charset={charset}><a href='a.wav'>a</a>".encode()
    assert links(html, Recipe(recordings=({"match": "wav$"},)))


def test_links_that_lead_nowhere_are_passed_over_or_told() -> None:
    html = (
        b"<a href='javascript:x.wav'>1</a><a href='mailto:a.wav'>2</a><a href=''>3</a><a href='http://[bad/a.wav'>4</a>"
    )
    page = read_page(html, "text/html", PAGE, Recipe(recordings=({"match": "wav$"},)), {}, PAGE)
    assert not page.recordings
    assert [text for text, _ in page.bad] == ["http://[bad/a.wav"]


def test_json_gives_addresses_by_templates_and_escapes_what_it_puts_in() -> None:
    recipe = Recipe(
        recordings=(
            {
                "items": "list",
                "address": "https://h.example/{page.id}/{file.name}",
                "columns": {"tags": "{tags}", "all": "{page.id} by {who}", "n": "{n}"},
            },
        )
    )
    document = b'{"id": "x y", "list": [{"file": {"name": "a b?.wav"}, "tags": ["p", "q"], "n": 3}, {"file": null}, 7]}'
    assert links(document, recipe, "application/json") == [
        ("https://h.example/x%20y/a%20b%3F.wav", {"tags": "p; q", "n": "3"})
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"<div>" * 100_000,
        b"<ul><li>" * 60_000,
        b"<div><!--</div>-->" * 40_000,
        b"<div></x>" * 60_000,
        b"".join(b"<p><b c=%d>" % number for number in range(5_000)),
    ],
    ids=["div", "list", "comments", "stray ends", "formats"],
)
def test_a_page_that_is_made_to_keep_the_parser_busy_is_refused(content: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(FetchFailure, match="elements within each other"):
        read_page(content, "text/html", PAGE, list_recipes()["city-sounds"], {}, PAGE)
    assert time.monotonic() - started < 3


def test_long_pages_with_few_ends_are_read() -> None:
    rows = "".join(f'<tr><td><a href="{number}/"><b>{number}<b><br><img src=x>' for number in range(5_000))
    cards = "".join(f'<div class="x"><ul><li><font color=red>{number}</font></ul></div>' for number in range(10_000))
    text = f"<table>{rows}</table>{cards}<script>if (a < b) '<div>'</script>"
    recipe = list_recipes()["directory-listing"]
    page = read_page(text.encode(), "text/html", "https://h.example/", recipe, {}, "https://h.example/")
    assert len(page.pages) == 5_000
