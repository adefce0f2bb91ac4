"""A real Chromium for the tests of pages: opened, looked at, and asked whether everybody can use what it shows."""

from __future__ import annotations

import importlib.resources
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
NEEDED = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs Chromium and its driver: apt install chromium chromium-driver"
)

WIDE, NARROW = (1280, 900), (400, 800)

SCREENSHOTS = "HUBBUB_SCREENSHOTS"
"""The variable of the environment with which tests renew the pictures in docs/."""

_WORDS = ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run")


@contextmanager
def open_chromium(words: Sequence[str] = ()) -> Iterator[Any]:
    """Open a browser, with more words of its command line."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (*_WORDS, *words):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def resize(driver: Any, size: tuple[int, int]) -> None:
    """Give the page a size in pixels; windows are never as narrow as a telephone."""
    values = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", values)


def prefer(driver: Any, scheme: str) -> None:
    """Ask for dark or light."""
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def list_complaints(driver: Any) -> list[str]:
    """What the console complains of since it was last asked."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def find_faults(driver: Any) -> list[str]:
    """Faults that keep people from using the page, which axe-core calls serious or critical, one line each."""
    driver.execute_script(importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    found = driver.execute_async_script(
        "const done = arguments[0]; axe.run().then(done, error => done(String(error)));"
    )
    assert isinstance(found, dict), found
    return [
        f"{fault['id']} ({fault['impact']}): {fault['help']}: {node['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"][:3]
    ]


def find_overflowing(driver: Any) -> list[str]:
    """Elements that reach beyond the window's edge, where the page is wider than its window."""
    return driver.execute_script(
        """const root = document.documentElement;
        if (root.scrollWidth <= root.clientWidth) return [];
        const wide = [...document.querySelectorAll('body *')]
            .filter(one => one.getBoundingClientRect().right > root.clientWidth && !one.closest('.scroll'))
            .map(one => `${one.tagName}.${one.getAttribute('class')} to ${one.getBoundingClientRect().right}`);
        return [`the page is ${root.scrollWidth} px wide, its window ${root.clientWidth}`, ...wide];"""
    )


def take_picture(driver: Any, name: str, folder: Path, docs: Path) -> Path:
    """Take a picture of the whole page: into `docs` where `SCREENSHOTS` is set, else into `folder`."""
    height = driver.execute_script("return document.documentElement.scrollHeight")
    width = driver.execute_script("return window.innerWidth")
    resize(driver, (width, min(int(height), 2400)))
    path = (docs if os.environ.get(SCREENSHOTS) else folder) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(path))
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    return path
