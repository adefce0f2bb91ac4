"""The page of an archive in a real browser: usable in both schemes, on a narrow screen, by the keyboard."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.command import succeed
from tests.jobs.test_page import CHROMIUM, DRIVER, browser  # noqa: F401
from tests.lib.report.test_archive_page import make_archive

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs Chromium and its driver: apt install chromium chromium-driver"
)

FORBIDDEN = ("serious", "critical")
"""Impacts of axe's rules of which a page breaks none."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive-page")
    tables = make_archive(folder, ["dog", "rain", "<script>alert(1)</script>"], failed=2)
    succeed("report", tables.path, "-o", folder / "report.html", "--samples", 2)
    return folder / "report.html"


@pytest.fixture(scope="module")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two recordings, which are shown whole, with true events above the found ones."""
    folder = tmp_path_factory.mktemp("small-page")
    tables = make_archive(folder, ["dog", "rain"], recordings=2, failed=1)
    (folder / "truth.csv").write_text("uri,label,onset_s,offset_s\n0.wav,dog,1,2\n")
    succeed("report", tables.path, "-o", folder / "report.html", "--truth", folder / "truth.csv")
    return folder / "report.html"


@pytest.fixture(scope="module")
def axe() -> str:
    package = find_spec("axe_core_python")
    assert package is not None
    assert package.submodule_search_locations
    return (Path(package.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(params=[("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)], ids=str)
def shown(request: pytest.FixtureRequest, browser: Any) -> Any:  # noqa: F811
    scheme, width = request.param
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield browser
    browser.get_log("browser")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("kind", ["page", "small_page"])
def test_it_breaks_no_rule_of_axe_and_fits_the_screen(
    shown: Any, axe: str, kind: str, request: pytest.FixtureRequest
) -> None:
    shown.get(request.getfixturevalue(kind).as_uri())
    shown.execute_script(axe)
    violations = shown.execute_async_script(
        """const done = arguments[0];
        for (const details of document.querySelectorAll('details')) details.open = true;
        axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations.map(
            rule => [rule.impact, rule.id, rule.nodes.map(node => node.html.slice(0, 200))])));"""
    )
    assert [rule for rule in violations if rule[0] in FORBIDDEN] == []
    wide, visible = shown.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= visible
    assert [entry["message"] for entry in shown.get_log("browser")] == []
    asked = shown.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in asked if not name.startswith("data:")] == []


def test_labels_open_and_close_by_the_keyboard(browser: Any, page: Path) -> None:  # noqa: F811
    from selenium.webdriver.common.keys import Keys

    browser.get(page.as_uri())
    label = browser.find_element("css selector", "details.label")
    assert label.get_attribute("open")
    label.find_element("css selector", "summary").send_keys(Keys.ENTER)
    assert not label.get_attribute("open")


def test_pictures_are_drawn_and_sounds_play_when_asked(browser: Any, page: Path) -> None:  # noqa: F811
    browser.get(page.as_uri())
    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 6
    assert min(widths) > 50
    durations = browser.execute_async_script(
        """const done = arguments[0];
        Promise.all([...document.querySelectorAll('audio')].map(audio => new Promise(heard => {
            audio.preload = 'metadata';
            audio.addEventListener('loadedmetadata', () => heard(audio.duration));
            audio.load();
        }))).then(done);"""
    )
    assert all(3 < duration_s < 7 for duration_s in durations)


def test_of_many_labels_some_are_found_by_name(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    tables = make_archive(tmp_path, [f"label {number}" for number in range(120)], recordings=25, events_a_label=1)
    succeed("report", tables.path, "-o", tmp_path / "report.html", "--samples", 0)
    browser.get((tmp_path / "report.html").as_uri())
    browser.find_element("css selector", ".find input").send_keys("LABEL 11")
    visible = [card for card in browser.find_elements("css selector", "details.label") if card.is_displayed()]
    names = {card.find_element("css selector", "h4").text for card in visible}
    assert names == {f"label {number}" for number in (11, *range(110, 120))}
