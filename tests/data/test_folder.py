import numpy as np
import pytest

from keras_vad.data import open_dataset
from keras_vad.errors import VadError
from keras_vad.testing.dataset_contract import Contents, DatasetContract
from tests.data.media import colour_frames, gray_frames, write_images, write_video


class TestVideosAndFrameFolders(DatasetContract):
    """Video files and frame folders side by side, frames not padded with zeros, labels by name or file name."""

    key = "folder"

    def build(self, root):
        contents = Contents(
            train={"cam1": colour_frames(6, (32, 48)), "cam2": gray_frames(12), "cam10": colour_frames(5)},
            test={"a": colour_frames(7, (32, 48)), "b": gray_frames(4)},
            labels={"a": np.array([0, 1, 1, 0, 0, 1, 0], bool), "b": np.zeros(4, bool)},
            tolerance=12.0,  # the codec's
        )
        write_video(root / "train" / "cam1.avi", contents.train["cam1"])
        write_images(root / "train" / "cam2", contents.train["cam2"], [f"frame{i}.png" for i in range(12)])
        write_images(root / "train" / "cam10", contents.train["cam10"])
        write_video(root / "test" / "a.mp4", contents.test["a"])
        write_images(root / "test" / "b", contents.test["b"])
        (root / "labels.csv").write_text("video,start,end\na,2,3\na.mp4,6,6\n\n")
        return contents


class TestTrainingOnly(DatasetContract):
    """A folder that holds training videos itself."""

    key = "folder"

    def build(self, root):
        contents = Contents({"one": gray_frames(4), "two": colour_frames(5)}, {}, {})
        for name, frames in contents.train.items():
            write_images(root / name, frames)
        return contents


class TestUnlabelled(DatasetContract):
    """One training video of frames that lie in ``train`` itself, and test videos without labels."""

    key = "folder"

    def build(self, root):
        contents = Contents({"train": gray_frames(11)}, {"street": gray_frames(4, seed=1)}, {"street": None})
        write_images(root / "train", contents.train["train"])
        write_images(root / "test" / "street", contents.test["street"])
        return contents


def refused(path) -> str:
    with pytest.raises(VadError) as caught:
        for _, labels in open_dataset("folder", path).test_videos():
            assert labels is not None
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    for name in ("train/x", "test/y"):
        write_images(tmp_path / name, gray_frames(5))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("z,1,2", "line 2 of {labels} names the video 'z', which is not in {path}/test; correct the line."),
        ("y,4,6", "line 2 of {labels} ends at frame 6, but y has 5 frames; correct the line."),
        *(
            (
                line,
                f"line 2 of {{labels}} is '{line}', but VIDEO,START,END with frames counted from 1 and START <= END is "
                "expected; correct the line.",
            )
            for line in ("y,0,2", "y,3,2", "y,1", "y,one,2", "y,1,-2")
        ),
    ],
)
def test_a_wrong_line_of_the_labels(path, line, sentence):
    labels = path / "labels.csv"
    labels.write_text(f"video,start,end\n{line}\n")
    assert refused(path) == sentence.format(labels=labels, path=path)


def test_labels_without_their_first_line(path):
    (path / "labels.csv").write_text("y,1,2\n")
    assert refused(path) == f"{path}/labels.csv must begin with the line 'video,start,end'; add it."


def test_labels_need_test_videos(tmp_path):
    write_images(tmp_path / "x", gray_frames(5))
    (tmp_path / "labels.csv").write_text("video,start,end\nx,1,2\n")
    assert refused(tmp_path) == (
        f"line 2 of {tmp_path}/labels.csv names the video 'x', which is not in {tmp_path}/test; correct the line."
    )


def left_out(path):
    dataset = open_dataset("folder", path)
    return [video.name for video in dataset.train_videos()], [str(one) for one in dataset.left_out]


def test_what_is_no_recording_is_left_out_and_told(path):
    (path / "train" / "notes.txt").write_text("which camera was it?")
    (path / "train" / "broken.mp4").write_text("no film")
    (path / "train" / "empty").mkdir()
    names, told = left_out(path)
    assert names == ["x"]
    assert told == [
        f"{path}/train/empty (an empty folder)",
        f"{path}/train/notes.txt (neither a video nor an image)",
        f"{path}/train/broken.mp4 (cannot be opened as a video (Invalid data found when processing input); it may be "
        "truncated or of another type: copy it again or convert it with ffmpeg)",
    ]


def test_folders_of_days_as_recorders_write_them(tmp_path):
    for seed, name in enumerate(("2024-05-01/12/34.mp4", "2024-05-01/12/35.mp4", "2024-05-02/00/01.mp4")):
        write_video(tmp_path / name, colour_frames(6, (32, 48), seed=seed), codec="libx264")
    write_images(tmp_path / "2024-05-01" / "12", gray_frames(1), ["34.jpg"])  # a thumbnail
    write_images(tmp_path / "stills", gray_frames(5))
    names, told = left_out(tmp_path)
    assert names == ["2024-05-01/12/34", "2024-05-01/12/35", "2024-05-02/00/01", "stills"]
    assert told == [f"{tmp_path}/2024-05-01/12 (an image beside videos)"]


def test_a_file_beside_frames_is_left_out_and_told(path, caplog):
    (path / "train" / "x" / "notes.txt").write_text("which camera was it?")
    assert left_out(path) == (["x"], [])
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}/train/x: files that are no images are left out: notes.txt."
    ]


def test_the_same_recording_twice_counts_once(path):
    write_images(path / "train" / "copy", gray_frames(5))
    assert left_out(path) == (["copy"], [f"{path}/train/x (the same as copy)"])


def test_a_folder_without_recordings_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("which camera was it?")
    with pytest.raises(VadError) as caught:
        open_dataset("folder", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no videos; found {tmp_path}/notes.txt (neither a video nor an image); put video files or "
        "folders of frames there."
    )


def test_two_videos_of_one_name(path):
    write_video(path / "train" / "x.avi", colour_frames(3, (32, 48)))
    assert refused(path) == f"{path}/train/x.avi and x would both be called 'x'; rename one of them."


def test_test_videos_alone(tmp_path):
    write_images(tmp_path / "test" / "y", gray_frames(3))
    assert refused(tmp_path) == (
        f"{tmp_path} holds a folder test but no folder train; put videos of normal scenes in {tmp_path}/train."
    )
