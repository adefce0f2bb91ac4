"""The report in a real browser: it shows, it sounds, it follows a click, and it asks the network for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser import NEEDED
from tests.jobs.command import succeed

pytestmark = [NEEDED, pytest.mark.browser]


@pytest.fixture(scope="module")
def page(labels: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    succeed("report", labels, clips, "-o", path, "--title", "In a browser")
    return path


@pytest.fixture
def shown(browser: Any, page: Path) -> Any:
    browser.get(page.as_uri())
    return browser


def test_it_loads_without_a_complaint_and_without_the_network(shown: Any, page: Path) -> None:
    assert shown.title == "In a browser"
    assert [entry["message"] for entry in shown.get_log("browser")] == []
    asked = shown.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in asked if not name.startswith("data:")] == []


def test_every_picture_is_drawn_and_every_sound_can_be_played(shown: Any) -> None:
    pictures = shown.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(pictures) == 12  # recordings that were labelled, and clips
    assert min(pictures) > 100
    durations = shown.execute_async_script(
        """const done = arguments[0];
        Promise.all([...document.querySelectorAll('audio')].map(audio => new Promise(heard => {
            if (audio.readyState >= 1) return heard(audio.duration);
            audio.addEventListener('loadedmetadata', () => heard(audio.duration));
            audio.load();
        }))).then(done);"""
    )
    assert len(durations) == 12
    assert all(3 < duration_s < 8 for duration_s in durations)


def test_a_click_on_the_picture_moves_the_sound_and_the_line(shown: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    surface = shown.find_element(By.CSS_SELECTOR, ".recording .seek")
    shown.execute_script("arguments[0].scrollIntoView({block: 'center'})", surface)
    ActionChains(shown).move_to_element(surface).click().perform()  # its middle
    at_s = "return document.querySelector('.recording audio').currentTime"
    WebDriverWait(shown, 20).until(lambda driver: driver.execute_script(at_s) > 0)
    shown_s = float(shown.find_element(By.CSS_SELECTOR, ".recording .figure").get_attribute("data-shown-s"))
    assert shown_s / 2 - 0.1 < shown.execute_script(at_s) <= shown_s
    left = shown.execute_script("return parseFloat(document.querySelector('.recording .playhead').style.left)")
    assert 45 < left <= 100


@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_hangs_over_the_edge(shown: Any, width: int) -> None:
    shown.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    wide, visible = shown.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= visible
