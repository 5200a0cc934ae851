import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from keras_vad.data.video import ArrayFrames, Video
from keras_vad.errors import VadError
from keras_vad.report import ReportedVideo, write_report
from keras_vad.scoring.series import VideoScores
from tests.report.browser import click_at, differ, open_browser, open_page, pixels, shown_frame, until, wait_for_frame

HOUR = 90_000  # frames
EVIL = "</script><script>throw new Error('escaped')</script><b>&amp;\"'"


def scores_of(n: int, peaks: tuple[int, ...], first: int = 0) -> VideoScores:
    """Bells of 0.9 around some frames above a level of 0.2; the maps are hot in the upper left corner there."""
    frame = np.arange(first, n)
    level = 0.2 + 0.01 * np.sin(frame / 5)
    for peak in peaks:
        level += 0.7 * np.exp(-(((frame - peak) / 12) ** 2))
    maps = np.full((len(frame), 8, 12), 0.1, np.float32)
    maps[:, :3, :4] += np.maximum(level - 0.4, 0)[:, None, None]
    parts = {"mean_error": (level * 3).astype(np.float32), "max_error": (1 - level).astype(np.float32)}
    return VideoScores(frame, (level * 10).astype(np.float32), level.astype(np.float32), parts, maps)


def gray_video(n: int, name: str, fps: float | None = 25.0) -> Video:
    """Frames that grow brighter and brighter."""
    frames = np.broadcast_to((np.arange(n) * 200 // n + 20).astype(np.uint8)[:, None, None, None], (n, 60, 90, 3))
    return Video(name, ArrayFrames(np.array(frames)), fps)


def data_of(file: Path, element: str = "data") -> dict:
    pattern = rf'<script type="application/json" id="{element}">(.*?)</script>'
    found = re.search(pattern, file.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled videos, the first without scores of its first four frames and with a name that is markup."""
    file = tmp_path_factory.mktemp("report") / "new" / "report.html"
    labels = np.zeros(400, bool)
    labels[90:130] = labels[290:330] = True
    videos = [
        ReportedVideo(gray_video(400, EVIL), scores_of(400, (110, 310), first=4), labels),
        ReportedVideo(gray_video(300, "calm", fps=None), scores_of(300, ()), np.zeros(300, bool)),
    ]
    write_report(file, videos, title=EVIL, about={EVIL: EVIL, "seed": 0, "log": ""}, config=EVIL)
    assert [path.name for path in file.parent.iterdir()] == ["report.html"]
    return file


def test_holds_figures_curves_and_frames(report: Path) -> None:
    data = data_of(report)
    first, second = data["videos"]
    assert (first["name"], first["length"], first["scored"], first["anomalous"]) == (EVIL, 400, 396, 80)
    assert first["truth"] == [[90, 130], [290, 330]]
    assert [event["peak"] for event in first["events"]] == [110, 310]
    assert first["shown"] == list(range(4, 400))
    assert [curve["name"] for curve in first["curves"]] == ["score", "raw score", "mean_error", "max_error"]
    np.testing.assert_allclose(first["curves"][0]["high"], scores_of(400, (110, 310), first=4).calibrated, rtol=1e-3)
    assert (second["events"], second["auroc"], second["truth"]) == ([], None, [])
    # By hand: the score is symmetric around 110 and 310, and the 40 frames around each are the highest.
    assert data["roc"]["auroc"] > 0.99
    false, true = data["roc"]["operating"]
    assert false == 0
    assert true == pytest.approx(scores_of(400, (110, 310)).alarm.sum() / 80)


def test_nothing_of_a_name_becomes_markup(report: Path, browser: Browser) -> None:
    with open_page(browser, report) as page:
        assert page.title() == EVIL
        assert page.inner_text("h1") == EVIL
        assert page.text_content("pre") == EVIL
        assert page.locator("#video-select option").first.text_content() == EVIL
        assert page.locator("b").count() == 0


def test_a_click_on_an_event_moves_the_frame(report: Path, browser: Browser) -> None:
    with open_page(browser, report) as page:
        before, picture = shown_frame(page), pixels(page)
        assert before in (110, 310)
        other = {110: 310, 310: 110}[before]
        click_at(page, f"#events tr[data-peak='{other}'] td >> nth=0")
        assert shown_frame(page, before) == other
        assert differ(pixels(page), picture)
        level = scores_of(400, (110, 310)).calibrated[other]
        assert float(page.inner_text("#level")) == pytest.approx(level, abs=0.006)
        assert page.get_attribute(f"#events tr[data-peak='{other}']", "aria-current") == "true"
        # Thumbnails are decoded once they are seen.
        until(page, "[...document.querySelectorAll('.thumb')].every(one => one.naturalWidth === 90)")


def test_overlay_toggles_and_is_where_the_map_is_hot(report: Path, browser: Browser) -> None:
    def hot_and_calm(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = picture.shape[:2]
        return picture[height // 10, width // 10], picture[8 * height // 10, 8 * width // 10]

    with open_page(browser, report) as page:
        on = pixels(page)
        hot, calm = hot_and_calm(on)
        assert hot[0] - hot[2] > 60  # yellow
        assert np.ptp(calm) <= 2  # the frame's gray
        page.keyboard.press("o")
        page.wait_for_selector("#frame[data-overlay=off]")
        assert not page.is_checked("#overlay")
        off = pixels(page)
        hot, again = hot_and_calm(off)
        assert np.ptp(hot) <= 2
        np.testing.assert_array_equal(again, calm)
        page.click("#overlay")
        page.wait_for_selector("#frame[data-overlay=on]")
        assert not differ(pixels(page), on)
        # Weaker, but there.
        page.focus("#strength")
        page.keyboard.press("Home")
        page.wait_for_selector("#frame[data-strength='0.1']")
        weak = hot_and_calm(pixels(page))[0]
        assert 0 < np.ptp(weak) < 40


def test_timeline_follows_the_pointer_and_keeps_the_click(report: Path, browser: Browser) -> None:
    with open_page(browser, report) as page:
        before = shown_frame(page)
        box = page.locator("#timeline").bounding_box()
        assert box is not None

        def point(frame: int) -> tuple[float, float]:
            return box["x"] + 8 + frame / 399 * (box["width"] - 16), box["y"] + 80

        page.mouse.move(*point(200))
        assert shown_frame(page, before) == pytest.approx(200, abs=1)
        page.mouse.move(box["x"] + 50, box["y"] - 120)
        wait_for_frame(page, before)
        page.mouse.click(*point(250))
        page.mouse.move(box["x"] + 50, box["y"] - 120)
        assert shown_frame(page, before) == pytest.approx(250, abs=1)
        assert int(page.get_attribute("#timeline", "aria-valuenow")) == pytest.approx(250, abs=1)
        assert page.get_attribute("#timeline", "role") == "slider"


def test_every_key_works(report: Path, browser: Browser) -> None:
    def press(key: str, expected: int) -> None:
        page.keyboard.press(key)
        wait_for_frame(page, expected)

    with open_page(browser, report) as page:
        page.focus("#timeline")
        for key, expected in (
            ("Home", 4), ("ArrowRight", 5), ("Shift+ArrowRight", 15), ("ArrowLeft", 14), ("n", 110), ("n", 310),
            ("n", 310), ("p", 110), ("End", 399), ("ArrowRight", 399), ("p", 310), ("Shift+ArrowLeft", 300),
        ):  # fmt: skip
            press(key, expected)
        page.keyboard.press("+")
        assert page.is_enabled("#zoom-all")
        page.keyboard.press("0")
        assert page.is_disabled("#zoom-all")
        page.keyboard.press("Space")
        until(page, "Number(document.getElementById('frame').dataset.frame) > 8")
        page.keyboard.press("Space")
        assert page.get_attribute("#play", "aria-label") == "play"
        # Rows are buttons: Tab reaches them, Enter chooses.
        page.focus("#events tr:nth-child(2) button")
        page.keyboard.press("Enter")
        wait_for_frame(page, 310)
        outline = "getComputedStyle(document.activeElement, '::after').outlineStyle"
        assert page.evaluate(outline) == "solid"


def test_videos_and_component_scores(report: Path, browser: Browser) -> None:
    with open_page(browser, report) as page:
        page.click("#chips button:has-text('mean error')")
        assert page.locator(".part").count() == 1
        rising = pixels(page, ".part canvas")
        page.click("#chips button:has-text('mean error')")
        page.click("#chips button:has-text('max error')")
        assert page.locator(".part").count() == 1
        assert differ(pixels(page, ".part canvas"), rising)
        timeline = pixels(page, "#curve")
        click_at(page, "#videos tr:has-text('calm') td >> nth=1")
        assert page.input_value("#video-select") == "1"
        assert page.is_visible("#no-events")
        assert page.is_disabled("#event-on")
        assert differ(pixels(page, "#curve"), timeline)
        assert "time" not in page.locator("#facts dt").all_inner_texts()
        page.select_option("#video-select", "0")
        assert page.locator("#events tr").count() == 2
        assert page.locator("#roc").is_visible()


@pytest.mark.parametrize("width", [360, 800, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_and_can_be_read(report: Path, browser: Browser, width: int, scheme: str) -> None:
    # Contrast of all text with the background behind it (WCAG 2.1, 1.4.3: 4.5 to 1).
    contrast = """() => {
      const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
      const light = rgb => rgb.slice(0, 3).map(v => v / 255)
        .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const behind = node => {
        for (; node; node = node.parentElement) {
          const rgba = parse(getComputedStyle(node).backgroundColor);
          if (rgba.length === 3 || rgba[3] === 1) return rgba;
        }
        return [255, 255, 255];
      };
      const low = [];
      for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some(one => one.nodeType === 3 && one.textContent.trim());
        if (!own || !node.checkVisibility() || node.disabled || node.closest('.unseen, script, style')) continue;
        const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) low.push([node.outerHTML.slice(0, 80), (a + .05) / (b + .05)]);
      }
      return low;
    }"""
    with open_page(browser, report, width=width, scheme=scheme) as page:
        for details in page.locator("summary").all():
            details.click()
        page.click("#chips button >> nth=0")
        page.wait_for_timeout(250)  # until colours have faded over
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(contrast) == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")


class CheapFrames:
    """An hour of noise, which compresses badly."""

    size, times = (120, 160), None

    def __init__(self) -> None:
        self.noise = np.random.default_rng(0).integers(0, 256, (16, *self.size, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return HOUR

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.noise[number % 16] for number in range(HOUR))

    def content_key(self) -> str:
        return "an hour of noise"


def test_an_hour_stays_small_and_loses_no_peak(browser: Browser, tmp_path: Path) -> None:
    peaks = (700, 40_000, 40_300, 77_777)
    scores = scores_of(HOUR, peaks)
    file = tmp_path / "hour.html"
    write_report(file, [ReportedVideo(Video("hour", CheapFrames(), 25.0), scores)], title="An hour", about={})
    assert 15e6 < file.stat().st_size < 20e6
    (video,) = data_of(file)["videos"]
    assert set(peaks) <= set(video["shown"])
    assert np.diff(video["shown"]).max() < HOUR / 80
    high = np.array(video["curves"][0]["high"])
    assert len(high) <= 6000
    for peak in peaks:
        assert high[peak // 15] == pytest.approx(0.9, abs=0.02)
    with open_page(browser, file) as page:
        page.keyboard.press("Home")
        wait_for_frame(page, 0)
        page.keyboard.press("n")
        wait_for_frame(page, 700)
        assert "0:28.00 of 1:00:00" in page.inner_text("#facts")
        narrow = pixels(page, "#curve")
        for _ in range(6):
            page.click("#zoom-in")
        assert differ(pixels(page, "#curve"), narrow)
        page.keyboard.press("End")
        assert shown_frame(page, 700) == video["shown"][-1]


def test_without_maps_and_labels(browser: Browser, tmp_path: Path) -> None:
    scores = scores_of(60, (30,))
    file = tmp_path / "plain.html"
    plain = VideoScores(scores.frame_index, scores.raw, scores.calibrated)
    write_report(file, [ReportedVideo(gray_video(60, "plain"), plain)], title="plain", about={})
    with open_page(browser, file, width=360) as page:
        assert not page.is_visible("#overlay")
        assert page.locator(".roc, .videos").count() == 0
        before = pixels(page)
        page.keyboard.press("o")
        page.keyboard.press("ArrowRight")
        assert shown_frame(page, 30) == 31
        assert differ(pixels(page), before)


def test_max_bytes_is_kept_and_every_video_has_a_frame(tmp_path: Path) -> None:
    videos = [ReportedVideo(gray_video(200, str(n)), scores_of(200, (60,))) for n in range(3)]
    sizes = {}
    for most in (10_000_000, 300_000, 1000):
        file = tmp_path / f"{most}.html"
        write_report(file, videos, title="t", about={}, max_bytes=most)
        sizes[most] = file.stat().st_size
        shown = [video["shown"] for video in data_of(file)["videos"]]
        assert all(60 in numbers for numbers in shown)
    assert all(len(numbers) == 1 for numbers in shown)
    assert sizes[300_000] <= 300_000 < sizes[10_000_000]


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    video, scores = gray_video(60, "clip"), scores_of(60, (30,))
    without = VideoScores(scores.frame_index, scores.raw, scores.calibrated)
    nan = VideoScores(scores.frame_index, scores.raw * np.nan, scores.calibrated)
    longer = VideoScores(scores.frame_index + 40, scores.raw, scores.calibrated)
    there = tmp_path / "there.html"
    there.write_text("mine")
    new = tmp_path / "new.html"
    for path, make, message in (
        (new, lambda: [], "no videos to report on"),
        (there, lambda: [ReportedVideo(video, scores)], r"there\.html exists; choose another file or overwrite it"),
        (new, lambda: [ReportedVideo(video, scores), ReportedVideo(video, without)], "1 of 2 videos have maps"),
        (new, lambda: [ReportedVideo(video, nan)], "60 of 60 scores are NaN or infinite, but a report needs finite"),
        (new, lambda: [ReportedVideo(video, scores, np.ones(9, bool))], "clip has a score of frame 59, but 9 labels"),
        (new, lambda: [ReportedVideo(video, longer)], "not those of clip, which ends before frame 99; score it again"),
    ):
        with pytest.raises(VadError, match=message):
            write_report(path, make(), title="t", about={})
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]
    write_report(there, [ReportedVideo(video, scores)], title="t", about={}, overwrite=True)
    assert there.read_text().startswith("<!doctype html>")
