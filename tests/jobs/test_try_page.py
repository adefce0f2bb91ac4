"""``hubbub try`` in a real browser: files, the microphone, sliders, the keyboard alone, narrow, dark, for everybody."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from hubbub.audio.decode import load_audio
from tests.browser import NEEDED, SCREENSHOTS, find_faults
from tests.data.networks import write_frames, write_windows
from tests.jobs.command import COMMAND, refuse

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["<script>alert(1)</script>", "rain", "siren"]
RATE_HZ = 22_050
WAIT_S = 30

pytestmark = [
    NEEDED,
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("onnx") is None, reason="needs onnx: pip install 'hubbub[onnx]'"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, rules = tmp_path_factory.mktemp("models"), {"threshold": 0.7}
    by_frames = write_frames(folder / "frames", labels=LABELS, events=rules | {"min_duration_s": 0.05})
    by_windows = write_windows(folder / "windows", labels=LABELS, events={"threshold": 0.52})
    return [by_frames.rename(by_frames.with_name("by-frames.yaml")), by_windows.rename(folder / "windows" / "hop.yaml")]


@pytest.fixture(scope="module")
def recording(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dog, a chainsaw and a rooster, one after the other."""
    listed = pd.read_csv(esc10_mini / "esc10.csv").drop_duplicates("category").set_index("category")["filename"]
    parts = [np.zeros(RATE_HZ, np.float32)]
    for sound in ("dog", "chainsaw", "rooster"):
        samples = load_audio(esc10_mini / "audio" / listed[sound], sample_rate=RATE_HZ)[: 4 * RATE_HZ]
        parts += [samples / np.abs(samples).max() / 2, np.zeros(RATE_HZ, np.float32)]
    noise = np.random.default_rng(5).normal(0, 1e-3, sum(map(len, parts)))
    path = tmp_path_factory.mktemp("recordings") / "street <b>north.wav"
    soundfile.write(path, np.concatenate(parts) + noise, RATE_HZ, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def address(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server as a person starts it; it ends with Ctrl-C, and leaves nothing."""
    with serve(models, tmp_path_factory.mktemp("tmp")) as found:
        yield found


@contextmanager
def serve(models: list[Path], folder: Path, max_size_mb: int = 2) -> Iterator[str]:
    command = [str(COMMAND), "try", *map(str, models), "--no-browser", "--port", "0"]
    command += ["--max-size", str(max_size_mb)]
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        try:
            found = next(found for line in server.stdout if (found := re.search(r"http://\S+\?token=\S+", line)))
            yield found[0]
            assert len(list(folder.glob("hubbub-try-*"))) == 1
            server.send_signal(signal.SIGINT)
            said = server.communicate(timeout=WAIT_S)[0]
        finally:
            server.kill()  # where a test broke off
    assert server.returncode == 0
    assert "Traceback" not in said
    assert "recordings that were dropped are removed" in said
    assert not list(folder.glob("hubbub-try-*"))


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, opened anew; whatever it complains of fails the test."""
    browser.get(address)
    wait(browser, lambda: browser.execute_script("return document.body.dataset.ready"))
    yield browser
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.fixture
def scored(page: Any, recording: Path) -> Any:
    """The page with the recording given, and events of both models."""
    give(page, recording)
    wait_for_events(page)
    return page


def give(driver: Any, *files: Path) -> None:
    """Give files as a person does, and wait until the last of them is shown."""
    key = "return window.hubbub?.key"
    wait(driver, lambda: driver.execute_script("return document.body.dataset.ready"))
    before = driver.execute_script(key)
    find(driver, "#files")[0].send_keys("\n".join(map(str, files)))
    name = "return document.querySelector('#name')?.textContent"
    wait(driver, lambda: driver.execute_script(key) != before and driver.execute_script(name) == files[-1].name)


def find(driver: Any, selector: str) -> list[Any]:
    return driver.find_elements("css selector", selector)


def wait(driver: Any, holds: Callable[[], Any]) -> Any:
    """Wait until something holds; an element that was just replaced is looked for again."""
    from selenium.common.exceptions import StaleElementReferenceException

    until = time.monotonic() + WAIT_S
    while True:
        with suppress(StaleElementReferenceException):
            if found := holds():
                return found
        assert time.monotonic() < until, driver.execute_script("return document.body.innerText")
        time.sleep(0.05)


def wait_for_events(driver: Any, panels: int = 2) -> None:
    wait(driver, lambda: len(find(driver, "[data-events]")) == panels)
    drawn = (
        "return [...document.querySelectorAll('.viewer')].every(viewer => viewer.dataset.waiting === '0')"
        " && hubbub.panels.every(panel => panel.view.curves)"
    )
    wait(driver, lambda: driver.execute_script(drawn))


def count_events(driver: Any, model: int = 0) -> int:
    return int(find(driver, f"[data-model='{model}']")[0].get_attribute("data-events"))


def read_levels(driver: Any) -> list[int]:
    """Distinct colours of the first spectrogram."""
    script = """const c = document.querySelector('canvas.picture');
        const data = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
        return new Set(data).size"""
    return driver.execute_script(script)


def test_a_file_gives_scores_events_and_a_picture(scored: Any) -> None:
    assert "street <b>north.wav" in find(scored, "#name")[0].text
    for model in (0, 1):
        panel = find(scored, f"[data-model='{model}']")[0]
        rows = panel.find_elements("css selector", ".scores tbody tr")
        assert sorted(row.get_attribute("data-label") for row in rows) == sorted(LABELS)
        peaks = [float(row.find_element("css selector", "b").text) for row in rows]
        assert peaks == sorted(peaks, reverse=True)
        listed = panel.find_elements("css selector", ".part-events tbody tr")
        assert len(listed) == count_events(scored, model) > 0
    assert LABELS[0] in find(scored, "main")[0].text  # as text
    assert find(scored, "main script") == []
    assert read_levels(scored) > 50
    assert any("Hz" in band.text for band in find(scored, ".bands span"))
    left = [box.rect["x"] for box in find(scored, ".panels > section")]
    assert left[0] < left[1]  # side by side
    sent = scored.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert {name.split("/")[2].partition(":")[0] for name in sent} == {"127.0.0.1"}
    assert find(scored, "a[download]")[0].get_attribute("href").endswith("/events.csv")


def test_a_slider_finds_events_again_and_the_model_s_own_come_back(scored: Any) -> None:
    before = count_events(scored)
    slider = find(scored, f"[data-model='0'] tr[data-label='{LABELS[1]}'] input[type=range]")[0]
    set_value = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    scored.execute_script(set_value, slider, "0.99")
    rows = "[data-model='0'] .part-events tbody th"
    wait(scored, lambda: LABELS[1] not in [row.text for row in find(scored, rows)])
    assert count_events(scored) < before
    assert "thresholds=" in find(scored, "[data-model='0'] a[download]")[0].get_attribute("href")
    scored.execute_script("document.querySelector('#reset-0').click()")  # wherever the page scrolls to
    wait(scored, lambda: count_events(scored) == before)
    scored.execute_script(set_value, find(scored, "[aria-label='Threshold of all labels, hop.yaml']")[0], "1")
    wait(scored, lambda: count_events(scored, 1) == 0)
    assert "No event at these thresholds" in find(scored, "[data-model='1']")[0].text


def test_the_cursor_is_in_step_and_views_move_together(scored: Any) -> None:
    scored.execute_script("hubbub.panels[1].view.show(1, 2)")
    assert (
        scored.execute_script("return hubbub.panels.map(panel => [panel.view.start, panel.view.length])")
        == [[1, 2]] * 2
    )
    find(scored, "#play")[0].click()
    wait(scored, lambda: scored.execute_script("return hubbub.player.isPlaying && hubbub.player.position() > 0.3"))
    # In a frame, after the page's own: a busy machine draws seldom.
    at_s, cursors = scored.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => "
        "done([hubbub.player.position(), hubbub.panels.map(panel => panel.view.cursor)]))"
    )
    assert cursors == pytest.approx([at_s] * 2, abs=0.1)
    find(scored, "#play")[0].click()
    assert not scored.execute_script("return hubbub.player.isPlaying")


def test_bad_files_and_large_ones_are_told_and_the_page_goes_on(page: Any, tmp_path: Path, recording: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "large.wav").write_bytes(bytes(3_000_000))
    give(page, tmp_path / "large.wav", recording, tmp_path / "text.wav")
    wait(page, lambda: len(find(page, "[data-state='failed'] .problem")) == 2)
    assert "DecodeError: text.wav is not audio that can be decoded" in find(page, "[data-state='failed']")[0].text
    assert "large.wav is larger than 2 MB" in find(page, "#problems")[0].text
    page.execute_script("[...document.querySelectorAll('.sounds button')].at(-2).click()")
    wait_for_events(page)
    assert find(page, "#name")[0].text == "street <b>north.wav"
    assert find(page, ".sounds button[aria-pressed='true']")[0].text == "street <b>north.wav"


def test_the_microphone_is_recorded_and_scored(page: Any) -> None:
    find(page, "#record")[0].click()
    wait(page, lambda: find(page, "#record.recording"))
    wait(page, lambda: find(page, "#level")[0].text.strip() >= "0:02")
    find(page, "#record")[0].click()
    wait(page, lambda: find(page, "#name") and find(page, "#name")[0].text.startswith("microphone"))
    wait_for_events(page)
    told = page.execute_script("return hubbub.told")
    assert 1.5 < told["duration_s"] < 15
    assert told["sample_rate"] >= 16_000
    heard = """const done = arguments[0];
        const context = new OfflineAudioContext(1, 1, hubbub.told.sample_rate);
        fetch(`/api/try/sounds/${hubbub.key}/sound?start=0&length=${hubbub.told.duration_s}`)
            .then(answer => answer.arrayBuffer()).then(data => context.decodeAudioData(data))
            .then(sound => done(Math.max(...sound.getChannelData(0))))"""
    assert page.execute_async_script(heard) > 0.05  # the beeps of the pretended microphone


def test_it_works_by_keyboard_alone(scored: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(scored).send_keys(*keys).perform()

    def tab_to(selector: str) -> None:
        for _ in range(80):
            if scored.execute_script("return document.activeElement.matches(arguments[0])", selector):
                return
            press(Keys.TAB)
        raise AssertionError(f"{selector} is not reached by Tab")

    scored.execute_script("document.activeElement.blur()")
    for selector in ("#files", "#record", "#play"):
        tab_to(selector)
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert scored.execute_script(outline) == "solid"
    press(Keys.SPACE)
    wait(scored, lambda: scored.execute_script("return hubbub.player.isPlaying"))
    press(Keys.SPACE)
    wait(scored, lambda: not scored.execute_script("return hubbub.player.isPlaying"))
    tab_to(".viewer")
    press("+")
    assert scored.execute_script("return hubbub.panels[0].view.length") == pytest.approx(8)
    before = count_events(scored)
    tab_to(".scores input[type=range]")
    press(Keys.END)
    wait(scored, lambda: count_events(scored) < before)
    tab_to(".part-events button")
    press(Keys.ENTER)
    wait(scored, lambda: scored.execute_script("return hubbub.player.isPlaying"))
    tab_to("a[download]")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (720, False), (400, True)])
