"""What the README and the pages of docs/ tell readers to run runs as it is written (see guide.py)."""

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_vad
from keras_vad.artifacts.saved_model import export
from keras_vad.data.shapes import make_shapes
from keras_vad.data.video import open_video
from keras_vad.models.adv3dcae import Adv3DCAE
from keras_vad.testing import fresh_process
from tests.data.media import write_video
from tests.docs import guide
from tests.environment import PATHS, ROOT
from tests.models.test_contract import TINY

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data and the trained models that pages speak of."""
    folder = tmp_path_factory.mktemp("project")
    make_shapes(folder / "data" / "shapes", train_frames=200, test_frames=400, seed=0, anomaly_probability=0.02)
    (folder / "clip").symlink_to(folder / "data" / "shapes" / "Test" / "Test001")
    street = np.stack(list(open_video(folder / "data" / "shapes" / "Train" / "Train001").frames))
    write_video(folder / "street.avi", street, fps=10)
    detector = Adv3DCAE(image_size=32, channels=(2, 2), discriminator_channels=(2, 2))
    detector.fit_normality([], [open_video(folder / "clip")])
    zoo = folder / "zoo"
    export(detector, zoo, "adv3dcae_shapes", training={"options": {"training": {"epochs": 8}}})
    shutil.copytree(zoo / "adv3dcae_shapes", zoo / "adv3dcae_shapes_compact")  # to export again takes seconds
    light = keras_vad.build("local_playback", **TINY["local_playback"].config)
    light.fit_normality([], [open_video(folder / "clip")])
    export(light, zoo, "local_playback_shapes")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_code_run(page: Path, project: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(project / "data")
    (tmp_path / "clip").symlink_to(project / "clip")
    (tmp_path / "street.avi").symlink_to(project / "street.avi")
    (tmp_path / "keras_vad").symlink_to(ROOT / "keras_vad")
    (tmp_path / "zoo").mkdir()
    text = page.read_text("utf-8").replace("ucsdped2", "shapes")
    for model in (project / "zoo").iterdir():
        if re.search(rf"\b{model.name}\b", text) is None:
            continue  # a server would load it
        (tmp_path / "zoo" / model.name).mkdir()
        (tmp_path / "zoo" / model.name / "1").symlink_to(model / "1")
    environment = {**os.environ, "KERAS_VAD_CACHE": str(project / "cache"), "PYTHONPATH": PATHS}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = fresh_process.run(guide.main, page, folder=tmp_path, environment=environment)
    assert done.code == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
