"""``keras-vad`` tells what it can do, and what it cannot, before TensorFlow is loaded."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_vad.cli.main import _MODULES, execute, main, module_of, overview
from keras_vad.errors import VadError
from keras_vad.models.registry import METHODS, check_hyper, get_method, options_of
from keras_vad.training.ablations import list_ablations
from keras_vad.training.recipe import list_recipes
from tests.environment import PATHS, ROOT

DATA = ["--dataset", "shapes", "--data-dir", "shapes"]
TRAIN = ["train", "--model", "adv3dcae", *DATA, "--recipe", "compact"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A folder that holds the data set ``shapes`` and a run folder."""
    folder = tmp_path_factory.mktemp("here")
    execute(["data", "make-shapes", str(folder / "shapes"), "--train-frames", "60", "--test-frames", "30"])
    (folder / "file").touch()
    return folder


@pytest.fixture
def here(shapes, monkeypatch):
    monkeypatch.chdir(shapes)
    monkeypatch.setenv("KERAS_VAD_STORES", "")
    monkeypatch.setenv("KERAS_VAD_CACHE", str(shapes / "cache"))
    monkeypatch.setattr("keras_vad.cli.process.load_tensorflow", forbidden)
    for verb in _MODULES:
        if hasattr(module_of(verb), "load_tensorflow"):
            monkeypatch.setattr(module_of(verb), "load_tensorflow", forbidden)
    return shapes


def forbidden():
    raise AssertionError("TensorFlow was loaded before all that was given was checked")


