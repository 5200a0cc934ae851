"""Publishing to a zoo: versions, names, a full disk. What the exported graph computes is in the detector contract."""

import hashlib
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_vad
from keras_vad.artifacts.layout import CARD_FILE, DETECTOR_FILE
from keras_vad.artifacts.saved_model import export
from keras_vad.artifacts.warmup import WARMUP_FILE
from keras_vad.common.names import versions
from keras_vad.errors import VadError
from keras_vad.layers.frames import resize_frames
from keras_vad.scoring.calibrate import apply_calibration
from keras_vad_server.deployment import batching_parameters, input_specs
from tests.command import verb
from tests.data.media import file_size_limit

main = verb("export")


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    return keras_vad.build(
        "adv3dcae", image_size=(8, 12), window_length=4, hop=3, channels=(2, 3), discriminator_channels=(2,)
    )


CALIBRATION = {"alarm_quantile": 0.99, "boundary": -1.0, "normal_frames": 400}
TRAINING = {"dataset": "shapes", "recipe": "compact", "seed": 3}


@pytest.fixture(scope="module")
def version(detector, tmp_path_factory):
    return export(detector, tmp_path_factory.mktemp("zoo"), "street", calibration=CALIBRATION, training=TRAINING)


def contents(folder):
    """Hash of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_versions_ascend_and_never_change(detector, tmp_path):
    first = export(detector, tmp_path / "zoo", "street")
    assert first == tmp_path / "zoo" / "street" / "1"
    before = contents(first)
    assert {"saved_model.pb", str(DETECTOR_FILE), str(WARMUP_FILE), str(CARD_FILE)} <= set(before)
    (tmp_path / "zoo" / "street" / "9").mkdir()
    (tmp_path / "zoo" / "street" / "notes").mkdir()
    (tmp_path / "zoo" / "street" / "12").touch()  # a file is no version
    assert (tmp_path / "zoo" / "street" / CARD_FILE.name).read_bytes() == (first / CARD_FILE).read_bytes()
    second = export(detector, tmp_path / "zoo", "street")
    assert second.name == "10"
    assert json.loads((second / CARD_FILE).read_text())["version"] == 10
    assert (tmp_path / "zoo" / "street" / CARD_FILE.name).read_bytes() == (second / CARD_FILE).read_bytes()
    assert contents(first) == before
    assert versions(tmp_path / "zoo" / "street") == [1, 9, 10]
    assert {entry.name for entry in (tmp_path / "zoo" / "street").iterdir()} == {
        *("1", "9", "10", "12", "notes", "model_card.json")
    }


def test_the_signatures_are_batch_first_and_say_what_a_client_must_know(version):
    model = tf.saved_model.load(str(version))
    assert set(model.signatures) == {"serving_default", "score_maps", "score_jpegs", "describe"}
    frames = tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")
    jpegs = tf.TensorSpec((None, None), tf.string, name="jpegs")
    for name, spec, wanted in (
        ("serving_default", frames, ()),
        ("score_maps", frames, ("maps",)),
        ("score_jpegs", jpegs, ()),
    ):
        assert model.signatures[name].structured_input_signature[1] == {spec.name: spec}
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


def test_encoded_frames_of_any_format_and_size(detector, version):
    score = tf.saved_model.load(str(version)).signatures["score_jpegs"]
    pictures = np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3), dtype=np.uint8)
    pictures[1] = pictures[1, ..., :1]  # gray
    encoded = [tf.io.encode_png(pictures[0]), tf.io.encode_png(pictures[1, ..., :1])]
    for picture, kind in ((pictures[2], "BMP"), (pictures[3], "GIF")):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind)
        encoded.append(tf.constant(file.getvalue()))
    pictures[3] = Image.open(io.BytesIO(encoded[3].numpy())).convert("RGB")  # a GIF has 256 colours only
    expected = detector.score_chunk(tf.constant(pictures[None]))
    found = score(jpegs=tf.stack(encoded)[None])
    assert set(found) == {"scores", "raw_scores", "frame_offsets"}
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)

    # A camera that changes its resolution: every frame is resized by itself.
    large = Image.fromarray(pictures[0]).resize((48, 40), Image.Resampling.NEAREST)
    file = io.BytesIO()
    large.save(file, "PNG")
    resized = [resize_frames(tf.constant(np.asarray(picture)), (8, 12)) for picture in (large, *pictures[1:])]
    expected = detector.score_chunk(tf.stack(resized)[None])
    found = score(jpegs=tf.stack([tf.constant(file.getvalue()), *encoded[1:]])[None])
    np.testing.assert_allclose(found["raw_scores"], expected["raw_scores"], rtol=1e-5)

    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        score(jpegs=tf.constant([[b"no picture"] * 4]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="this model needs at least 4"):
        score(jpegs=tf.stack(encoded[:3])[None])


def test_the_card_says_what_a_client_must_know(detector, version):
    text = (version / CARD_FILE).read_text("utf-8")
    assert (version.parent / "model_card.json").read_text("utf-8") == text
    card = json.loads(text)
    assert list(card)[:2] == ["name", "version"]
    assert (card["name"], card["version"], card["method"]) == ("street", 1, "adv3dcae")
    assert card["paper"].startswith("Sun et al. 2020: ")
    assert card["input"] == {
        **{"height": 8, "width": 12, "channels": 1, "length": 4, "step": 1, "span": 4, "hop": 3},
        **{"targets": [], "offsets": [0, 1, 2, 3], "chunk_length": 64, "shortest_chunk": 7, "chunk_step": 3},
    }
    assert input_specs(version.parents[1], {"street": [1]}) == [card["input"]]
    assert batching_parameters([card["input"]]).max_enqueued_batches.value == 256  # it is tiny
    assert card["signatures"]["score_jpegs"] == {
        "inputs": {"jpegs": {"dtype": "string", "shape": [None, None]}},
        "outputs": {
            "frame_offsets": {"dtype": "int32", "shape": [None, None]},
            "raw_scores": {"dtype": "float32", "shape": [None, None]},
            "scores": {"dtype": "float32", "shape": [None, None]},
        },
    }
    assert set(card["signatures"]) == {"serving_default", "score_maps", "score_jpegs", "describe"}
    # The boundary is the exported graph's, whatever the report said.
    raw = tf.constant([card["calibration"]["boundary"]])
    level = apply_calibration(raw, detector.calibration_raw.numpy(), detector.calibration_level.numpy())
    assert level.numpy() == [0.5]
    assert card["calibration"].items() >= {"alarm_quantile": 0.99, "normal_frames": 400, "alarm_above": 0.5}.items()
    assert card["training"] == TRAINING
    assert card["parameters"] == sum(weight.shape.num_elements() for weight in detector.trainable_variables)
    assert keras_vad.build(card["method"], **card["config"]).get_config() == detector.get_config()
    assert card["libraries"]["tensorflow"] == tf.__version__
    assert abs(datetime.now(UTC) - datetime.fromisoformat(card["created"])) < timedelta(minutes=10)


def test_processes_that_publish_at_once_get_a_version_each(detector, tmp_path):
    detector.save(tmp_path / "detector.keras")
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import keras_vad\n"
        "from keras_vad.artifacts.saved_model import export\n"
        "folder = Path(sys.argv[1])\n"
        "detector = keras_vad.load(folder / 'detector.keras')\n"
        "print('ready', flush=True)\n"
        "print(export(detector, folder / 'zoo', 'street').name)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(keras_vad.__file__).parents[1])},
    )  # fmt: skip
    ready = other.stdout.readline()
    mine = export(detector, tmp_path / "zoo", "street").name
    theirs, errors = other.communicate(timeout=240)
    assert (ready, other.returncode) == ("ready\n", 0), errors
    assert sorted([mine, theirs.strip()]) == ["1", "2"]
    folder = tmp_path / "zoo" / "street"
    assert {entry.name for entry in folder.iterdir()} == {"1", "2", "model_card.json"}
    frames = tf.zeros((1, 4, 8, 12, 3), tf.uint8)
    expected = detector.score_chunk(frames)["raw_scores"]
    for number in (1, 2):
        version = folder / str(number)
        assert set(contents(version)) == set(contents(folder / "1"))
        assert json.loads((version / CARD_FILE).read_text())["version"] == number
        served = tf.saved_model.load(str(version)).signatures["serving_default"](frames=frames)
        tf.debugging.assert_near(served["raw_scores"], expected)
        assert keras_vad.load(version).get_config() == detector.get_config()
    assert (folder / CARD_FILE.name).read_bytes() == (folder / "2" / CARD_FILE).read_bytes()


def test_a_version_that_appears_meanwhile_is_not_touched(detector, tmp_path, monkeypatch):
    """Another process takes the number while this one writes: the rename fails, and the next number is taken."""
    save = type(detector).save

    def slow(self, path):
        save(self, path)
        (tmp_path / "street" / "1").mkdir()
        (tmp_path / "street" / "1" / "saved_model.pb").write_bytes(b"another's")
        (tmp_path / "street" / "2").touch()  # a file is no version, but in the way

    monkeypatch.setattr(type(detector), "save", slow)
    version = export(detector, tmp_path, "street")
    assert version.name == "3"
    assert json.loads((version / CARD_FILE).read_text())["version"] == 3
    assert contents(tmp_path / "street" / "1") == {"saved_model.pb": hashlib.sha256(b"another's").hexdigest()}


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
    assert {entry.name for entry in (tmp_path / "street").iterdir()} == {"1", "model_card.json"}
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
    (tmp_path / "run" / "config.yaml").write_text("{dataset: shapes, recipe: compact, seed: 3, data_dir: elsewhere}")
    (tmp_path / "run" / "report.json").write_text(json.dumps({"calibration": CALIBRATION}))
    arguments = ["--model", str(tmp_path / "run"), "--zoo", str(tmp_path / "zoo"), "--name", "street"]
    assert main(arguments) == 0
    target = tmp_path / "zoo" / "street" / "1"
    assert capsys.readouterr().out == f"exported: {target}\n"
    card = json.loads((target / CARD_FILE).read_text())
    options = {"data": None, "training": None, "scoring": None}
    unknown = dict.fromkeys(("data_fingerprint", "git", "from", "trained_on"))
    assert card["training"] == {**TRAINING, **unknown, "options": options}
    assert card["calibration"]["alarm_quantile"] == 0.99
    frames = tf.random.stateless_uniform((1, 9, 20, 24, 3), [1, 2], 0, 256, tf.int32)
    served = tf.saved_model.load(str(target)).signatures["serving_default"](frames=tf.cast(frames, tf.uint8))
    expected = detector.score_chunk(tf.cast(frames, tf.uint8))
    tf.debugging.assert_near(served["raw_scores"], expected["raw_scores"], atol=1e-6, rtol=1e-5)
    assert main(arguments) == 0
    assert versions(tmp_path / "zoo" / "street") == [1, 2]
    with pytest.raises(VadError, match="the model name 'a/b' does not serve"):
        main([*arguments[:-1], "a/b"])
