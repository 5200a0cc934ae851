import filecmp

import numpy as np
import pytest
from PIL import Image

from keras_vad.cli.process import run
from keras_vad.data import make_shapes, open_dataset
from keras_vad.data.shapes import COLOURS, GAPS, _background, _lane, _scene, _with_triangles
from keras_vad.errors import VadError
from keras_vad.testing.dataset_contract import Contents, DatasetContract
from tests.command import verb
from tests.data.media import file_size_limit

main = verb("data make-shapes")


def images(folder) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


class TestShapes(DatasetContract):
    key = "shapes"

    def build(self, root):
        make_shapes(root, train_frames=14, test_frames=13, seed=3, anomaly_probability=0.15, frames_per_video=7)
        masks = {name: images(root / "Test" / f"{name}_gt") > 0 for name in ("Test001", "Test002")}
        return Contents(
            train={name: images(root / "Train" / name) for name in ("Train001", "Train002")},
            test={name: images(root / "Test" / name) for name in ("Test001", "Test002")},
            labels={name: mask.any(axis=(1, 2)) for name, mask in masks.items()},
            masks=masks,
        )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_shapes(
        tmp_path_factory.mktemp("shapes") / "x", 30, 60, seed=1, anomaly_probability=0.3, frames_per_video=30
    )


def test_the_lanes_move_one_pixel_a_frame(root):
    frames = images(root / "Train" / "Train001").astype(int)
    is_shape = np.stack([(frames == colour).all(axis=-1) for colour in COLOURS]).any(axis=0)
    assert is_shape.any(axis=(0, 2)).nonzero()[0].tolist() == [*range(35, 55), *range(122, 142)]
    np.testing.assert_array_equal(is_shape[1:, 35:55, 1:], is_shape[:-1, 35:55, :-1])
    np.testing.assert_array_equal(is_shape[1:, 122:142, :-1], is_shape[:-1, 122:142, 1:])
    static = ~is_shape.any(axis=0)
    np.testing.assert_array_equal(frames[:, static], np.broadcast_to(frames[0, static], (30, static.sum(), 3)))


def test_gaps_colours_and_anomalies_are_as_in_the_paper():
    lane = _lane(np.random.default_rng(0), n_frames=20_000, anomaly_probability=0.1)
    gaps = np.diff([shape.entry for shape in lane]) - 20
    assert set(gaps.tolist()) == set(range(GAPS[0], GAPS[1] + 1))
    assert {shape.colour for shape in lane} == set(COLOURS)
    assert np.mean([shape.triangle for shape in lane]) == pytest.approx(0.1, abs=0.03)


def test_masks_are_the_visible_pixels_of_triangles(root):
    dataset = open_dataset("shapes", root)
    anomalous = 0
    for video, labels in dataset.test_videos():
        for index, frame in enumerate(video.frames):
            mask = labels.mask(index)
            assert mask.any() == labels.frame[index]
            anomalous += mask.any()
            assert {tuple(colour) for colour in frame[mask].tolist()} <= set(COLOURS)
    assert anomalous > 0
    assert not any((root / "Train").glob("*_gt"))


def test_fast_shapes_move_three_pixels_a_frame_and_are_masked(tmp_path):
    make_shapes(tmp_path / "x", 30, 40, seed=1, anomaly_probability=0, fast_probability=1, frames_per_video=40)
    frames = images(tmp_path / "x" / "Test" / "Test001").astype(int)
    masks = images(tmp_path / "x" / "Test" / "Test001_gt") > 0
    is_shape = np.stack([(frames == colour).all(axis=-1) for colour in COLOURS]).any(axis=0)
    assert masks.any()
    np.testing.assert_array_equal(masks, is_shape)
    np.testing.assert_array_equal(masks[1:, 35:55, 3:], masks[:-1, 35:55, :-3])
    np.testing.assert_array_equal(masks[1:, 122:142, :-3], masks[:-1, 122:142, 3:])
    plain = make_shapes(tmp_path / "plain", 30, 40, seed=1, anomaly_probability=0, frames_per_video=40)
    assert not images(plain / "Test" / "Test001_gt").any()
    assert not filecmp.dircmp(plain / "Train", tmp_path / "x" / "Train").diff_files


def test_a_fast_shape_passes_in_front_of_the_others_and_leaves_triangles_as_they_are(tmp_path):
    chances = {"seed": 2, "anomaly_probability": 0.2, "frames_per_video": 80}
    triangles = make_shapes(tmp_path / "triangles", 2, 80, **chances)
    both = make_shapes(tmp_path / "both", 2, 80, **chances, fast_probability=0.2)
    before, after = (images(folder / "Test" / "Test001_gt") > 0 for folder in (triangles, both))
    assert before.any() and (after & ~before).any()
    assert (after | ~before).all(), "what covers a triangle is fast, and so masked as well"
    frames = images(both / "Test" / "Test001")
    assert {tuple(colour) for colour in frames[after].tolist()} <= set(COLOURS)