def test_it_fits_and_everybody_can_use_it(scored: Any, width: int, dark: bool) -> None:
    size = {"width": width, "height": 1150, "deviceScaleFactor": 1, "mobile": False}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    scored.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scored.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    wait_for_events(scored)
    wide, visible = scored.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= visible
    left = [box.rect["x"] for box in find(scored, ".panels > section")]
    assert (left[0] == left[1]) is (width < 700)
    assert find_faults(scored) == []


def test_its_picture_for_the_documentation(browser: Any, models: list[Path], recording: Path, tmp_path: Path) -> None:
    """``HUBBUB_SCREENSHOTS=MODEL`` writes the one in the documentation, of that model; else it goes where tests do."""
    asked = Path(os.environ.get(SCREENSHOTS, "."))
    is_model = asked.is_dir() and (asked / "bundle.json").exists()
    folder, shown = (ROOT / "docs" / "_static", [asked]) if is_model else (tmp_path, models[:1])
    street = shutil.copy(recording, tmp_path / "street.wav")
    with serve(shown, tmp_path, 200) as address:
        browser.get(address)
        give(browser, Path(street))
        wait_for_events(browser, 1)
        size = {"width": 1080, "height": 1520, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        time.sleep(0.5)
        wait_for_events(browser, 1)
        assert browser.save_screenshot(str(folder / "try.png"))
        browser.get("about:blank")


def test_what_cannot_be_served_is_refused_in_words(models: list[Path], tmp_path: Path) -> None:
    import socket

    assert "is no model bundle" in refuse("try", tmp_path / "nowhere", "--no-browser")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refuse("try", models[0], "--no-browser", "--port", port)
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use; give another --port" in said
