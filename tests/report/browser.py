"""The system's Chromium for tests of pages."""

import base64
import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def open_browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail(
            f"no {NAMES[0]} is installed, but reports are tested in it; install it (Debian: apt-get install chromium)."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Browser, file: Path, width: int = 1280, height: int = 900, scheme: str = "light"
) -> Iterator[Page]:
    """The page once it shows a frame; fails in the end if it had an error or asked the network for something."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: problems.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url[:100]))
    page.goto(file.as_uri())
    page.wait_for_selector("#frame[data-frame]")
    yield page
    assert problems == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    context.close()


def wait_for_frame(page: Page, number: int) -> None:
    """Wait until a frame is on the canvas."""
    page.wait_for_selector(f"#frame[data-frame='{number}']", timeout=10_000)


def shown_frame(page: Page, other_than: int | None = None) -> int:
    """Number of the frame on the canvas, once it is another one than ``other_than``."""
    if other_than is not None:
        page.wait_for_selector(f"#frame:not([data-frame='{other_than}'])", timeout=10_000)
    return int(page.get_attribute("#frame", "data-frame") or -1)


def pixels(page: Page, canvas: str = "#frame") -> np.ndarray:
    """What a canvas shows, int (h, w, 3)."""
    # As a file: reading pixels back makes Chromium write advice to the console.
    url = page.eval_on_selector(canvas, "canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")).astype(int)


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures of a canvas are not the same."""
    return one.shape != other.shape or bool((one != other).any())


def until(page: Page, expression: str) -> None:
    """Wait until a JavaScript expression is true; the page's policy forbids that the page itself evaluates it."""
    end = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(20)


def click_at(page: Page, selector: str) -> None:
    """Click in the middle of an element, whatever lies there, as a person does."""
    element = page.locator(selector)
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
