"""Names of packages are loaded when first used, the same for type checkers and at run time, and print nothing."""

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.environment import PATHS

PACKAGES = ["keras_vad", "keras_vad.data", "keras_vad.report", "keras_vad.testing"]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_is_what_type_checkers_see(name):
    package = import_module(name)
    tree = ast.parse(Path(package.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    assert dir(package) == package.__all__ == sorted(typed)
    for public, module in typed.items():
        assert getattr(package, public) is getattr(import_module(module), public)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    environment |= {"PYTHONPATH": PATHS}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "module",
    [
        "keras_vad.data.video",
        "keras_vad.data.datasets",
        "keras_vad.models.registry",
        "keras_vad.presets.resolve",
        "keras_vad.training.ablations",
        "keras_vad.cli.main",
    ],
)
def test_what_needs_no_tensorflow_loads_none(module):
    done = in_a_process(f"import sys, {module}; print(sorted({{'tensorflow', 'keras'}} & set(sys.modules)))")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_loading_tensorflow_with_the_library_prints_nothing():
    done = in_a_process("import keras_vad; keras_vad.build('local_playback', image_size=32, channels=(2, 2))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