@pytest.mark.parametrize("verb", _MODULES)
def test_every_verb_tells_its_options(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        execute([*verb.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: keras-vad {verb} ")
    first, _, rest = inspect.getdoc(module_of(verb)).partition("\n\n")
    assert "\n" not in first and first.endswith(".")
    assert first in text and rest in text
    for example in re.findall(r"keras-vad (.*?)(?:\n|$)", rest.replace("\\\n", "")):
        words = example.split()
        if words[: len(verb.split())] == verb.split():
            assert {word for word in words if word.startswith("--")} <= set(text.split()), example


def test_the_overview_lists_every_verb(capsys):
    assert execute(["--help"]) == execute([]) == 0
    text = capsys.readouterr().out
    assert text == 2 * f"{overview()}\n"
    assert max(map(len, overview().splitlines())) <= 82
    assert [line.split("  ")[1] for line in overview().splitlines() if line.startswith("  ")] == list(_MODULES)


def test_every_module_is_a_verb_or_shared():
    shared = {"__init__", "main", "options", "parser", "process"}
    modules = {path.stem for path in (ROOT / "keras_vad" / "cli").glob("*.py")}
    assert modules - shared == set(_MODULES.values())


def test_every_tool_without_a_main_of_its_own_is_a_verb():
    tools = {path.stem: path.read_text("utf-8") for path in (ROOT / "tools").glob("*.py")}
    short = {name: text for name, text in tools.items() if "def main(" not in text}
    assert len(short) > 10
    for name, text in short.items():
        (verb,) = (verb for verb, module in _MODULES.items() if module == name)
        words = ", ".join(f'"{word}"' for word in verb.split())
        assert f"main([{words}, *sys.argv[1:]])" in text


WRONG = [
    (["trian"], r"keras-vad has no command 'trian' \(did you mean train\?\); keras-vad --help lists all\."),
    (["data", "cuts"], r"keras-vad has no command 'data cuts' \(did you mean data cut\?\)"),
    (["flowers"], r"keras-vad has no command 'flowers'; "),
    ([*TRAIN, "--recpie", "x"], r"there is no option --recpie \(did you mean --recipe\?\); keras-vad train --help"),
    (["evaluate", "--modle", "x"], r"there is no option --modle \(did you mean --model\?\)"),
    (["evaluate", "--model", "x"], r"the following arguments are required: --dataset, --data-dir; keras-vad eval"),
    (["train", "--model", "adv3dcea", *DATA], r"there is no method 'adv3dcea' \(did you mean adv3dcae\?\)"),
    (["train", *DATA], r"give --model METHOD, or --from NAME"),
    (["train", "--from", "adv", *DATA], r"there is no detector 'adv'"),
    (["train", "--model", "adv3dcae", "--dataset", "shapse", "--data-dir", "shapes"], r"\(did you mean shapes\?\)"),
    (
        ["train", "--model", "adv3dcae", "--dataset", "shapes", "--data-dir", "none"],
        r"the data folder none does not",
    ),
    ([*TRAIN, "--recipe", "adv3dcae_shapes_compcat"], r"\(did you mean adv3dcae_shapes_compact\?\)"),
    ([*TRAIN, "--set", "trainig.epochs=1"], r"no section 'trainig' \(did you mean training\?\)"),
    ([*TRAIN, "--set", "training.epoch=1"], r"no option training\.epoch \(did you mean epochs\?\)"),
    ([*TRAIN, "--set", "model.chanels=[2]"], r"no hyper-parameter chanels \(did you mean channels\?\)"),
    ([*TRAIN, "--set", "model.channels=2"], r"channels of adv3dcae is 2, but must be of type Sequence\[int\]"),
    ([*TRAIN, "--set", "training.epochs=0"], r"training\.epochs is 0, but must be at least 1"),
    (
        [*TRAIN, "--strategy", "mirored"],
        r"no strategy 'mirored' \(did you mean mirrored\?\), but auto, mirrored, none",
    ),
    ([*TRAIN, "--fps", "0"], r"argument --fps: it is 0, but must be a number above 0"),
    ([*TRAIN, "--name", "a/b"], r"the model name 'a/b' does not serve"),
    ([*TRAIN, "--name", "presets"], r"a model cannot be called 'presets'"),
    ([*TRAIN, "--run-dir", "file"], r"the run folder file is a file"),
    ([*TRAIN, "--run-dir", "file/run"], r"file/run/file cannot be written"),
    ([*TRAIN, "--zoo", "file"], r"file/adv3dcae_shapes_compact/file cannot be written"),
    ([*TRAIN, "--resume"], r"there is no run to resume in runs/adv3dcae_shapes_compact-seed0"),
    (["evaluate", "--model", "none", *DATA], r"there is no detector 'none'"),
    (["evaluate", "--model", "none", *DATA, "--json", "file"], r"file exists; pass --overwrite"),
    (["evaluate", "--model", "none", *DATA, "--json", "file/x"], r"file/x cannot be written"),
    (["evaluate", "--model", "none", *DATA, "--report", "shapes"], r"shapes is a folder that exists"),
    (["evaluate", "--model", "none", *DATA, "--report", "x", "--json", "x"], r"x is named twice"),
    (["evaluate", "--model", "none", *DATA, "--smoothing", "0"], r"argument --smoothing: it is 0, but must be"),
    (["score", "shapes/Test/Test001", "--model", "none", "--csv", "s.csv"], r"there is no detector 'none'"),
    (["score", "nothing.mp4", "--model", "none", "--csv", "s.csv"], r"nothing\.mp4"),
    (["score", "x", "--model", "none", "--csv", "file/s.csv"], r"file/s\.csv cannot be written"),
    (["picture", "Test01", *DATA, "--model", "m", "--output", "x.png"], r"\(did you mean Test001\?\)"),
    (["export", "--model", "none", "--name", "x"], r"there is no detector 'none'"),
    (["export", "--model", "none", "--name", "x", "--zoo", "file"], r"file/x/file cannot be written"),
    (["edge", "--model", "none", *DATA, "--output", "file/edge"], r"file/edge cannot be written"),
    (["edge", "--model", "none", *DATA, "--output", "e", "--precision", "int9"], r"\(did you mean int8\?\)"),
    (
        ["publish", "--model", "none", "--name", "x"],
        r"none is no finished run: it has no config.yaml; .* keras-vad",
    ),
    (["calibrate", "--model", "none", *DATA, "--alarm-quantile", "0.9", "--name", "x"], r"there is no detector"),
    (["cuboids", "--model", "none", *DATA], r"there is no detector 'none'"),
    (["ablate", "sun2020-table99", *DATA], r"\(did you mean sun2020-table9\?\)"),
    (
        ["ablate", "sun2020-table9", *DATA, "--recipe", "compact", "--output", "file/t.md"],
        r"file/t\.md cannot be written",
    ),
    (["curves", "shapes", "--output", "file/x.png"], r"file/x\.png cannot be written"),
    (["pull", "street"], r"no store of presets is known"),
    (["serve", "--zoo", "none"], r"there is no zoo folder none; export a model into it"),
    (["serve", "--model-config-file", "none"], r"none"),
    (["models", "adv3dcea"], r"there is no method 'adv3dcea' \(did you mean adv3dcae\?\)"),
]


@pytest.mark.parametrize(("words", "message"), WRONG)
def test_what_cannot_be_done_is_told_before_tensorflow_is_loaded(here, words, message, capsys):
    before = sorted(here.rglob("*"))
    with pytest.raises(VadError, match=message):
        execute(words)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert sorted(here.rglob("*")) == before, "nothing is left of trying"


def test_none_of_that_imports_tensorflow(here):
    code = (
        "import sys\n"
        "from keras_vad.cli.main import main\n"
        "from tests.cli.test_command import WRONG\n"
        "assert {main(words) for words, _ in WRONG} == {2}\n"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_preset_or_model_that_may_be_meant_is_named(here, monkeypatch):
    monkeypatch.setenv("KERAS_VAD_STORES", str(ROOT / "zoo"))
    with pytest.raises(VadError, match=r"there is no preset 'luss_ae_shape' \(did you mean luss_ae_shapes\?\)"):
        execute(["pull", "luss_ae_shape"])
    version = here / "own" / "street" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    with pytest.raises(VadError, match=r"there is no detector 'stret' \(did you mean street\?\)"):
        execute(["evaluate", "--model", "stret", "--zoo", "own", *DATA])


@pytest.mark.parametrize("verb", ["models", "recipes", "presets", "ablations", "data"])
def test_lists_what_there_is(verb, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_VAD_STORES", str(ROOT / "zoo"))
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path))
    assert execute([verb]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [re.split(r"\s|:", line)[0] for line in lines]
    known = {
        "models": sorted(METHODS),
        "recipes": list_recipes(),
        "presets": sorted(path.name for path in (ROOT / "zoo" / "presets").iterdir()),
        "ablations": list_ablations(),
        "data": ["shapes", "ucsdped1", "ucsdped2", "folder"],
    }
    assert names == known[verb]
    assert verb == "presets" or all(len(line) > len(name) + 5 for line, name in zip(lines, names, strict=True))


def test_a_pattern_narrows_and_a_method_lists_its_options(capsys):
    assert execute(["models", "conv*"]) == execute(["recipes", "luss_ae_s*"]) == execute(["ablations", "li*"]) == 0
    names = [re.split(r"\s|:", line)[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["conv3d_ae", "conv_ae", "convlstm_ae", "luss_ae_shapes_compact", "li2021-table4", "li2021-table5"]
    assert execute(["models", "conv_ae"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [name for name in options_of("conv_ae") if name != "name"]


@pytest.mark.parametrize("key", METHODS)
def test_options_read_from_the_source_are_the_constructors(key):
    parameters = inspect.signature(get_method(key)).parameters
    options = options_of(key)
    assert list(options) == list(parameters)
    module = sys.modules[METHODS[key][0]]
    defaults = {name: eval(option.default, vars(module)) for name, option in options.items()}
    assert defaults == {name: parameter.default for name, parameter in parameters.items()}
    check_hyper(key, defaults)
    annotations = {name: option.annotation for name, option in options.items()}
    written = {
        name: inspect.formatannotation(parameter.annotation).replace("collections.abc.", "").replace("typing.", "")
        for name, parameter in parameters.items()
    }
    if "ObjectDetector" not in " ".join(annotations.values()):
        assert annotations == written


HEAVY = ["cv2", "grpc", "keras", "numpy", "tensorflow", "yaml"]


@pytest.mark.parametrize(
    "call",
    [
        "run_module('keras_vad', run_name='__main__')",
        f"run_path({str(ROOT / 'tools' / 'train.py')!r}, run_name='__main__')",
    ],
    ids=["command", "tool"],
)
def test_help_in_a_process_of_its_own_imports_little(call):
    code = f"import runpy, sys; sys.argv[1:] = ['--help']\ntry: runpy.{call}\n"
    code += f"finally: print([name for name in {HEAVY!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": PATHS}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: keras-vad ")
    loaded = done.stdout.splitlines()[-1]
    assert loaded in ("[]", "['yaml']")


def list_recipes_to(output):
    command = [sys.executable, "-m", "keras_vad", "recipes"]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, env=environment, text=True, check=False)
    return done.returncode, done.stderr


def test_a_reader_that_stops_early_is_no_error():
    read, write = os.pipe()
    os.close(read)
    assert list_recipes_to(write) == (1, "")
    os.close(write)


def test_an_output_on_a_full_disk():
    with Path("/dev/full").open("w") as full:
        code, error = list_recipes_to(full)
    assert code == 2
    assert error == (
        "error: the output cannot be read or written (No space left on device); look after its disk and permissions.\n"
    )
