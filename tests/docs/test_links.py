"""Links between the Markdown files: each leads to a file that exists, and to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hubbub_site.links import LINK, is_elsewhere, rewrite_target
from hubbub_site.links import PAGES as SITE_PAGES

from tests.docs.pages import PAGES, ROOT, name_of


def read_prose(page: Path) -> str:
    """Return a page without its fences."""
    return re.sub(r"^\s*```.*?^\s*```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def list_anchors(page: Path) -> set[str]:
    """Return the names of a page's headings as links give them, and of its labels."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    wrong = []
    for found in LINK.finditer(read_prose(page)):
        path, _, anchor = found["target"].partition("#")
        if is_elsewhere(found["target"]) and not found["target"].startswith("#"):
            continue
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in list_anchors(target)):
            wrong.append(found["target"])
    assert not wrong, f"{name_of(page)} links to {wrong}"


def test_files_that_are_pages_of_the_site_exist_and_so_do_their_pages() -> None:
    assert all((ROOT / path).exists() for path in [*SITE_PAGES, *SITE_PAGES.values()])


@pytest.mark.parametrize(
    ("target", "folder", "page", "expected"),
    [
        ("../../deploy/slurm/README.md", "docs/howto", "howto/cluster", "../deploy/slurm.md"),  # a file with a page
        ("../kubernetes/README.md", "deploy/cloud", "deploy/cloud", "kubernetes.md"),  # from a file that is taken in
        ("train.md#recipes", "docs/howto", "howto/score", "train.md#recipes"),  # from page to page
        ("cluster.yaml", "deploy/slurm", "deploy/slurm", "../../deploy/slurm/cluster.yaml"),  # a file without a page
        ("https://dask.org", "docs", "index", "https://dask.org"),
        ("#clips", "docs", "formats", "#clips"),
    ],
)
def test_targets_are_seen_from_the_page_that_shows_the_link(target: str, folder: str, page: str, expected: str) -> None:
    assert rewrite_target(target, Path(folder), page) == expected
