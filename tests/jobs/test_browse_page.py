"""`hubbub browse` in a real browser: every page, by keyboard alone, in dark and light, wide and narrow, in step."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from hubbub.labels.reviews.journal import ReviewJournal
from hubbub.labels.reviews.reading import current_verdicts, read_reviews
from hubbub.labels.reviews.schema import Verdict, identify_event
from hubbub.labels.tables import LabelTables
from tests.browser import (
    NARROW,
    NEEDED,
    WIDE,
    find_faults,
    find_overflowing,
    list_complaints,
    open_chromium,
    prefer,
    resize,
    take_picture,
)
from tests.chaos.processes import wait_until
from tests.jobs.command import COMMAND, succeed
from tests.lib.web.city import make_city
from tests.lib.web.tables_to_browse import LABELS, make_file, make_tables, write_unit

pytestmark = [NEEDED, pytest.mark.browser, pytest.mark.xdist_group("browser")]

PAGES = ("/", "/recordings", "/recording", "/review", "/verdicts")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "_static" / "browse"
HOUR = "hour.flac"
SLOPE_HZ, LOWEST_HZ = 300.0, 400.0  # of a tone that rises for ten seconds and begins again


@dataclass
class Browse:
    """A running `hubbub browse`."""

    process: subprocess.Popen
    address: str
    tables: LabelTables

    @property
    def base(self) -> str:
        return self.address.partition("/?")[0]


@contextmanager
def serving(
    tables: LabelTables,
    *words: object,
    port: int = 0,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Browse]:
    """Run the command, in `folder` with the tables' path from there, so that no picture shows where a test ran.

    It opens no browser but one that `environment` names.
    """
    path = tables.path if folder is None else Path(str(tables.path)).relative_to(folder)
    browser = "--browser" if environment and "BROWSER" in environment else "--no-browser"
    command = [str(COMMAND), "browse", str(path), browser, "--port", str(port), *map(str, words)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=os.environ | (environment or {}),
    )
    assert process.stdout is not None
    line = next((line for line in process.stdout if "token=" in line), None)
    assert line is not None, process.wait()
    try:
        yield Browse(process, line.split()[-1], tables)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> LabelTables:
    """Eleven short recordings, and an hour whose tone tells its time."""
    tables = make_tables(tmp_path_factory.mktemp("browse") / "labels", files=11, units=4, sound=True)
    rate, at_s = 8000, np.arange(3600 * 8000) / 8000
    since_s = at_s % 10
    tone = 0.3 * np.sin(2 * np.pi * (LOWEST_HZ * since_s + SLOPE_HZ * since_s**2 / 2))
    soundfile.write(Path(str(tables.root)) / HOUR, tone.astype(np.float32), rate, subtype="PCM_16")
    hour = make_file(30, uri=HOUR, duration_s=3600.0, windows=720, clip_id="e" * 32)
    write_unit(tables, 8, [hour], events=120)
    return tables


@pytest.fixture(scope="module")
def truth(tables: LabelTables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("truth") / "truth.csv"
    rows = [f"{HOUR},dog,{start},{start + 2}" for start in (1.0, 10.0, 3595.0)]
    path.write_text("uri,label,onset_s,offset_s\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def browse(tables: LabelTables, truth: Path) -> Iterator[Browse]:
    with serving(tables, "--truth", truth) as running:
        yield running


def test_the_browser_is_started_with_an_address_of_its_own(tmp_path: Path) -> None:
    """Which everybody on the machine can see, and which lets in once; the one that is printed stays good."""
    seen, script = tmp_path / "seen", tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {seen}.new; mv {seen}.new {seen}\n')
    script.chmod(0o755)
    tables = make_tables(tmp_path / "labels", files=1, units=1)
    with serving(tables, environment={"BROWSER": f"{script} %s"}) as running:
        wait_until(seen.exists, "a browser")
        once = seen.read_text().strip()
        assert once.partition("token=")[0] == running.address.partition("token=")[0]
        assert [httpx.get(once).status_code for _ in range(2)] == [303, 403]
        assert [httpx.get(running.address).status_code for _ in range(2)] == [303, 303]


@pytest.fixture(scope="module")
def driver(browse: Browse) -> Iterator[Any]:
    with open_chromium(["autoplay-policy=no-user-gesture-required"]) as opened:
        opened.get(browse.address)
        introduce(opened, "ada")
        yield opened


def wait(driver: Any, script: str, timeout_s: float = 20.0) -> Any:
    """Wait until a script returns something."""
    end = time.monotonic() + timeout_s
    while not (found := driver.execute_script(f"return {script}")):
        assert time.monotonic() < end, f"not in {timeout_s:g} s: {script}\n{list_complaints(driver)}"
        time.sleep(0.02)
    return found


def introduce(driver: Any, reviewer: str) -> None:
    """Say who reviews, and that nothing plays by itself."""
    script = "localStorage.setItem('hubbub-reviewer', arguments[0]); localStorage.setItem('hubbub-autoplay', 'no')"
    driver.execute_script(script, reviewer)


def file_of(uri: str) -> str:
    return hashlib.md5(uri.encode()).hexdigest()[:16]


READY = {
    "/": "document.querySelector('#page').dataset.ready",
    "/recordings": "document.querySelector('tbody tr')",
    "/recording": "document.querySelector('.viewer')?.dataset.waiting === '0' && window.hubbub?.view.curves",
    "/review": "document.querySelector('#page').dataset.card && "
    "document.querySelector('.viewer')?.dataset.waiting === '0'",
    "/verdicts": "document.querySelector('#page').dataset.ready",
}


def show(driver: Any, browse: Browse, page: str, query: str = "") -> None:
    query = query or (f"file={file_of(HOUR)}&at=20&span=30" if page == "/recording" else "")
    driver.get(f"{browse.base}{page}?{query}")
    wait(driver, READY[page])


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(driver).send_keys(key).perform()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_complains_of_nothing_asks_nobody_else_and_shows_labels_as_text(page, driver, browse) -> None:
    resize(driver, WIDE)
    list_complaints(driver)
    show(driver, browse, page)
    assert list_complaints(driver) == []
    asked = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in asked if not name.startswith((browse.base, "blob:", "data:"))] == []
    assert driver.execute_script("return document.scripts.length") == 1
    if page in ("/", "/recording"):
        assert LABELS[2] in driver.find_element("tag name", "body").text


@pytest.mark.parametrize("page", PAGES)
def test_everybody_can_use_a_page_wide_and_narrow_dark_and_light(page, driver, browse) -> None:
    for scheme, size in (("light", WIDE), ("dark", NARROW)):
        prefer(driver, scheme)
        resize(driver, size)
        show(driver, browse, page)
        assert find_faults(driver) == []
        assert find_overflowing(driver) == []
    prefer(driver, "light")
    resize(driver, WIDE)


def judge_events(tables: LabelTables) -> None:
    """Two people judge the events, most of them in the same way."""
    rng = np.random.default_rng(0)
    journals = [ReviewJournal(tables.path, name) for name in ("ada", "bo")]
    for event in tables.events().to_dict("records"):
        is_right = rng.random() < event["peak"] ** 3
        name = identify_event(event["clip_id"], event["label"], event["onset_s"], event["offset_s"])
        where = {key: event[key] for key in ("uri", "clip_id", "onset_s", "offset_s")}
        for journal in journals:
            said = is_right if rng.random() < 0.96 else not is_right
            verdict = {"verdict": "yes" if said else "no", "label": event["label"] if said else None}
            given = {"kind": "event", "event_label": event["label"], "score": event["peak"], "source": "random"}
            if rng.random() < 0.9:
                journal.add(Verdict(name, **where, **verdict, **given))
    for journal in journals:
        journal.close()


@pytest.mark.slow
def test_pictures_of_every_page_are_taken_for_the_docs(driver, esc10_mini, tmp_path) -> None:
    """Of real sounds, most of the events judged; docs/ has them where `HUBBUB_SCREENSHOTS` is set."""
    tables = make_city(tmp_path, esc10_mini, recordings=24, clips_each=10)
    judge_events(tables)
    first = file_of(tables.events()["uri"].iloc[0])
    with serving(tables, "--timezone", "Europe/Berlin", folder=tmp_path) as city:
        driver.get(city.address)
        introduce(driver, "cy")
        for scheme, size, page in [
            *(("light", WIDE, page) for page in PAGES),
            ("dark", WIDE, "/recording"),
            ("light", NARROW, "/review"),
        ]:
            prefer(driver, scheme)
            resize(driver, size)
            show(driver, city, page, f"file={first}&at=15&span=30" if page == "/recording" else "")
            name = {"/": "overview"}.get(page, page.strip("/"))
            suffix = "-narrow" if size == NARROW else "-dark" if scheme == "dark" else ""
            picture = Image.open(take_picture(driver, name + suffix, tmp_path, DOCS))
            assert picture.width == size[0]
            assert len(set(picture.convert("L").resize((64, 64)).getdata())) > 20  # something is drawn
    prefer(driver, "light")
    resize(driver, WIDE)


def test_a_threshold_that_is_dragged_moves_the_count_and_is_saved_as_rules(driver, browse, tables) -> None:
    from selenium.webdriver.common.keys import Keys

    show(driver, browse, "/")
    label = driver.execute_script(
        "return document.querySelector('#threshold').getAttribute('aria-label')"
    ).removeprefix("Threshold of ")
    slider = driver.find_element("id", "threshold")
    driver.execute_script("arguments[0].focus()", slider)
    press(driver, *[Keys.ARROW_RIGHT] * 20)  # 0.50 to 0.70
    text = driver.find_element("css selector", ".counted").text
    events = tables.events()
    own = events[events["label"] == label]["peak"]
    bins = np.histogram(own, 50, (0, 1))[0]
    assert text.startswith(f"{bins[35:].sum()} of {len(own)} events")
    driver.find_element("css selector", "button.primary").click()
    saved = wait(driver, "document.querySelector('#saved code')?.textContent")
    assert (Path(str(tables.path)) / "rules.yaml").is_file()
    assert saved == f"hubbub events {tables.path} --rules {tables.path}/rules.yaml"
    (Path(str(tables.path)) / "rules.yaml").unlink()


def test_filters_change_every_number_and_stay_in_the_address(driver, browse, tables) -> None:
    show(driver, browse, "/")
    button = driver.find_element("xpath", "//table[@class='bars']//button[text()='dog']")
    driver.execute_script("arguments[0].focus()", button)
    press(driver, "\ue007")  # Enter
    wait(driver, "document.querySelector('#page').dataset.ready === '2'")
    dog = int((tables.events()["label"] == "dog").sum())
    assert f"{dog} events fit the filter" in driver.find_element("tag name", "body").text.replace("\u202f", "")
    driver.refresh()
    wait(driver, READY["/"])
    assert f"{dog} events fit the filter" in driver.find_element("tag name", "body").text.replace("\u202f", "")


@pytest.mark.parametrize("from_s", [*(pytest.param(at_s, marks=pytest.mark.slow) for at_s in (0.0, 1795.0)), 3574.0])
def test_the_cursor_is_in_step_with_what_is_heard_on_an_hour(from_s: float, driver, browse) -> None:
    """The tone that is heard tells its time; the cursor is read at the same moment, over two seams of pieces."""
    show(driver, browse, "/recording")
    driver.execute_script("window.hubbub.player.play(arguments[0])", from_s)
    wait(driver, "window.hubbub.player.playing?.scheduled > arguments.length && window.hubbub.player.position() > 0")
    off, drawn = driver.execute_async_script(
        """const [from, slope, lowest, done] = arguments;
        const { player, view } = window.hubbub;
        const drawn = [];
        (function frame() { // after the page's own, however seldom a busy machine draws
            if (player.isPlaying) drawn.push(view.cursor - player.position());
            requestAnimationFrame(frame);
        })();
        const run = player.playing;
        run.analyser.fftSize = 1024;
        run.analyser.smoothingTimeConstant = 0;
        const bins = new Float32Array(run.analyser.frequencyBinCount);
        const found = [];
        const began = performance.now();
        (function look() {
            run.analyser.getFloatFrequencyData(bins);
            const position = player.position();
            let top = 0;
            for (let bin = 1; bin < bins.length; bin += 1) if (bins[bin] > bins[top]) top = bin;
            const since = position % 10;
            // Not where the tone begins anew: there the window of 0.13 s holds two.
            if (bins[top] > -60 && since > 0.4 && since < 9.6 && position > from + 0.3)
                found.push([
                    position,
                    (top * run.context.sampleRate / 1024 - lowest) / slope - (since - 0.064),
                ]);
            if (performance.now() - began < 18500) setTimeout(look, 50);
            else { player.stop(); done([found, drawn]); }
        })();""",
        from_s,
        SLOPE_HZ,
        LOWEST_HZ,
    )
    positions, heard = np.array(off).T
    assert len(off) > 30
    assert positions.max() - positions.min() > 15  # two seams of eight seconds
    assert np.abs(heard).max() < 0.15
    late = heard[positions > positions.max() - 4].mean() - heard[positions < positions.min() + 4].mean()
    assert abs(late) < 0.03  # no drift
    assert len(drawn) > 30
    assert np.median(np.abs(drawn)) < 0.02  # where it was when the frame was drawn


def test_the_spectrogram_zooms_from_the_hour_to_a_moment_by_keyboard(driver, browse) -> None:
    show(driver, browse, "/recording", f"file={file_of(HOUR)}&at=1800&span=3600")
    driver.execute_script("document.querySelector('.viewer').focus()")
    press(driver, *["+"] * 12)
    wait(driver, READY["/recording"])
    assert driver.execute_script("return window.hubbub.view.length") < 1.0
    press(driver, "\ue014", "\ue014")  # to the right
    assert driver.execute_script("return window.hubbub.view.start") > 1799.5
    press(driver, "0")
    wait(driver, "window.hubbub.view.length === 3600")


@pytest.mark.parametrize("count", [pytest.param(100, marks=pytest.mark.slow), 15])
def test_events_are_reviewed_by_keyboard_and_give_a_threshold(count: int, driver, browse, tables) -> None:
    """A person who says yes to high scores more often than to low ones, at more than sixty a minute."""
    from selenium.webdriver.common.keys import Keys

    reviewer = f"number {count}"
    introduce(driver, reviewer)
    show(driver, browse, "/review")
    rng = np.random.default_rng(0)
    began = time.monotonic()
    undone = 0
    for number in range(count):
        event = wait(driver, "document.querySelector('#page').dataset.card")
        peak = driver.execute_script("return window.hubbub.shown.card.peak")
        right = rng.random() < 1 / (1 + np.exp(-14 * (peak - 0.68)))
        press(driver, Keys.ARROW_RIGHT if right else Keys.ARROW_LEFT)
        wait(driver, f"document.querySelector('#page').dataset.card !== '{event}'")
        if number % 25 == 10:  # taken back, and said again
            press(driver, Keys.ARROW_UP)
            wait(driver, f"document.querySelector('#page').dataset.card === '{event}'")
            press(driver, Keys.ARROW_RIGHT if right else Keys.ARROW_LEFT)
            wait(driver, f"document.querySelector('#page').dataset.card !== '{event}'")
            undone += 1
    took_s = time.monotonic() - began
    wait(driver, "window.hubbub.queue.length === 0")
    kept = read_reviews(tables.path)
    kept = kept[kept["reviewer"] == reviewer]
    assert len(kept) == count + 2 * undone
    assert len(current_verdicts(kept)) == count
    if count == 100:
        assert took_s < count  # sixty a minute
    introduce(driver, "ada")
    show(driver, browse, "/verdicts", "precision=0.8")
    text = driver.find_element("tag name", "body").text
    assert f"{len(read_reviews(tables.path))} decisions" in text
    if count == 100:
        assert "At a threshold of" in text
    done = succeed("events", tables.path, "--from-reviews", "--precision", "0.8", own_process=True)
    assert "dog" in done


def test_scores_can_be_hidden_so_that_they_sway_nobody(driver, browse) -> None:
    introduce(driver, "blind")
    show(driver, browse, "/review", "label=dog")
    wait(driver, "document.querySelector('#page').dataset.card")
    assert "score 0." in driver.find_element("id", "card").text
    driver.find_element("id", "scores").click()
    assert "score" not in driver.find_element("id", "card").text
    assert driver.execute_script("return window.hubbub.shown.view.events.every(event => event.peak === undefined)")
    show(driver, browse, "/review", "label=dog")  # it is kept
    wait(driver, "document.querySelector('#page').dataset.card")
    assert "score" not in driver.find_element("id", "card").text
    driver.find_element("id", "scores").click()
    assert "score 0." in driver.find_element("id", "card").text
    event = driver.execute_script("return document.querySelector('#page').dataset.card")
    press(driver, "\ue015")  # down: the box has not kept the keys
    wait(driver, f"document.querySelector('#page').dataset.card !== '{event}' && window.hubbub.queue.length === 0")


def test_digits_name_another_class_and_unsure_is_kept(driver, browse, tables) -> None:
    from selenium.webdriver.common.keys import Keys

    introduce(driver, "digits")
    show(driver, browse, "/review", "label=dog")
    event = wait(driver, "document.querySelector('#page').dataset.card")
    for key in ("3", "1", Keys.ARROW_DOWN):  # the third class; the first, which is what is asked; unsure
        press(driver, key)
        wait(driver, f"document.querySelector('#page').dataset.card !== '{event}'")
        event = wait(driver, "document.querySelector('#page').dataset.card")
    wait(driver, "window.hubbub.judged === 3 && window.hubbub.queue.length === 0")
    kept = read_reviews(tables.path)
    kept = kept[kept["reviewer"] == "digits"]
    assert kept["verdict"].tolist() == ["no", "yes", "unsure"]
    assert kept["label"].tolist()[:2] == [LABELS[2], "dog"]
    introduce(driver, "ada")


def test_verdicts_wait_for_a_server_that_is_away_and_none_is_lost(tmp_path: Path) -> None:
    """The server is killed in mid-review, and comes back on its port: the page sends what it has."""
    from selenium.webdriver.common.keys import Keys

    tables = make_tables(tmp_path / "labels", files=5, units=2, sound=True)
    with open_chromium() as driver:
        with serving(tables) as first:
            driver.get(first.address)
            introduce(driver, "ada")
            show(driver, first, "/review")
            port = int(first.base.rpartition(":")[2])
            press(driver, Keys.ARROW_RIGHT)
            wait(driver, "window.hubbub.judged === 1 && window.hubbub.queue.length === 0")
            first.process.kill()
            first.process.wait()
            press(driver, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
            wait(driver, "window.hubbub.queue.length === 2")
            assert "2 verdicts not kept yet" in wait(driver, "document.querySelector('#trouble')?.textContent")
        assert len(read_reviews(tables.path)) == 1
        with serving(tables, port=port) as second:
            # The new server has another token: a second tab lets the browser in again, while the first goes on.
            page = driver.current_window_handle
            driver.switch_to.new_window("tab")
            driver.get(second.address)
            driver.switch_to.window(page)
            wait(driver, "window.hubbub.queue.length === 0")
    assert read_reviews(tables.path)["verdict"].tolist() == ["yes", "yes", "no"]


@pytest.mark.slow
def test_a_page_that_is_closed_before_its_server_answers_loses_no_verdict(tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    tables = make_tables(tmp_path / "labels", files=5, units=2, sound=True)
    with open_chromium() as driver:
        with serving(tables) as first:
            driver.get(first.address)
            introduce(driver, "ada")
            show(driver, first, "/review")
            port = int(first.base.rpartition(":")[2])
            first.process.kill()
            first.process.wait()
            press(driver, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
            wait(driver, "window.hubbub.queue.length === 2")
        closed = driver.current_window_handle
        driver.switch_to.new_window("tab")
        page = driver.current_window_handle
        driver.switch_to.window(closed)
        driver.execute_cdp_cmd("Page.close", {})  # without asking, as a crash
        driver.switch_to.window(page)
        with serving(tables, port=port) as second:
            driver.get(second.address)
            driver.get(f"{second.base}/review")
            wait(driver, "window.hubbub?.queue?.length === 0")
            assert read_reviews(tables.path)["verdict"].tolist() == ["yes", "no"]
            assert (
                driver.execute_script("return Object.keys(localStorage).filter(key => key.includes('waiting'))") == []
            )


def test_recordings_that_vanished_are_told_and_the_rest_works(tmp_path: Path, driver: Any) -> None:
    tables = make_tables(tmp_path / "labels", files=5, units=2, sound=True)
    uri = make_file(0)["uri"]
    (Path(str(tables.root)) / uri).unlink()
    with serving(tables) as gone:
        driver.get(gone.address)
        driver.get(f"{gone.base}/recording?file={file_of(uri)}")
        said = wait(driver, "document.querySelector('.problem')?.textContent")
        assert "it moved or was removed; --root DIR" in said
        wait(driver, "document.querySelectorAll('tbody tr').length > 0")  # its events are listed
        wait(driver, "window.hubbub?.view.curves")  # and its scores drawn
        introduce(driver, "ada")
        driver.get(f"{gone.base}/review")
        wait(driver, "document.querySelector('#page').dataset.card")


def test_the_page_follows_tables_that_grow(tmp_path: Path, driver: Any) -> None:
    tables = make_tables(tmp_path / "labels", files=4, units=1)
    tables.begin(5)
    with serving(tables) as growing:
        driver.get(growing.address)
        show(driver, growing, "/")
        assert "1 file not labelled yet" in wait(driver, "document.querySelector('.notice')?.textContent")
        before = len(tables.events())
        write_unit(tables, 5, [make_file(9)])
        wait(
            driver, f"document.body.innerText.replaceAll('\\u202f', '').includes('{before + 6} events fit the filter')"
        )


def test_five_hundred_classes_and_none_with_an_event(tmp_path: Path, driver: Any) -> None:
    labels = [f"class {number:03d}" for number in range(500)]
    rules = {label: {"threshold": 0.5, "release": 0.35, "min_duration_s": 0.0, "merge_gap_s": 0.0} for label in labels}
    tables = make_tables(tmp_path / "labels", files=0, units=0, labels=labels, rules=rules)
    write_unit(tables, 0, [make_file(0)], events=0)
    with serving(tables) as many:
        driver.get(many.address)
        show(driver, many, "/")
        button = driver.find_element("xpath", "//button[text()='Show all 500 classes']")
        driver.execute_script("arguments[0].click()", button)
        assert driver.execute_script("return document.querySelectorAll('.bars tbody tr').length") >= 500
        introduce(driver, "ada")
        driver.get(f"{many.base}/review")
        wait(driver, "document.body.innerText.includes('No event fits')")
