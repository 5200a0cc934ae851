"""Publishing to a zoo: versions, names, a full disk. What the exported graph computes is in the detector contract."""

import hashlib

import keras
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.errors import VadError
from keras_vad.export import DETECTOR_FILE, export, versions
from tests.data.media import file_size_limit
from tools.export import main


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    return keras_vad.build(
        "adv3dcae", image_size=(8, 12), window_length=4, window_stride=3, channels=(2, 3), discriminator_channels=(2,)
    )


def contents(folder):
    """Hash of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_versions_ascend_and_never_change(detector, tmp_path):
    first = export(detector, tmp_path / "zoo", "street")
    assert first == tmp_path / "zoo" / "street" / "1"
    before = contents(first)
    assert {"saved_model.pb", str(DETECTOR_FILE)} <= set(before)
    (tmp_path / "zoo" / "street" / "9").mkdir()
    (tmp_path / "zoo" / "street" / "notes").mkdir()
    (tmp_path / "zoo" / "street" / "12").touch()  # a file is no version
    assert export(detector, tmp_path / "zoo", "street").name == "10"
    assert contents(first) == before
    assert versions(tmp_path / "zoo" / "street") == [1, 9, 10]
    assert {entry.name for entry in (tmp_path / "zoo" / "street").iterdir()} == {"1", "9", "10", "12", "notes"}


def test_the_signatures_are_batch_first_and_say_what_a_client_must_know(detector, tmp_path):
    model = tf.saved_model.load(str(export(detector, tmp_path, "street")))
    assert set(model.signatures) == {"serving_default", "score_maps", "describe"}
    for name, wanted in (("serving_default", ()), ("score_maps", ("maps",))):
        inputs = model.signatures[name].structured_input_signature[1]
        assert inputs == {"frames": tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")}
        outputs = model.signatures[name].structured_outputs
        assert set(outputs) == {"scores", "raw_scores", "frame_offsets", *wanted}
        assert outputs["frame_offsets"].dtype == tf.int32
    described = model.signatures["describe"](query=tf.zeros(3, tf.int32))
    expected = {"length": 4, "step": 1, "span": 4, "hop": 3, "height": 8, "width": 12, "channels": 1}
    assert {name: value.numpy().tolist() for name, value in described.items() if name != "offsets"} == {
        name: [value] * 3 for name, value in expected.items()
    }
    assert described["offsets"].numpy().tolist() == [[0, 1, 2, 3]] * 3
    assert all(value.dtype == tf.int32 for value in described.values())
    with pytest.raises(tf.errors.InvalidArgumentError, match="this model needs at least 4"):
        model.signatures["serving_default"](frames=tf.zeros((1, 3, 8, 12, 3), tf.uint8))


@pytest.mark.parametrize("n_bytes", [100, 40_000])
def test_a_full_disk_leaves_nothing(detector, tmp_path, n_bytes):
    with file_size_limit(n_bytes), pytest.raises(VadError) as caught:
        export(detector, tmp_path / "zoo", "street")
    assert str(caught.value).startswith(f"{tmp_path}/zoo/street/1 cannot be written (")
    assert str(caught.value).endswith("; free some space there or name another place.")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_versions_before(detector, tmp_path):
    before = contents(export(detector, tmp_path, "street"))
    with file_size_limit(10_000), pytest.raises(VadError):
        export(detector, tmp_path, "street")
    assert [entry.name for entry in (tmp_path / "street").iterdir()] == ["1"]
    assert contents(tmp_path / "street" / "1") == before


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "straße", "a b", "a\n"])
def test_a_name_that_does_not_serve(detector, tmp_path, name):
    with pytest.raises(VadError, match=r"the model name .* does not serve; it must start with a letter or digit"):
        export(detector, tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_zoo_that_is_a_file(detector, tmp_path):
    (tmp_path / "zoo").touch()
    with pytest.raises(VadError, match=r"zoo/street/1 cannot be written \(.*\); free some space there or name another"):
        export(detector, tmp_path / "zoo", "street")


def test_a_published_folder_never_holds_half_a_model(detector, tmp_path, monkeypatch):
    """What a server that watches the folder sees while the export writes: nothing, or all of it."""
    seen = []
    save = type(detector).save

    def watched(self, path):
        seen.extend(versions(tmp_path / "street"))
        save(self, path)

    monkeypatch.setattr(type(detector), "save", watched)
    export(detector, tmp_path, "street")
    assert seen == []
    assert versions(tmp_path / "street") == [1]


def test_the_tool_exports_what_a_run_has_saved(detector, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    detector.save(tmp_path / "run" / "detector.keras")
    arguments = ["--model", str(tmp_path / "run"), "--output", str(tmp_path / "zoo"), "--name", "street"]
    assert main(arguments) == 0
    target = tmp_path / "zoo" / "street" / "1"
    assert capsys.readouterr().out == f"exported: {target}\n"
    frames = tf.random.stateless_uniform((1, 9, 20, 24, 3), [1, 2], 0, 256, tf.int32)
    served = tf.saved_model.load(str(target)).signatures["serving_default"](frames=tf.cast(frames, tf.uint8))
    expected = detector.score_chunk(tf.cast(frames, tf.uint8))
    tf.debugging.assert_near(served["raw_scores"], expected["raw_scores"], atol=1e-6, rtol=1e-5)
    assert main(arguments) == 0
    assert versions(tmp_path / "zoo" / "street") == [1, 2]
    with pytest.raises(VadError, match="the model name 'a/b' does not serve"):
        main([*arguments[:-1], "a/b"])
