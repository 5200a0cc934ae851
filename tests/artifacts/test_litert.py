"""Edge variants: LiteRT scores as the detector does, closely enough, or says why it cannot."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_vad
from keras_vad.artifacts.card import model_card
from keras_vad.artifacts.layout import CARD_NAME
from keras_vad.artifacts.litert import MODEL_NAME, EdgeDetector, calibration_of, calibration_windows, convert
from keras_vad.data.shapes import make_shapes
from keras_vad.errors import VadError
from keras_vad.testing.inputs import raw_video
from tests.command import verb
from tests.models.test_contract import TINY

main = verb("edge")

REFUSED = {"luss_ae": "MaxPool3D", "adaptive_clustering": "ExtractImagePatches"}


def build(key):
    keras.utils.set_random_seed(7)
    detector = keras_vad.build(key, **TINY[key].config)
    detector.adapt([raw_video(20, seed=1)])
    detector.fit_normality([], [raw_video(40, seed=2)])
    return detector


def edge_of(detector, folder, precision="float32", normal=()):
    folder.mkdir()
    (folder / MODEL_NAME).write_bytes(convert(detector, precision, normal))
    card = {**model_card(detector, "tiny"), "edge": {"calibration": calibration_of(detector)}}
    (folder / CARD_NAME).write_text(json.dumps(card))
    return EdgeDetector(folder)


@pytest.mark.parametrize("key", sorted(TINY.keys() - REFUSED.keys()))
def test_scores_as_the_detector(key, tmp_path):
    detector = build(key)
    edge = edge_of(detector, tmp_path / "edge")
    assert edge.window == detector.window
    # Long enough for several chunks, and of a length that ends with a window off the grid.
    video = raw_video(4 * detector.window.span + 64 + 1, seed=4)
    found, expected = edge.score_video(video, maps=True), detector.score_video(video, maps=True)
    np.testing.assert_array_equal(found.frame_index, expected.frame_index)
    np.testing.assert_allclose(found.raw, expected.raw, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.calibrated, expected.calibrated, atol=1e-3)
    np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("key", "operation"), REFUSED.items())
def test_says_which_operation_lite_rt_lacks(key, operation):
    keras.utils.set_random_seed(7)
    with pytest.raises(VadError, match=f"{key} has no LiteRT form: it needs {operation}, which LiteRT cannot compute"):
        convert(keras_vad.build(key, **TINY[key].config), "float32")


@pytest.fixture(scope="module")
def detector():
    return build("local_playback")


def test_smaller_precisions_are_smaller_and_close(detector, tmp_path):
    normal = [raw_video(40, seed=seed) for seed in (2, 3)]
    precisions = ("float32", "float16", "int8")
    edges = {name: edge_of(detector, tmp_path / name, name, normal) for name in precisions}
    sizes = [(tmp_path / name / MODEL_NAME).stat().st_size for name in precisions]
    assert sizes[0] > sizes[1] > sizes[2]
    video = np.concatenate([raw_video(40, seed=5), 255 * (raw_video(40, seed=6) > 127).astype(np.uint8)])
    expected = detector.score_video(video).raw
    for name, tolerance in (("float16", 0.01), ("int8", 0.25)):
        found = edges[name].score_video(video).raw
        assert 0 < np.abs(found - expected).mean() < tolerance * expected.std(), name
        assert np.corrcoef(found, expected)[0, 1] > 0.99, name


def test_the_calibration_set_has_unusual_windows_too(detector):
    """A trained network gives more for what is unusual than for anything normal; that must not be cut off."""
    videos = [raw_video(40, seed=2), raw_video(detector.window.span - 1), raw_video(40, seed=3)]
    windows = list(calibration_windows(detector.window, videos))
    assert len(windows) >= 40
    for normal, unusual in zip(windows[::2], windows[1::2], strict=True):
        assert normal.shape == (1, len(detector.window.frames), *detector.window.size, 3)
        np.testing.assert_array_equal(unusual[:, 1::2], normal[:, 1::2])
        np.testing.assert_array_equal(unusual[:, ::2], 255 - normal[:, ::2])


def test_what_cannot_be_made_is_said(detector, tmp_path):
    with pytest.raises(VadError, match="precision is 'int4', but must be one of float32, float16, int8"):
        convert(detector, "int4")
    with pytest.raises(VadError, match="int8 got no normal videos"):
        convert(detector, "int8")
    with pytest.raises(VadError, match="conv3d_ae has no int8 form: LiteRT computes most of its layers in float"):
        convert(build("conv3d_ae"), "int8", [raw_video(20)])


def test_what_is_no_edge_variant_is_refused(detector, tmp_path):
    with pytest.raises(VadError, match="holds no edge variant"):
        EdgeDetector(tmp_path)
    edge_of(detector, tmp_path / "edge")
    card = json.loads((tmp_path / "edge" / CARD_NAME).read_text())
    card["input"]["height"] = 8
    (tmp_path / "edge" / CARD_NAME).write_text(json.dumps(card))
    with pytest.raises(VadError, match=r"takes frames \(1, \d+, 32, 48, 3\), but its card tells of another model"):
        EdgeDetector(tmp_path / "edge")
    (tmp_path / "edge" / MODEL_NAME).write_bytes(b"no model")
    with pytest.raises(VadError, match="holds no edge variant"):
        EdgeDetector(tmp_path / "edge")


class TestTool:
    def arguments(self, folder, *more):
        return [
            *("--model", str(folder / "detector.keras"), "--dataset", "shapes", "--data-dir", str(folder / "shapes")),
            *("--output", str(folder / "edge"), *more),
        ]

    @pytest.fixture
    def folder(self, detector, tmp_path):
        detector.save(tmp_path / "detector.keras")
        make_shapes(tmp_path / "shapes", 40, 40, seed=0, frames_per_video=20, anomaly_probability=0.05)
        return tmp_path

    def test_makes_a_variant_and_measures_it(self, folder, capsys):
        assert main(self.arguments(folder, "--precision", "int8")) == 0
        card = json.loads((folder / "edge" / CARD_NAME).read_text())["edge"]
        assert card["precision"] == "int8"
        assert card["bytes"] == (folder / "edge" / MODEL_NAME).stat().st_size
        drift = card["drift"]
        assert (drift["videos"], drift["frames"]) == (2, 40)
        assert 0 < drift["mean_change"] <= drift["largest_change"] < 1
        assert 0.9 < drift["rank_correlation"] < 1
        assert drift["speed_ratio"] > 0
        assert sorted(drift["auroc"]) == ["detector", "edge"]
        assert f"made: {folder / 'edge'}" in capsys.readouterr().out
        image = np.asarray(Image.open(next((folder / "shapes" / "Test" / "Test001").glob("*.*"))).convert("RGB"))
        assert len(EdgeDetector(folder / "edge").score_video(np.stack([image] * 9))) == 9

    def test_leaves_nothing_when_it_fails(self, folder):
        with pytest.raises(VadError, match="there is no precision 'int4'"):
            main(self.arguments(folder, "--precision", "int4"))
        assert not (folder / "edge").exists()
        (folder / "edge").mkdir()
        with pytest.raises(VadError, match=r"edge exists; delete it, or name another folder"):
            main(self.arguments(folder))
