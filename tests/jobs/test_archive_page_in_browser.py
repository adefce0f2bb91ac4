"""The page of an archive in a real browser: usable in both schemes, on a narrow screen, by the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser import NEEDED, find_faults, find_overflowing, prefer, resize
from tests.jobs.command import succeed
from tests.lib.report.test_archive_page import make_archive

pytestmark = [NEEDED, pytest.mark.browser]


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


@pytest.fixture(params=[("light", 1280), ("dark", 400)], ids=str)
def shown(request: pytest.FixtureRequest, browser: Any) -> Any:
    scheme, width = request.param
    prefer(browser, scheme)
    resize(browser, (width, 900))
    yield browser
    browser.get_log("browser")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("kind", ["page", "small_page"])
def test_it_breaks_no_rule_of_axe_and_fits_the_screen(shown: Any, kind: str, request: pytest.FixtureRequest) -> None:
    shown.get(request.getfixturevalue(kind).as_uri())
    shown.execute_script("for (const details of document.querySelectorAll('details')) details.open = true;")
    assert find_faults(shown) == []
    assert find_overflowing(shown) == []
    assert [entry["message"] for entry in shown.get_log("browser")] == []
    asked = shown.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in asked if not name.startswith("data:")] == []


def test_labels_open_and_close_by_the_keyboard(browser: Any, page: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(page.as_uri())
    label = browser.find_element("css selector", "details.label")
    assert label.get_attribute("open")
    label.find_element("css selector", "summary").send_keys(Keys.ENTER)
    assert not label.get_attribute("open")


def test_pictures_are_drawn_and_sounds_play_when_asked(browser: Any, page: Path) -> None:
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


def test_of_many_labels_some_are_found_by_name(browser: Any, tmp_path: Path) -> None:
    tables = make_archive(tmp_path, [f"label {number}" for number in range(120)], recordings=25, events_a_label=1)
    succeed("report", tables.path, "-o", tmp_path / "report.html", "--samples", 0)
    browser.get((tmp_path / "report.html").as_uri())
    browser.find_element("css selector", ".find input").send_keys("LABEL 11")
    visible = [card for card in browser.find_elements("css selector", "details.label") if card.is_displayed()]
    names = {card.find_element("css selector", "h4").text for card in visible}
    assert names == {f"label {number}" for number in (11, *range(110, 120))}
