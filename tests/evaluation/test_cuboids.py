"""Figures of cuboids, all golden values by hand."""

import json
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.data import FrameCache, make_shapes, open_dataset
from keras_vad.data.base import VideoDataset
from keras_vad.data.video import ArrayFrames, Labels, Video
from keras_vad.errors import VadError
from keras_vad.evaluation.cuboids import cuboid_figures, cuboid_report, score_cuboids
from keras_vad.evaluation.results import update_tables
from keras_vad.evaluation.trivial_cuboids import TRIVIAL_CUBOID_SCORES, TrivialCuboids, box_means
from keras_vad.models.adaptive_clustering import AdaptiveClusteringCAE
from keras_vad.window import Window
from tests.command import verb

main = verb("cuboids")


def test_figures_by_hand() -> None:
    # From the top: anomalous 9, 7, 5; normal 8, 6, 4, 3, 2, 1, 0.
    labels = np.array([1, 0, 1, 0, 1, 0, 0, 0, 0, 0], bool)
    scores = np.array([9.0, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    figures = cuboid_figures(labels, scores, normal_threshold=8.0)
    assert (figures["cuboids"], figures["anomalous"]) == (10, 3)
    # Pairs of an anomalous and a normal one in order: 7 + 6 + 5 of 21.
    assert figures["auroc"] == pytest.approx(18 / 21)
    assert figures["ap"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    # F1 at 9: 2/4; at 7: 4/6; at 5: 6/8, the best.
    assert figures["threshold"] == 5.0
    assert figures["f1"] == pytest.approx(0.75)
    assert figures["precision"] == pytest.approx(3 / 5)
    assert figures["recall"] == 1.0
    assert figures["accuracy"] == pytest.approx(0.8)
    # From 8.0 on, itself too: 9 and 8 are flagged.
    assert figures["normal_threshold"] == 8.0
    assert figures["normal_f1"] == pytest.approx(2 / 5)
    assert figures["normal_precision"] == 0.5
    assert figures["normal_recall"] == pytest.approx(1 / 3)
    assert figures["normal_accuracy"] == pytest.approx(0.7)


def test_equal_scores_are_flagged_together() -> None:
    labels = np.array([True, False, True, False])
    figures = cuboid_figures(labels, np.array([2.0, 2.0, 2.0, 1.0]))
    assert figures["threshold"] == 2.0
    assert figures["f1"] == pytest.approx(2 * 2 / (3 + 2))
    assert figures["auroc"] == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)


def test_one_class_only() -> None:
    nothing = cuboid_figures(np.zeros(3, bool), np.arange(3.0), normal_threshold=5.0)
    assert [nothing[name] for name in ("auroc", "ap", "threshold", "f1", "accuracy")] == [None] * 5
    assert nothing["normal_accuracy"] == 1.0
    assert nothing["normal_f1"] is nothing["normal_precision"] is nothing["normal_recall"] is None
    everything = cuboid_figures(np.ones(3, bool), np.arange(3.0))
    assert everything["auroc"] is None
    assert (everything["threshold"], everything["f1"], everything["accuracy"]) == (0.0, 1.0, 1.0)


def test_shares_by_hand() -> None:
    mask = np.zeros((7, 9))
    mask[2, 3] = 1.0
    mask[6, 8] = 1.0  # in no box: those of step 2 end at row 5 and column 7
    shares = box_means(mask, (2, 3), (4, 4), 2)
    expected = np.zeros((2, 3))
    expected[0, 0] = expected[0, 1] = expected[1, 0] = expected[1, 1] = 1 / 16
    np.testing.assert_array_equal(shares, expected)


class Brightness:
    """Scores a cuboid by its mean: windows of 2 frames of 6x8, boxes of 4x4 at steps of 2."""

    window = Window(length=2, size=(6, 8), channels=3, hop=2)
    grid = (2, 3)
    cuboid_size = (4, 4)
    cuboid_stride = 2
    normal_distance = 0.5

    def preprocess(self, frames: tf.Tensor) -> tf.Tensor:
        return tf.cast(frames, tf.float32) / 255.0

    def cuboid_scores(self, windows: tf.Tensor) -> tf.Tensor:
        means = tf.reduce_mean(windows, axis=(1, 4))
        return tf.nn.avg_pool2d(means[..., None], (4, 4), 2, "VALID")[..., 0]


class Clips(VideoDataset):
    """Two test videos: five bright frames with one anomalous pixel in frame 3, and dark frames."""

    name = "clips"

    def __init__(self, scale: int = 1, masks: bool = True) -> None:
        bright = np.full((5, 6 * scale, 8 * scale, 3), 255, np.uint8)
        dark = np.zeros((4, 6 * scale, 8 * scale, 3), np.uint8)
        mask = np.zeros((5, 6 * scale, 8 * scale), bool)
        mask[3, 5 * scale, 0] = True
        labels = Labels(mask.any(axis=(1, 2)), mask.__getitem__ if masks else None)
        no = Labels(np.zeros(4, bool), (lambda n: np.zeros((6 * scale, 8 * scale), bool)) if masks else None)
        self.test = [(Video("bright", ArrayFrames(bright)), labels), (Video("dark", ArrayFrames(dark)), no)]
        self.test += [(Video("unlabelled", ArrayFrames(dark)), None)]

    def train_videos(self) -> list[Video]:
        return [Video("normal", ArrayFrames(np.zeros((4, 6, 8, 3), np.uint8)))]

    def test_videos(self) -> list[tuple[Video, Labels | None]]:
        return self.test


def test_the_report_counts_every_cuboid_once(tmp_path: Path) -> None:
    report = cuboid_report(Brightness(), Clips(), FrameCache(tmp_path), minimum_shares=(0.0, 1 / 31, 1 / 33))
    # Two windows of the first video (its fifth frame fills none) and two of the second, six cuboids each.
    assert (report["dataset"], report["videos"], report["windows"], report["hop"]) == ("clips", 2, 4, 2)
    assert report["cuboids"] == 24
    # The pixel lies in one box, of 2 x 4 x 4 pixels, of the second window.
    assert report["anomalous"] == 1
    assert report["auroc"] == pytest.approx((12 + 11 / 2) / 23)
    assert report["threshold"] == 1.0
    assert report["f1"] == pytest.approx(2 / 13)
    assert report["accuracy"] == pytest.approx(13 / 24)
    assert report["normal_threshold"] == 0.5
    assert report["normal_recall"] == 1.0
    rows = report["by_minimum_share"]
    assert [row["anomalous"] for row in rows] == [1, 0, 0, 1, 1]
    assert [row["partial"] for row in rows] == ["normal", "normal", "left out", "normal", "left out"]
    assert rows[1]["auroc"] is None
    # Where the pixel is too little, its cuboid is left out.
    assert [row["cuboids"] for row in rows] == [24, 24, 23, 24, 24]
    assert {name: report[name] for name in report["by_minimum_share"][0]} == report["by_minimum_share"][0]


def test_trivial_scores_are_of_the_same_cuboids_by_hand(tmp_path: Path) -> None:
    class Changing(Clips):
        """Three black frames, the last with a gray left half: of the boxes at columns 0, 2 and 4 all, half and none."""

        def __init__(self) -> None:
            frames = np.zeros((4, 6, 8, 3), np.uint8)
            frames[3, :, :4] = 51  # 0.2 of white
            mask = frames[..., 0] > 0
            self.test = [(Video("changing", ArrayFrames(frames)), Labels(mask.any(axis=(1, 2)), mask.__getitem__))]

    found = score_cuboids(Brightness(), Changing(), FrameCache(tmp_path))
    assert tuple(found.trivial) == TRIVIAL_CUBOID_SCORES
    expected = [[0] * 6, [0.04, 0.02, 0, 0.04, 0.02, 0]]
    np.testing.assert_allclose(found.trivial["trivial_squared_change"].reshape(2, 6), expected, atol=1e-7)

    report = cuboid_report(Brightness(), Changing(), FrameCache(tmp_path), minimum_shares=(0.0, 0.3))
    any_pixel, as_normal, left_out = report["trivial"]["trivial_squared_change"]
    own = report["by_minimum_share"]
    for trivial, row in zip((any_pixel, as_normal, left_out), own, strict=True):
        assert {key: trivial[key] for key in ("minimum_share", "partial", "cuboids", "anomalous")} == {
            key: row[key] for key in ("minimum_share", "partial", "cuboids", "anomalous")
        }
    # Anomalous are 4 of 12 cuboids, all above the others; with more than 0.3 of the pixels (two frames) the whole ones.
    assert (any_pixel["anomalous"], any_pixel["auroc"], any_pixel["f1"]) == (4, 1.0, 1.0)
    assert (as_normal["anomalous"], left_out["cuboids"]) == (2, 10)
    assert "normal_threshold" not in any_pixel


def test_the_speed_of_a_cuboid_is_measured_by_its_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 256, (16, 40)), np.ones((4, 4))).astype(np.uint8)

    def clip(above: int, below: int) -> np.ndarray:
        halves = [(np.roll(texture[:32], above * t, 1), np.roll(texture[32:], below * t, 1)) for t in range(8)]
        return np.stack([np.concatenate(pair) for pair in halves])[..., None].repeat(3, axis=3)[:, :, :96]

    train = FrameCache(tmp_path).get(Video("train", ArrayFrames(clip(1, 2))), (64, 96))
    # Rows of four boxes of 16 pixels: six cuboids each are too few to tell a speed, so these clips come four times.
    trivial = TrivialCuboids([train] * 4, Window(length=8, size=(64, 96), channels=3), (4, 6), (16, 16), 16)
    same = trivial(clip(1, 2))["trivial_flow_row_normalised"]
    fast = trivial(clip(2, 2))["trivial_flow_row_normalised"]
    assert same.shape == (4, 6) and same.min() > 0.5 and same.max() < 1.1
    assert (fast[0] > 1.4 * same[0]).all()  # the far half of the picture, twice as fast as there is normal
    np.testing.assert_allclose(fast[3], same[3], rtol=0.05)