def test_as_many_triangles_as_asked_for_pass_by():
    n_frames = 300
    scene = _scene(_background(0), n_frames, 0.0, [0, 2])
    masks = np.stack([np.asarray(scene.draw(time)[1]) for time in range(n_frames)])
    assert not masks.any()
    for count in (0, 1, 7):
        triangles = _with_triangles(scene, n_frames, count, [0, 3])
        shapes = [*triangles.upper, *triangles.lower]
        assert [(shape.entry, shape.colour) for shape in shapes] == [
            (shape.entry, shape.colour) for shape in [*scene.upper, *scene.lower]
        ]
        assert sum(shape.triangle for shape in shapes) == count
        # Follow every triangle: sheared by the motion of its lane it stands still, a stripe of its own.
        masks = np.stack([np.asarray(triangles.draw(time)[1]) > 0 for time in range(n_frames)])
        passed = 0
        for row, way in ((54, 1), (141, -1)):
            still = np.zeros(n_frames + 170, bool)
            for time, mask in enumerate(masks[:, row]):
                at = np.flatnonzero(mask if way == 1 else mask[::-1])
                still[at - time + n_frames] |= True
            passed += np.count_nonzero(np.diff(np.concatenate([[0], still.astype(int)])) == 1)
        assert passed == count


def test_the_papers_test_has_100_triangles_in_6500_frames():
    scene = _with_triangles(_scene(_background(0), 6500, 0.0, [0, 2]), 6500, 100, [0, 3])
    assert sum(shape.triangle for shape in [*scene.upper, *scene.lower]) == 100


def test_more_triangles_than_shapes(tmp_path):
    with pytest.raises(VadError, match=r"the number of anomalies is 99, but the test videos show \d+ shapes; give at"):
        make_shapes(tmp_path / "x", 2, 20, seed=0, anomalies=99)
    assert list(tmp_path.iterdir()) == []


def test_no_anomalies_with_probability_zero(tmp_path):
    make_shapes(tmp_path / "x", 2, 20, seed=0, anomaly_probability=0.0)
    ((_, labels),) = open_dataset("shapes", tmp_path / "x").test_videos()
    assert not labels.frame.any()
    assert "gt_frame = [];" in (tmp_path / "x" / "Test" / "shapes.m").read_text()


def test_the_seed_fixes_every_byte(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_shapes(tmp_path / name, 3, 3, seed)
    same = ["Train/Train001/002.png", "Test/Test001/003.png", "Test/Test001_gt/003.png", "Test/shapes.m"]
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", same, shallow=False) == (same, [], [])
    assert not filecmp.cmp(tmp_path / "a" / same[0], tmp_path / "c" / same[0], shallow=False)


def test_a_validation_set_shares_the_background_and_nothing_else(tmp_path):
    arguments = ["--train-frames", "1", "--test-frames", "1"]
    assert main([str(tmp_path / "a"), *arguments, "--seed", "1"]) == 0
    assert main([str(tmp_path / "b"), *arguments, "--seed", "2", "--scene", "1"]) == 0
    a, b = (images(tmp_path / name / "Test" / "Test001")[0] for name in "ab")
    outside = np.r_[:35, 55:122, 142:170]  # of the lanes' shapes
    np.testing.assert_array_equal(a[outside], b[outside])
    assert (a[35:55] != b[35:55]).any()
    assert (a[122:142] != b[122:142]).any()


def test_the_scene_goes_on_from_video_to_video(root):
    last = images(root / "Test" / "Test001")[-1].astype(int)
    first = images(root / "Test" / "Test002")[0].astype(int)
    shapes = [np.stack([(f[35:55] == c).all(axis=-1) for c in COLOURS]).any(axis=0) for f in (last, first)]
    np.testing.assert_array_equal(shapes[1][:, 1:], shapes[0][:, :-1])


def test_the_tool(tmp_path, capsys):
    arguments = [str(tmp_path / "x"), "--train-frames", "4", "--test-frames", "3", "--seed", "5", "--anomalies", "2"]
    assert main(arguments) == 0
    assert images(tmp_path / "x" / "Test" / "Test001_gt").any()
    assert capsys.readouterr().out == f"{tmp_path}/x: 4 training frames, 3 test frames.\n"
    assert len(images(tmp_path / "x" / "Train" / "Train001")) == 4
    assert run(lambda: main(arguments)) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/x exists and is not an empty folder; choose another folder or delete it.\n"
    )


def test_an_empty_folder_will_do(tmp_path):
    make_shapes(tmp_path, 2, 2, seed=0)
    assert len(open_dataset("shapes", tmp_path).train_videos()) == 1


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(VadError, match="x exists and is not an empty folder; choose another folder or delete it"):
        make_shapes(tmp_path / "x", 2, 2, seed=0)


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    with file_size_limit(1000), pytest.raises(VadError) as caught:
        make_shapes(tmp_path / "x", 2, 2, seed=0)
    assert str(caught.value).startswith(f"the shapes data set cannot be written to {tmp_path}/x (")
    assert str(caught.value).endswith("); choose a folder that you can write to, on a disk with enough space.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train_frames": 0}, "the number of train frames is 0, but must be at least 1."),
        ({"test_frames": -1}, "the number of test frames is -1, but must be at least 1."),
        ({"anomaly_probability": 1.5}, "the probability of an anomaly is 1.5, but must lie between 0 and 1."),
        ({"fast_probability": -0.1}, "the probability of a fast shape is -0.1, but must lie between 0 and 1."),
    ],
)
def test_arguments_out_of_range(tmp_path, changes, sentence):
    with pytest.raises(VadError) as caught:
        make_shapes(tmp_path / "x", **{"train_frames": 2, "test_frames": 2, "seed": 0, **changes})
    assert str(caught.value) == sentence
    assert not (tmp_path / "x").exists()


def test_a_folder_without_test_videos(root, tmp_path):
    (tmp_path / "Train").mkdir()
    with pytest.raises(VadError) as caught:
        open_dataset("shapes", tmp_path)
    assert str(caught.value) == f"{tmp_path} holds no folder Test; give the folder with the folders Train and Test."
