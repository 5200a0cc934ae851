"""Learning curves: what is read, and that the picture shows it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_vad.errors import VadError
from keras_vad.report.learning import draw_learning_curves, read_losses
from tests.command import verb

main = verb("curves")

METRICS = """epoch,learning_rate,phase,reconstruction,clustering,val_reconstruction
1,0.1,pretraining,1.0,,2.0
2,0.1,clustering,0.5,3.0,1.5
3,0.1,clustering,0.25,2.0,1.25
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.csv").write_text(METRICS)
    return folder


def ink(path: Path, colour: tuple[int, int, int]) -> int:
    """Pixels of about this colour."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - colour).max(axis=2) < 12).sum())


def test_losses_are_read_with_gaps_and_phases(run: Path) -> None:
    losses, phases = read_losses(run)
    assert set(losses) == {"reconstruction", "clustering", "val_reconstruction"}
    np.testing.assert_array_equal(losses["clustering"], [np.nan, 3.0, 2.0])
    assert phases == ["pretraining", "clustering", "clustering"]


def test_the_picture_shows_training_and_held_out_losses_and_where_phases_begin(run: Path, tmp_path: Path) -> None:
    blue, red = (31, 78, 121), (214, 39, 40)
    assert main([str(run), "--output", str(tmp_path / "both.png")]) == 0
    assert ink(tmp_path / "both.png", blue) > 100 and ink(tmp_path / "both.png", red) > 100
    (run / "metrics.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in METRICS.splitlines()))
    draw_learning_curves([run], tmp_path / "training.png")
    assert ink(tmp_path / "training.png", red) == 0
    draw_learning_curves([run, run], tmp_path / "two.png")
    first, second = (Image.open(tmp_path / name) for name in ("training.png", "two.png"))
    assert second.height == 2 * first.height and second.width == first.width
    (run / "metrics.csv").write_text((run / "metrics.csv").read_text().replace("pretraining", "clustering"))
    draw_learning_curves([run], tmp_path / "one_phase.png")
    dotted = (58, 63, 71)
    assert ink(tmp_path / "one_phase.png", dotted) < ink(tmp_path / "training.png", dotted)


def test_what_cannot_be_drawn_is_refused(run: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    with pytest.raises(VadError, match=r"holds no metrics\.csv; name a run folder"):
        draw_learning_curves([tmp_path], picture)
    (run / "metrics.csv").write_text(METRICS.splitlines()[0] + "\n")
    with pytest.raises(VadError, match="has no epochs yet"):
        draw_learning_curves([run], picture)
    (run / "metrics.csv").write_text("epoch,phase,loss\n1,a,much\n")
    with pytest.raises(VadError, match="is no table of a run's losses"):
        draw_learning_curves([run], picture)
    (run / "metrics.csv").write_text(METRICS)
    with pytest.raises(VadError, match=r"curves\.txt cannot be drawn"):
        draw_learning_curves([run], tmp_path / "curves.txt")
    assert not picture.exists()
    picture.touch()
    with pytest.raises(VadError, match="exists; choose another file"):
        draw_learning_curves([run], picture)
    with pytest.raises(VadError, match="there is no run to draw"):
        draw_learning_curves([], picture, overwrite=True)