def test_partial_cuboids_are_normal_or_left_out(tmp_path: Path) -> None:
    class Growing(Brightness):
        def cuboid_scores(self, windows: tf.Tensor) -> tf.Tensor:
            return tf.random.stateless_uniform((tf.shape(windows)[0], 2, 3), [1, 2])

    class Halves(Clips):
        """A video whose left half is anomalous: of the boxes at columns 0, 2 and 4 all, half and none of the pixels."""

        def __init__(self) -> None:
            mask = np.zeros((2, 6, 8), bool)
            mask[:, :, :4] = True
            self.test = [
                (
                    Video("half", ArrayFrames(np.zeros((2, 6, 8, 3), np.uint8))),
                    Labels(np.ones(2, bool), mask.__getitem__),
                )
            ]

    found = score_cuboids(Growing(), Halves(), FrameCache(tmp_path))
    np.testing.assert_allclose(found.shares, [1, 0.5, 0, 1, 0.5, 0])
    as_normal, left_out = cuboid_report(Growing(), Halves(), FrameCache(tmp_path), minimum_shares=(0.5,))[
        "by_minimum_share"
    ]
    assert (as_normal["cuboids"], as_normal["anomalous"]) == (6, 2)
    assert (left_out["cuboids"], left_out["anomalous"]) == (4, 2)
    kept = np.array([0, 2, 3, 5])
    assert left_out["auroc"] == cuboid_figures(np.array([1, 0, 1, 0], bool), found.scores[kept])["auroc"]


