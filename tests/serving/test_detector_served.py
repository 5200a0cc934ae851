"""A real detector, exported, served and scored: over gRPC and in process the numbers are the same."""

import io

import numpy as np
import pytest
from keras_vad_client import VadClient, VadClientError
from keras_vad_client.chunks import Chunk
from PIL import Image

import keras_vad
from keras_vad.artifacts.saved_model import export
from keras_vad.errors import VadError
from keras_vad.scoring.calibrate import calibration_knots
from keras_vad_server.server import ServerOptions, start_server
from keras_vad_server.store import ModelStore
from tests.command import verb

score = verb("score")


def video(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=[8, 5], ids=["windows-side-by-side", "windows-overlap"])
def detector(request):
    detector = keras_vad.build(
        "adv3dcae",
        image_size=(32, 48),
        window_length=8,
        hop=request.param,
        channels=(2, 4, 4),
        discriminator_channels=(2, 2, 2),
    )
    detector.adapt([video(20, seed=1)])
    knots, levels = calibration_knots(detector.score_video(video(40, seed=2)).raw, 0.9)
    detector.calibration_raw.assign(knots)
    detector.calibration_level.assign(levels)
    return detector


@pytest.fixture(scope="module")
def zoo(detector, tmp_path_factory):
    zoo = tmp_path_factory.mktemp("zoo")
    export(detector, zoo, "noise")
    return zoo


@pytest.fixture(scope="module")
def target(zoo):
    store = ModelStore(zoo)
    store.refresh()
    server, port = start_server(store, ServerOptions(port=0))
    yield f"localhost:{port}"
    server.stop(None).wait()


def assert_same(found, expected):
    np.testing.assert_array_equal(found.frame_index, expected.frame_index)
    np.testing.assert_allclose(found.raw, expected.raw, rtol=1e-5)
    np.testing.assert_allclose(found.calibrated, expected.calibrated, atol=1e-5)
    np.testing.assert_array_equal(found.alarm, expected.alarm)


def test_encoded_frames_have_the_scores_of_raw_ones(detector, target):
    frames = video(20, seed=5)
    images = []
    for frame in frames:
        with io.BytesIO() as file:
            Image.fromarray(frame).save(file, "png")  # loses nothing, so the pixels are the same
            images.append(file.getvalue())
    with VadClient(target, "noise", transport="jpeg") as client:
        assert_same(client.score(images), detector.score_video(frames))


def test_describes_its_window(detector, target):
    expected = detector.window
    with VadClient(target, "noise") as client:
        window = client.window
    for name in ("length", "step", "span", "hop", "size", "channels"):
        assert getattr(window, name) == getattr(expected, name)
    assert window.offsets == expected.scored


@pytest.mark.parametrize(("n", "chunk_length"), [(8, None), (70, None), (70, 20)])
def test_same_scores_as_in_process(detector, target, n, chunk_length):
    frames = video(n)
    with VadClient(target, "noise", chunk_length=chunk_length) as client:
        found = client.score(frames)
    expected = detector.score_video(frames, chunk_length=chunk_length)
    assert len(found) == n
    assert_same(found, expected)


def test_same_maps_as_in_process(detector, target):
    frames = video(12)
    with VadClient(target, "noise") as client:
        found = client.score(frames, maps=True)
    expected = detector.score_video(frames, maps=True)
    assert found.maps.shape == expected.maps.shape
    np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-4, atol=1e-6)


def test_score_tool_writes_the_same_file_both_ways(zoo, target, tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, frame in enumerate(video(30)):
        Image.fromarray(frame).save(folder / f"{number:03d}.png")
    served, in_process = tmp_path / "served.csv", tmp_path / "in_process.csv"
    assert score([str(folder), "--server", target, "--model", "noise", "--csv", str(served)]) == 0
    assert score([str(folder), "--zoo", str(zoo), "--model", "noise", "--csv", str(in_process)]) == 0
    found, expected = (np.genfromtxt(path, delimiter=",", skip_header=1) for path in (served, in_process))
    assert found.shape == (30, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_chunk_shorter_than_the_window_is_refused_by_the_graph(target):
    with VadClient(target, "noise") as client:
        request = client._chunk_request(Chunk(list(video(7)), 0, range(7)), maps=False)
        with pytest.raises(VadClientError, match=r"INVALID_ARGUMENT: .* at least 8"):
            client._ask(request, client._closed)


def test_score_tool_without_such_a_model(zoo, tmp_path):
    Image.fromarray(video(1)[0]).save(tmp_path / "0.png")
    with pytest.raises(VadError, match="there is no detector 'nope'"):
        score([str(tmp_path), "--zoo", str(zoo), "--model", "nope", "--csv", str(tmp_path / "s.csv")])
