"""The documents as a site: every link and reference leads somewhere, and what pages name in passing exists."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import keras_vad
from keras_vad.models.registry import get_method
from keras_vad.training.recipe import SECTIONS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
INPUTS = (
    "mkdocs.yml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs",
    "zoo",
    "keras_vad",
    "serving",
)


@pytest.fixture
def project(tmp_path):
    """The files that the site is made from, to change some of them."""
    for name in INPUTS:
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("docs", "README.md"):
        (tmp_path / name).unlink()
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copyfile(ROOT / "README.md", tmp_path / "README.md")
    return tmp_path


def build(folder):
    command = [str(Path(sys.executable).with_name("mkdocs")), "build"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith(("WARNING", "ERROR"))]


def test_the_site_is_built_and_shows_what_pages_link_to(project):
    assert build(project) == (0, [])
    site = project / "build" / "site"
    front = (site / "index.html").read_text("utf-8")
    assert 'href="training.html"' in front
    assert (site / "images" / "scored_video.png").is_file()
    shown = (site / "files" / "keras_vad" / "evaluation" / "regions.py.txt").read_bytes()
    assert shown == (ROOT / "keras_vad" / "evaluation" / "regions.py").read_bytes()
    reference = (site / "reference" / "scoring.html").read_text("utf-8")
    assert "keras_vad.scoring.series.VideoScores" in reference
    assert "&gt;&gt;&gt;" in reference  # examples of docstrings are shown as code


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("[x](nowhere.md)", "contains a link 'nowhere.md'"),
        ("[x](training.md#no-such-place)", "does not contain an anchor '#no-such-place'"),
        ("[x](../keras_vad/nothing.py)", "contains a link '../keras_vad/nothing.py'"),
    ],
)
def test_a_link_that_leads_nowhere_fails(project, line, warning):
    with (project / "docs" / "data.md").open("a") as page:
        page.write(f"\n{line}\n")
    code, told = build(project)
    assert code != 0
    assert len(told) == 1
    assert "'data.md'" in told[0] and warning in told[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_that_a_page_names_exist(page):
    options = {name for key in keras_vad.list_models() for name in inspect.signature(get_method(key)).parameters}
    figures = {name for key in keras_vad.list_models() for name in get_method(key).health_figures}
    known = {"model": options, "health": figures} | {
        section: set(inspect.signature(cls).parameters) for section, cls in SECTIONS.items() if cls is not dict
    }
    named = re.findall(
        rf"(?:--set[ =]|`)({'|'.join(known)})\.(\w+)\s*[=`]", page.read_text("utf-8").replace("\\\n", "")
    )
    unknown = [
        f"{section}.{option}" for section, option in named if option not in known[section] and option != "OPTION"
    ]
    # Files of the project may be called like sections.
    assert [name for name in unknown if not name.endswith((".py", ".keras", ".csv", ".yaml"))] == []