def test_windows_may_overlap(tmp_path: Path) -> None:
    found = score_cuboids(Brightness(), Clips(), FrameCache(tmp_path), hop=1)
    assert found.windows == 4 + 3
    assert found.videos == ("bright", "dark")
    # Frame 3 is in the windows that start at 2 and 3.
    shares = found.shares.reshape(7, 2, 3)
    np.testing.assert_allclose(np.argwhere(shares), [[2, 1, 0], [3, 1, 0]])
    np.testing.assert_allclose(found.scores.reshape(7, 6)[:, 0], [1, 1, 1, 1, 0, 0, 0])


def test_masks_of_larger_frames_lose_no_pixel(tmp_path: Path) -> None:
    found = score_cuboids(Brightness(), Clips(scale=3), FrameCache(tmp_path))
    assert np.count_nonzero(found.shares) == 1
    assert found.shares.max() == pytest.approx(1 / (32 * 9))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path)
    for arguments, options, message in (
        ((types.SimpleNamespace(), Clips(), cache), {}, "SimpleNamespace scores no cuboids; use a model of adaptive"),
        ((Brightness(), Clips(masks=False), cache), {}, "no test video of clips has pixel masks"),
        ((Brightness(), Clips(), cache), {"minimum_shares": (1.0,)}, "the minimum share is 1.0, but must be at least"),
        ((Brightness(), Clips(), cache), {"minimum_shares": ()}, "there is no minimum share; give at least one"),
        ((Brightness(), Clips(), cache), {"hop": 0}, "the hop between windows is 0, but must be at least 1"),
    ):
        with pytest.raises(VadError, match=message):
            cuboid_report(*arguments, **options)
    longer = Brightness()
    longer.window = Window(length=6, size=(6, 8), channels=3)
    with pytest.raises(VadError, match="no training video has the 6 frames of a window"):
        cuboid_report(longer, Clips(), cache)
    longer.window = Window(length=4, size=(6, 8), channels=3)
    short = Clips()
    short.test[0] = (Video("short", ArrayFrames(np.zeros((3, 6, 8, 3), np.uint8))), short.test[0][1])
    with pytest.raises(VadError, match="the test video short has 3 frames, but a window needs 4"):
        cuboid_report(longer, short, cache)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set and a detector of cuboids."""
    folder = tmp_path_factory.mktemp("cuboids")
    make_shapes(folder / "shapes", 8, 16, seed=0, anomalies=5, frames_per_video=8)
    detector = AdaptiveClusteringCAE(
        image_size=34, cuboid_size=8, cuboid_stride=6, channels=(2, 2), code_size=4, clusters=3, ssim_window=7
    )
    detector.normal_distance.assign(0.25)
    detector.save(folder / "detector.keras")
    return folder


def test_the_tool_prints_and_writes_the_report(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    arguments = [
        "--model",
        str(trained / "detector.keras"),
        "--dataset",
        "shapes",
        "--data-dir",
        str(trained / "shapes"),
    ]
    arguments += ["--json", str(tmp_path / "report.json"), "--minimum-share", "0", "0.03"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    expected = cuboid_report(
        keras_vad.load(trained / "detector.keras"),
        open_dataset("shapes", trained / "shapes"),
        FrameCache(tmp_path / "cache"),
        minimum_shares=(0.0, 0.03),
    )
    assert {name: report[name] for name in expected} == expected
    assert report["model"] == "adaptive_clustering"
    assert report["recipe"] is report["seed"] is report["training_cuboids"] is None
    assert (report["windows"], report["cuboids"]) == (2, 2 * 5 * 5)
    assert 0 < report["by_minimum_share"][1]["anomalous"] < report["anomalous"] < 50
    assert f"{report['anomalous']} (> 0.00)" in printed
    assert f"{100 * report['auroc']:.2f}" in printed
    assert "0.25" in printed
    assert printed.count("squared_change") == printed.count("flow_row_normalised") == 3
    assert printed.count("partial left out") == 1
    with pytest.raises(VadError, match=r"report\.json exists; pass --overwrite"):
        main(arguments)


def test_the_tool_tells_how_much_a_run_has_seen(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    run.mkdir()
    (run / "detector.keras").write_bytes((trained / "detector.keras").read_bytes())
    (run / "config.yaml").write_text("{recipe: small, seed: 3, training: {batch_size: 4}}")
    (run / "report.json").write_text('{"epochs": 2, "steps_per_epoch": 10}')
    arguments = ["--model", str(run), "--dataset", "shapes", "--data-dir", str(trained / "shapes")]
    assert main([*arguments, "--json", str(run / "cuboids.json")]) == 0
    report = json.loads((run / "cuboids.json").read_text())
    assert (report["recipe"], report["seed"]) == ("small", 3)
    assert report["training_cuboids"] == 2 * 10 * 4 * 25


def test_the_table_is_made_of_the_reports(tmp_path: Path) -> None:
    def write(run: str, dataset: str, **row: object) -> None:
        (tmp_path / "zoo" / "logs" / run).mkdir(parents=True)
        whole, partial = {"minimum_share": 0, "partial": "normal"}, {"minimum_share": 0.2, "partial": "left out"}
        rows = [{**whole, "anomalous": 5, "cuboids": 2000, **row}, {**partial, "anomalous": 1, "cuboids": 2000, **row}]
        content = {"dataset": dataset, "training_cuboids": 1200, "by_minimum_share": rows}
        if dataset == "shapes":
            content["trivial"] = {"trivial_squared_change": [{**one, "auroc": 0.6, "normal_f1": None} for one in rows]}
        (tmp_path / "zoo" / "logs" / run / "cuboids.json").write_text(json.dumps(content))

    write("run-a", "shapes", auroc=0.98765, accuracy=0.5, f1=0.25, normal_accuracy=None, normal_f1=1.0)
    write("run-b", "ucsdped2", auroc=0.7)
    document = tmp_path / "docs" / "page.md"
    document.parent.mkdir()
    document.write_text("<!-- results:begin shapes cuboids -->\n<!-- results:end shapes -->\n")
    assert update_tables(document, tmp_path / "zoo" / "results.csv")
    lines = document.read_text().splitlines()
    assert len(lines) == 2 + 2 + 7  # markers, empty lines, header of two lines, the paper's, two rows, two trivial ones
    assert lines[4] == "| the paper | – | any pixel | – | – | 98.40 | 83.21 | – | – |"
    run = "| [run-a](../zoo/logs/run-a) | 1,200 "
    assert lines[5] == f"{run}| any pixel | 0.2 % of 2,000 | 98.77 | 50.00 | 25.00 | – | 100.00 |"
    assert lines[6] == "| `trivial_squared_change` | – | any pixel | 0.2 % of 2,000 | 60.00 | 50.00 | 25.00 | – | – |"
    assert lines[7].startswith(f"{run}| > 20 %, partial left out | 0.1 % of 2,000 | 98.77 ")
    assert not update_tables(document, tmp_path / "zoo" / "results.csv", check=True)
