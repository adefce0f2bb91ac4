"""The documentation site is built strictly, without network and without heavy imports, and describes all there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hubbub_site.api import list_classes, list_errors, list_functions
from hubbub_site.commands import list_commands
from hubbub_site.pictures import read_floors
from selectolax.lexbor import LexborHTMLParser

import hubbub
from hubbub.config.frontends import FRONTENDS
from hubbub.config.recipes import KEYS
from tests.docs.pages import ROOT
from tests.test_layers import FLOORS

BUILD = """
import sys

def refuse_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        sys.exit(f"the build asks the network: {event} {arguments}")

sys.addaudithook(refuse_network)
from sphinx.cmd.build import main

code = main(["-W", "-n", "--keep-going", "-q", "-b", "html", "-d", sys.argv[2] + "/.doctrees", *sys.argv[1:]])
heavy = {"tensorflow", "keras", "torch", "jax", "librosa"} & set(sys.modules)
sys.exit(code or (f"the build imports {heavy}" if heavy else 0))
"""


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does, in a process that the network is shut to."""
    return subprocess.run(
        [sys.executable, "-c", BUILD, str(source), str(out)], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "docs", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def read(page: Path) -> LexborHTMLParser:
    return LexborHTMLParser(page.read_text(encoding="utf-8"))


def list_ids(page: Path) -> set[str]:
    return {str(node.attributes["id"]) for node in read(page).css("[id]")}


def list_code(page: Path) -> set[str]:
    return {node.text() for node in read(page).css("code")}


def test_every_function_class_and_error_is_described(site: Path) -> None:
    described = list_ids(site / "reference/api.html")
    assert {f"hubbub.{name}" for name in list_functions()} <= described
    assert {name for name in hubbub.__all__ if name not in ("__version__", "errors")} == set(list_functions())
    assert {f"{kind.__module__}.{kind.__qualname__}" for kind in list_classes()} <= described
    assert {f"hubbub.errors.{kind.__name__}" for kind in list_errors()} <= list_ids(site / "reference/errors.html")


def test_every_command_and_option_is_described(site: Path) -> None:
    page = site / "reference/commands.html"
    shown = " ".join(list_code(page))
    for name, command in list_commands().items():
        assert f"command-{name}" in list_ids(page)
        assert all(option in shown for param in command.params for option in param.opts if option.startswith("-"))


def test_every_setting_is_described(site: Path) -> None:
    shown = list_code(site / "reference/settings.html")
    assert set(KEYS) <= shown
    keys = {key for kind in FRONTENDS.values() for key in kind.model_fields}
    assert {f"frontend.{key}" for key in keys - {"name"}} <= shown
    assert {f"frontend-{name}" for name in FRONTENDS} <= list_ids(site / "reference/settings.html")


def test_the_picture_shows_the_floors_that_are_tested(site: Path) -> None:
    assert read_floors() == FLOORS
    drawn = [node.text() for node in read(site / "architecture.html").css("figure.drawing text.head")]
    rooms = [text.removesuffix("/").removesuffix(".py") for text in drawn if not text.startswith("hubbub ")]
    expected = [room for rooms in reversed(FLOORS) for room in rooms]
    assert rooms == [{"hubbub": "hubbub/__init__"}.get(room, room) for room in expected]


def list_assets(page: Path) -> Iterator[str]:
    """Yield what a browser fetches to show a page."""
    tree = read(page)
    for selector, attribute in (
        ("script[src]", "src"),
        ("link[rel=stylesheet]", "href"),
        ("img", "src"),
        ("iframe", "src"),
        ("link[rel=preconnect]", "href"),
    ):
        yield from (str(node.attributes[attribute]) for node in tree.css(selector))


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    fetched = {(page.name, asset) for page in pages for asset in list_assets(page)}
    assert not {entry for entry in fetched if re.match(r"(https?:)?//", entry[1])}
    sheets = [path for path in site.rglob("*.css")]
    addresses = [
        found for path in sheets for found in re.findall(r"url\(['\"]?((?:https?:)?//[^)]+)", path.read_text())
    ]
    assert not addresses


def test_links_within_the_site_lead_to_pages_and_places_in_them(site: Path) -> None:
    ids = {page: list_ids(page) for page in site.rglob("*.html")}
    wrong = []
    for page in ids:
        for node in read(page).css("article a[href]"):
            path, _, place = str(node.attributes["href"]).partition("#")
            target = (page.parent / path).resolve() if path else page
            if "://" in path or path.startswith("mailto:"):
                continue
            if not target.exists() or (place and target in ids and place not in ids[target]):
                wrong.append(f"{page.relative_to(site)}: {node.attributes['href']}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        (
            "[nowhere](howto/nowhere.md), [no heading](formats.md#nothing), {py:class}`hubbub.Nothing`",
            ["howto/nowhere.md", "'formats.md#nothing'|'nothing'", "hubbub.Nothing"],
        ),
        ("```{generated} no-part\n```", ["no-part"]),  # a part that nobody writes
    ],
)
def test_what_leads_nowhere_stops_the_build(text: str, complaints: list[str], tmp_path: Path) -> None:
    source = tmp_path / "docs"
    (source / "_static").mkdir(parents=True)
    for name in ("conf.py", "_static/site.css"):
        shutil.copy(ROOT / "docs" / name, source / name)
    (source / "_ext").symlink_to(ROOT / "docs" / "_ext")
    (source / "formats.md").write_text("---\norphan: true\n---\n\n# Formats\n")
    (source / "index.md").write_text(f"# A site\n\n{text}\n")
    done = build(source, tmp_path / "out")
    assert done.returncode != 0
    assert all(re.search(complaint, done.stdout + done.stderr) for complaint in complaints), done.stdout + done.stderr
