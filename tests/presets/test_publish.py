"""Publishing a run and loading what was published, with a real, tiny detector."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import yaml

import keras_vad
from keras_vad.data import open_dataset
from keras_vad.data.shapes import make_shapes
from keras_vad.errors import VadError
from keras_vad.models.adv3dcae import Adv3DCAE
from keras_vad.models.luss_ae import LussAE
from keras_vad.presets.index import PresetFile, changing_index, read_index
from keras_vad.presets.publish import publish
from keras_vad.presets.pull import list_presets, pull
from keras_vad.presets.storage import LARGEST_CHANGE
from tests.command import verb
from tests.data.media import file_size_limit
from tests.presets.zoo_server import served

main = verb("publish")
export_tool = verb("export")

LOGS = Path(__file__).parents[2] / "zoo" / "logs" / "adv3dcae_ucsdped2_compact-seed0"
TINY = {"image_size": (8, 12), "window_length": 4, "channels": (2, 3), "discriminator_channels": (2,)}
CONFIG = {
    "method": "adv3dcae",
    "dataset": "ucsdped2",
    "recipe": "adv3dcae_ucsdped2_compact",
    "seed": 3,
    "data_fingerprint": "0ef064b3619c52c8",
    "git": "0123456789ab",
    "versions": {"keras_vad": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"},
}
ROW = {"model": "adv3dcae", "score": "frame_scores", "smoothing": 1, "auroc_micro": 0.93, "eer": 0.12, "f1": 0.5}
EVALUATION = {
    "about": {**{key: CONFIG[key] for key in ("dataset", "recipe", "seed", "data_fingerprint")}, "model": "adv3dcae"},
    "protocols": {"paper": "rescaled", "deployable": "calibrated"},
    "rows": [
        {**ROW, "protocol": "paper", "false_alarms": None},
        {**ROW, "protocol": "deployable", "auroc_micro": 0.88, "false_alarms": 3},
        {**ROW, "protocol": "paper", "score": "mean_error"},
        {**ROW, "protocol": "paper", "model": "trivial_frame_difference"},
    ],
}


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    return keras_vad.build("adv3dcae", **TINY)


@pytest.fixture(scope="module")
def saved(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    detector.save(folder / "detector.keras")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "report.json").write_text(json.dumps({"calibration": {"alarm_quantile": 0.99}}))
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    return folder


@pytest.fixture
def run(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "run"))


@pytest.fixture
def zoo(run, tmp_path):
    publish(run, tmp_path / "zoo", "street")
    return tmp_path / "zoo"


def assert_same(found, expected):
    for weight, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(weight, other, err_msg=weight.path)


def test_the_index_and_the_card_say_all(run, tmp_path):
    version = publish(run, tmp_path / "zoo", "street", licence="MIT", log="zoo/logs/street")
    assert version == tmp_path / "zoo" / "presets" / "street" / "1"
    assert {path.relative_to(tmp_path / "zoo").as_posix() for path in (tmp_path / "zoo").rglob("*")} == {
        *("index.json", "presets", "presets/street", "presets/street/1"),
        *("presets/street/1/detector.keras", "presets/street/1/model_card.json"),
    }
    assert (version / "detector.keras").read_bytes() == (run / "detector.keras").read_bytes()
    index = json.loads((tmp_path / "zoo" / "index.json").read_text())
    assert index["format"] == 1
    (entry,) = index["presets"]
    assert (entry["name"], entry["version"]) == ("street", 1)
    for file in entry["files"]:
        data = (version / file["name"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert [file["name"] for file in entry["files"]] == ["detector.keras", "model_card.json"]
    assert (entry["method"], entry["licence"], entry["recipe"], entry["seed"]) == (
        *("adv3dcae", "MIT", "adv3dcae_ucsdped2_compact", 3),
    )
    assert entry["dataset"]["name"] == "ucsdped2"
    assert entry["dataset"]["fingerprint"] == "0ef064b3619c52c8"
    assert "without a licence" in entry["dataset"]["terms"]
    assert entry["metrics"] == [
        {**figures, "smoothing": 1, "eer": 0.12}
        for figures in (
            {"protocol": "paper", "protocol_description": "rescaled", "auroc_micro": 0.93},
            {"protocol": "deployable", "protocol_description": "calibrated", "auroc_micro": 0.88, "false_alarms": 3},
        )
    ]
    assert (entry["input"]["height"], entry["input"]["width"], entry["input"]["length"]) == (8, 12, 4)
    assert entry["libraries"] == CONFIG["versions"]
    card = json.loads((version / "model_card.json").read_text())
    assert (card["name"], card["version"], card["calibration"]["alarm_quantile"]) == ("street", 1, 0.99)
    assert {key: card[key] for key in ("licence", "dataset", "metrics", "input")} == {
        key: entry[key] for key in ("licence", "dataset", "metrics", "input")
    }
    assert card["training"]["git"] == "0123456789ab"
    assert card["log"] == "zoo/logs/street"
    assert "chance" in card["limits"] and "camera" in card["intended_use"]


def test_the_figures_of_a_real_evaluation(run, tmp_path):
    shutil.copyfile(LOGS / "config.yaml", run / "config.yaml")
    publish(run, tmp_path / "zoo", "street", evaluation=LOGS / "summary.json")
    (preset,) = read_index(tmp_path / "zoo")
    assert {(row["protocol"], row["smoothing"]) for row in preset.about["metrics"]} == {
        (protocol, smoothing) for protocol in ("paper", "deployable") for smoothing in (1, 9)
    }
    found = next(row for row in preset.about["metrics"] if (row["protocol"], row["smoothing"]) == ("paper", 1))
    about = {"log": f"zoo/logs/{LOGS.name}", "score": "frame_scores", "protocol": "paper", "smoothing": "1"}
    with (LOGS.parents[1] / "results.csv").open() as file:
        (row,) = (row for row in csv.DictReader(file) if all(row[key] == value for key, value in about.items()))
    assert (f"{found['auroc_micro']:.4f}", f"{found['eer']:.4f}") == (row["auroc_micro"], f"{float(row['eer']):.4f}")


def test_an_exported_preset_keeps_where_it_comes_from(run, tmp_path, monkeypatch, capsys):
    publish(run, tmp_path / "zoo", "street")
    monkeypatch.chdir(tmp_path)
    assert export_tool(["--model", "street", "--name", "street"]) == 0
    card = json.loads((tmp_path / "zoo" / "street" / "model_card.json").read_text())
    assert (card["training"]["recipe"], card["training"]["git"]) == ("adv3dcae_ucsdped2_compact", "0123456789ab")
    assert card["calibration"]["alarm_quantile"] == 0.99
    assert list_presets() == ["street"]


def test_versions_ascend_and_the_newest_is_loaded(run, detector, zoo, tmp_path, monkeypatch):
    first = (zoo / "presets" / "street" / "1" / "detector.keras").read_bytes()
    keras.utils.set_random_seed(1)
    other = keras_vad.build("adv3dcae", **TINY)
    other.save(run / "detector.keras")
    assert publish(run, zoo, "street").name == "2"
    assert (zoo / "presets" / "street" / "1" / "detector.keras").read_bytes() == first
    assert [(preset.name, preset.version) for preset in read_index(zoo)] == [("street", 1), ("street", 2)]
    assert_same(keras_vad.load("street", zoo), other)
    assert_same(keras_vad.load("street/1", zoo), detector)
    monkeypatch.chdir(tmp_path)
    assert_same(Adv3DCAE.from_preset("street/1"), detector)
    with pytest.raises(VadError, match="street is a Adv3DCAE, not a LussAE; use "):
        LussAE.from_preset("street")
    with pytest.raises(VadError, match=r"there is no detector 'street/7': .*and no store of presets is known"):
        keras_vad.load("street/7")


def test_a_preset_from_the_network_scores_a_video(zoo, detector, tmp_path, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 256, (9, 20, 24, 3), dtype=np.uint8)
    monkeypatch.chdir(tmp_path / "run")
    with served(zoo) as server:
        monkeypatch.setenv("KERAS_VAD_STORES", server.address)
        assert keras_vad.list_presets("str*") == ["street"]
        np.testing.assert_array_equal(
            keras_vad.load("street").score_video(frames).raw, detector.score_video(frames).raw
        )
        with pytest.raises(VadError, match=f"there is no preset 'avenue': {server.address} has street; choose one"):
            keras_vad.load("avenue")
    assert_same(keras_vad.load("street"), detector)  # from the cache: nobody answers any more
    assert_same(keras_vad.load("street/1"), detector)


def test_a_changed_file_is_not_loaded(zoo, run):
    file = zoo / "presets" / "street" / "1" / "detector.keras"
    keras_vad.build("adv3dcae", **TINY).save(file)  # it would load
    with pytest.raises(VadError) as caught:
        keras_vad.load("street", zoo)
    assert str(caught.value).startswith(f"{file} has ")
    assert str(caught.value).endswith("it is damaged or was changed; pull the preset again.")
    file.unlink()
    with pytest.raises(VadError, match=r"cannot be read \(No such file or directory\); pull the preset again"):
        keras_vad.load("street", zoo)
    with changing_index(zoo) as presets:
        presets.clear()
    publish(run, zoo, "yard")
    with changing_index(zoo) as presets:
        presets.clear()
    with pytest.raises(VadError, match="there is no detector 'yard'"):  # its files are there, but not in the index
        keras_vad.load("yard", zoo)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("a/b", {}, "the model name 'a/b' does not serve"),
        (
            "street",
            {"config.yaml": None},
            "run is no finished run: it has no config.yaml; train one with keras-vad train",
        ),
        ("street", {"detector.keras": None}, "run is no finished run: it has no detector.keras"),
        (
            "street",
            {"detector.keras": b"PK"},
            r"detector.keras cannot be loaded as a detector \(File is not a zip file\)",
        ),
        (
            "street",
            {"evaluation.json": b"{}"},
            "evaluation.json is no evaluation; write it with keras-vad evaluate --json",
        ),
        (
            "street",
            {"evaluation.json": json.dumps({**EVALUATION, "about": {**EVALUATION["about"], "seed": 4}}).encode()},
            "evaluation.json is of another run: its seed is 4, but that of the run is 3; evaluate the run folder",
        ),
        (
            "street",
            {"config.yaml": yaml.safe_dump({**CONFIG, "dataset": "folder"}).encode()},
            "the terms of the data set folder are not known; tell them with --data-terms",
        ),
        (
            "street",
            {"config.yaml": yaml.safe_dump({**CONFIG, "method": "luss_ae"}).encode(), "evaluation.json": None},
            "detector.keras is of adv3dcae, but the run's config.yaml of luss_ae",
        ),
    ],
)
def test_what_is_not_published_leaves_nothing(run, tmp_path, name, change, message):
    for file, content in change.items():
        (run / file).unlink()
        if content is not None:
            (run / file).write_bytes(content)
    with pytest.raises(VadError, match=message):
        publish(run, tmp_path / "zoo", name)
    assert not (tmp_path / "zoo").exists()


def test_the_tool(run, tmp_path, capsys):
    (run / "evaluation.json").unlink()
    (run / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "dataset": "folder"}))
    words = ["--model", run, "--name", "mine", "--zoo", str(tmp_path / "zoo")]
    assert main([*words, "--data-terms", "our own camera"]) == 0
    assert capsys.readouterr().out == f"published: {tmp_path}/zoo/presets/mine/1\n"
    (preset,) = read_index(tmp_path / "zoo")
    assert preset.about["dataset"]["terms"] == "our own camera"
    assert preset.about["metrics"] == []
    with pytest.raises(VadError, match=r"there is no evaluation .*none.json"):
        main([*words, "--data-terms", "our own", "--evaluation", str(tmp_path / "none.json")])


def test_a_full_disk_keeps_what_was_there(run, zoo):
    before = {path: path.read_bytes() for path in zoo.rglob("*") if path.is_file()}
    for limit in (1000, (run / "detector.keras").stat().st_size + 1):
        with file_size_limit(limit), pytest.raises(VadError, match="cannot be written"):
            publish(run, zoo, "a" * 200 if limit > 1000 else "street", data_terms="x" * 200_000)
        assert {path: path.read_bytes() for path in zoo.rglob("*") if path.is_file()} == before


def test_processes_that_publish_and_pull_at_once(run, tmp_path):
    """One more process publishes the same name; this one publishes, pulls and lists meanwhile."""
    script = (
        "import sys; from pathlib import Path; from keras_vad.presets.publish import publish\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(3): print(publish(Path(sys.argv[1]), Path(sys.argv[2]), 'street').name)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(run), str(tmp_path / "zoo")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(keras_vad.__file__).parents[1],
    )  # fmt: skip
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("\n")
    other.stdin.flush()
    mine = []
    for _ in range(3):
        mine.append(publish(run, tmp_path / "zoo", "street").name)
        pulled = pull("street", zoo=tmp_path / "here", stores=[tmp_path / "zoo"])
        assert list_presets(zoo=tmp_path / "here") == ["street"]
        assert (pulled / "detector.keras").read_bytes() == (run / "detector.keras").read_bytes()
    theirs, errors = other.communicate(timeout=240)
    assert other.returncode == 0, errors
    assert sorted(map(int, [*mine, *theirs.split()])) == list(range(1, 7))
    presets = read_index(tmp_path / "zoo")
    assert [preset.version for preset in presets] == list(range(1, 7))
    for preset in presets:
        for file in preset.files:
            file.check(tmp_path / "zoo" / preset.folder / file.name)
    assert {path.name for path in (tmp_path / "zoo").iterdir()} == {"index.json", "presets"}


def poisoned(zoo, change):
    """Publish a changed file of a detector as its publisher would: with the right hash."""
    file = zoo / "presets" / "street" / "1" / "detector.keras"
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members, file.parent)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with changing_index(zoo) as presets:
        (preset,) = presets
        files = tuple(PresetFile.of(file.parent / one.name) for one in preset.files)
        presets[:] = [type(preset)(preset.name, preset.version, files, preset.about)]


def in_config(change):
    def poison(members, _):
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()

    return poison


def a_lambda(config):
    code = keras.src.utils.python_utils.func_dump(lambda frames: Path("poison").touch())
    config["config"]["channels"] = {"class_name": "__lambda__", "config": {"value": list(code)}}


def another_class(config):
    config.update(module="subprocess", class_name="Popen", registered_name="Popen", config={"args": "touch poison"})


def a_functional(config):
    inputs = keras.Input((3,))
    layer = keras.layers.Lambda(lambda value: Path("poison").touch() or value)
    config.clear()
    config.update(keras.saving.serialize_keras_object(keras.Model(inputs, layer(inputs))))
    Path("poison").unlink(missing_ok=True)  # made while the model was


def a_function(config):
    config["config"]["image_size"] = {
        "module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function",
    }  # fmt: skip


def outside(members, _):
    members["../../../poison"] = b"poison"
    members["assets/../../poison"] = b"poison"


def linked(members, folder):
    """Weights that Keras would read from another file of this machine."""
    (folder / "weights.h5").write_bytes(members["model.weights.h5"])
    with h5py.File(folder / "secret.h5", "w") as secret:
        secret["data"] = np.zeros(1)
    with h5py.File(folder / "weights.h5", "a") as weights:
        names = []
        weights.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            del weights[name]
            weights[name] = h5py.ExternalLink(str(folder / "secret.h5"), "data")
    members["model.weights.h5"] = (folder / "weights.h5").read_bytes()
    for name in ("weights.h5", "secret.h5"):
        (folder / name).unlink()


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_config(a_lambda), "is not loaded: an argument of its Adv3DCAE is an object of its own"),
        (in_config(a_function), "is not loaded: an argument of its Adv3DCAE is an object of its own"),
        (in_config(another_class), "holds a Popen, but a detector of keras_vad is needed"),
        (in_config(a_functional), "holds a Functional, but a detector of keras_vad is needed"),
        (in_config(lambda config: config["config"].update(exec="import os")), "cannot be loaded as a detector"),
        (outside, r"is not loaded: it also holds \.\./\.\./\.\./poison, which no file of a detector does"),
        (linked, r"cannot be loaded as a detector .*Not allowed: H5 file with ExternalLink"),
    ],
    ids=["lambda", "function", "class", "functional", "argument", "paths", "links"],
)
def test_a_poisoned_file_does_nothing(zoo, tmp_path, monkeypatch, change, message):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b" / "c")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "a"))
    poisoned(zoo, change)
    with served(zoo) as server:
        monkeypatch.setenv("KERAS_VAD_STORES", server.address)
        with pytest.raises(VadError, match=message):
            keras_vad.load("street")
    assert list(tmp_path.rglob("poison")) == []


class TestFloat16:
    """Weights in half the bytes."""

    @pytest.fixture
    def scenes(self, tmp_path):
        make_shapes(tmp_path / "shapes", train_frames=40, test_frames=10, seed=0, frames_per_video=20)
        return tmp_path / "shapes"

    @pytest.fixture
    def shapes_run(self, run, scenes):
        fingerprint = open_dataset("shapes", scenes).fingerprint()
        config = {**CONFIG, "dataset": "shapes", "data_fingerprint": fingerprint, "data": {"validation_share": 0.5}}
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        (run / "evaluation.json").unlink()
        return run

    def test_kernels_are_float16_in_the_file_and_float32_when_loaded(self, shapes_run, scenes, tmp_path, detector):
        assert (
            main(
                ["--model", shapes_run, "--name", "half", "--zoo", tmp_path / "zoo", "--float16", "--data-dir", scenes]
            )
            == 0
        )
        version = tmp_path / "zoo" / "presets" / "half" / "1"
        with zipfile.ZipFile(version / "detector.keras") as archive:
            archive.extract("model.weights.h5", tmp_path)
        types = {"vectors": set(), "kernels": set()}

        def note(name, item):
            if isinstance(item, h5py.Dataset):
                types["kernels" if item.ndim > 1 else "vectors"].add(item.dtype.name)

        with h5py.File(tmp_path / "model.weights.h5") as file:
            file.visititems(note)
        assert "float16" in types["kernels"]
        assert "float16" not in types["vectors"]
        loaded = keras_vad.load("half", zoo=tmp_path / "zoo")
        assert {weight.dtype for weight in loaded.trainable_weights} == {"float32"}
        for weight, expected in zip(loaded.trainable_weights, detector.trainable_weights, strict=True):
            exact = np.asarray(expected)
            if exact.ndim > 1:
                exact = exact.astype(np.float16).astype(np.float32)
            np.testing.assert_array_equal(weight, exact, err_msg=weight.path)
        for weight, expected in zip(loaded.non_trainable_weights, detector.non_trainable_weights, strict=True):
            np.testing.assert_array_equal(weight, expected, err_msg=weight.path)
        (entry,) = json.loads((tmp_path / "zoo" / "index.json").read_text())["presets"]
        storage = entry["storage"]
        assert storage == json.loads((version / "model_card.json").read_text())["storage"]
        assert storage["weights"] == "float16"
        assert storage["bytes_in_float32"] == (shapes_run / "detector.keras").stat().st_size
        assert 0 < storage["largest_change"] < LARGEST_CHANGE
        assert storage["frames"] > 0

    def test_a_score_that_changes_is_refused(self, shapes_run, scenes, tmp_path, monkeypatch):
        monkeypatch.setattr("keras_vad.presets.storage.LARGEST_CHANGE", 0.0)
        with pytest.raises(VadError, match="a score of normal video changes by"):
            main(
                ["--model", shapes_run, "--name", "half", "--zoo", tmp_path / "zoo", "--float16", "--data-dir", scenes]
            )
        assert not (tmp_path / "zoo").exists()

    def test_a_weight_too_large_is_refused(self, shapes_run, scenes, tmp_path):
        large = keras_vad.build("adv3dcae", **TINY)
        kernel = next(weight for weight in large.trainable_weights if len(weight.shape) > 1)
        kernel.assign(np.full(kernel.shape, 1e6, np.float32))
        large.save(shapes_run / "detector.keras")
        with pytest.raises(VadError, match="has a weight too large for float16"):
            main(
                ["--model", shapes_run, "--name", "half", "--zoo", tmp_path / "zoo", "--float16", "--data-dir", scenes]
            )

    def test_other_data_is_refused(self, run, scenes, tmp_path):
        config = {**CONFIG, "dataset": "shapes"}
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(VadError, match=r"shapes is not what .*run was trained on"):
            main(["--model", run, "--name", "half", "--zoo", tmp_path / "zoo", "--float16", "--data-dir", scenes])
