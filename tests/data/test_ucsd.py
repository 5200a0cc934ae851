import shutil

import numpy as np
import pytest

from keras_vad.data import open_dataset
from keras_vad.data.ucsd import UCSDCounts, UCSDDataset
from keras_vad.errors import VadError
from keras_vad.testing.dataset_contract import Contents, DatasetContract
from tests.data.media import gray_frames, write_images

PED2_RANGES = """% which frames of each clip are anomalous
TestVideoFile = {};
TestVideoFile{end+1}.gt_frame = [3:5, 8:8];  % gt_frame = [1:2] was wrong
TestVideoFile{end+1}.gt_frame = [ 1 : 6 ];
"""


def boxes(labels: np.ndarray, size: tuple[int, int] = (24, 36)) -> np.ndarray:
    """A box in every anomalous frame: bool (n, H, W)."""
    masks = np.zeros((len(labels), *size), bool)
    masks[labels, 4:12, 10:20] = True
    return masks


def build_ped2(root) -> Contents:
    """Two training and two test clips below two folders, as the official archive unpacks, with its traps."""
    path = root / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2"
    labels = {"Test001": np.array([0, 0, 1, 1, 1, 0, 0, 1], bool), "Test002": np.ones(6, bool)}
    contents = Contents(
        train={"Train001": gray_frames(5), "Train002": gray_frames(7, seed=1)},
        test={"Test001": gray_frames(8, seed=2), "Test002": gray_frames(6, seed=3)},
        labels=labels,
        masks={name: boxes(frame) for name, frame in labels.items()},
    )
    for name, frames in {**contents.train, **contents.test}.items():
        write_images(path / name[:-3] / name, frames, [f"{i + 1:03d}.tif" for i in range(len(frames))])
    for name, prefix in (("Test001_gt", ""), ("Test002_gt", "frame")):  # some clips name their masks frame001.bmp
        masks = contents.masks[name[:-3]]
        write_images(
            path / "Test" / name, masks.astype(np.uint8) * 255, [f"{prefix}{i + 1:03d}.bmp" for i in range(len(masks))]
        )
    (path / "Test" / "UCSDped2.m").write_text(PED2_RANGES)
    (path / "Train" / ".DS_Store").write_bytes(b"left by macOS")
    (path / "Train" / "Train001" / "._001.tif").write_bytes(b"left by macOS")
    return contents


COUNTS = UCSDCounts("UCSDped2", train=(5, 7), test=(8, 6), masked=2)


class TestPed2(DatasetContract):
    key = "ucsdped2"

    def build(self, root):
        return build_ped2(root)

    def open(self, root):
        return UCSDDataset(self.key, root, COUNTS)


class TestPed1(DatasetContract):
    """Ped1 has pixel masks of some clips only."""

    key = "ucsdped1"

    def build(self, root):
        contents = build_ped2(root)
        folder = root / "UCSD_Anomaly_Dataset.v1p2"
        (folder / "UCSDped2").rename(folder / "UCSDped1")
        shutil.rmtree(folder / "UCSDped1" / "Test" / "Test001_gt")
        contents.masks["Test001"] = None
        return contents

    def open(self, root):
        return UCSDDataset(self.key, root, UCSDCounts("UCSDped1", train=(5, 7), test=(8, 6), masked=1))


@pytest.fixture
def path(tmp_path):
    build_ped2(tmp_path)
    return tmp_path / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2"


def refused(path) -> str:
    with pytest.raises(VadError) as caught:
        UCSDDataset("ucsdped2", path, COUNTS)
    return str(caught.value)


def test_the_folder_itself_and_its_parents_will_do(path):
    for folder in (path, path.parent, path.parent.parent):
        assert UCSDDataset("ucsdped2", folder, COUNTS).path == path


def test_a_copy_with_other_counts_is_refused(path):
    with pytest.raises(VadError) as caught:
        open_dataset("ucsdped2", path)
    assert str(caught.value) == (
        f"{path}/Train holds 2 clips, but the data set has 16; unpack it again, or read what is there with the data "
        "set 'folder'."
    )


def test_a_missing_frame_is_noticed(path):
    (path / "Train" / "Train002" / "004.tif").unlink()
    assert refused(path) == f"{path}/Train/Train002 holds 6 frames, but the clip has 7; unpack it again."


def test_missing_mask_folder(path):
    shutil.rmtree(path / "Test" / "Test002_gt")
    assert refused(path) == (
        f"{path}/Test holds pixel masks of 1 clips, but 2 are expected (there is no folder Test002_gt); "
        "unpack the data set again."
    )


def test_missing_mask(path):
    (path / "Test" / "Test002_gt" / "frame003.bmp").unlink()
    assert refused(path) == (
        f"{path}/Test/Test002_gt holds 5 masks, but {path}/Test/Test002 holds 6 frames; unpack the data set again."
    )


def test_missing_frame_ranges(path):
    (path / "Test" / "UCSDped2.m").unlink()
    assert refused(path) == (
        f"{path}/Test holds 0 .m files, but one with the frame ranges of the test clips is expected; "
        "unpack the data set again."
    )


def test_frame_ranges_of_other_clips(path):
    (path / "Test" / "UCSDped2.m").write_text("TestVideoFile{end+1}.gt_frame = [1:2];")
    assert refused(path) == (
        f"{path}/Test/UCSDped2.m labels 1 clips, but {path}/Test holds 2; unpack the data set again."
    )


@pytest.mark.parametrize("text", ["0:3", "5:4", "2:9", "1:2:8", "x"])
def test_impossible_frame_ranges(path, text):
    (path / "Test" / "UCSDped2.m").write_text(f"a.gt_frame = [{text}];\na.gt_frame = [1:2];")
    assert refused(path) == (
        f"{path}/Test/UCSDped2.m gives clip 1 the frames {text}, but FIRST:LAST between 1 and 8 is expected; correct "
        "it or unpack the data set again."
    )


def test_a_mask_of_another_size(path):
    write_images(path / "Test" / "Test001_gt", np.zeros((1, 10, 12), np.uint8), ["001.bmp"])
    _, labels = UCSDDataset("ucsdped2", path, COUNTS).test_videos()[0]
    with pytest.raises(VadError) as caught:
        labels.mask(0)
    assert str(caught.value) == (
        f"the mask {path}/Test/Test001_gt/001.bmp is 12x10, but the frames in {path}/Test/Test001 are 36x24; "
        "unpack the data set again."
    )


def test_a_folder_without_the_data_set(tmp_path):
    with pytest.raises(VadError) as caught:
        open_dataset("ucsdped2", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no folder UCSDped2 with the folders Train and Test in it; unpack the data set there or give "
        "the folder it lies in."
    )


def test_an_unknown_data_set(tmp_path):
    with pytest.raises(VadError) as caught:
        open_dataset("ped2", tmp_path)
    assert str(caught.value) == (
        "there is no data set 'ped2' (did you mean ucsdped2?); choose one of shapes, ucsdped1, ucsdped2, folder."
    )


def test_a_missing_folder(tmp_path):
    with pytest.raises(VadError) as caught:
        open_dataset("shapes", tmp_path / "nowhere")
    assert str(caught.value) == (
        f"the data folder {tmp_path}/nowhere does not exist; give the folder that holds the data set shapes."
    )
