"""TensorFlow without the lines that its C++ part writes to stderr while it is loaded."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


@contextmanager
def no_stderr() -> Iterator[None]:
    """Drop what this process writes to its stderr, below Python too. Exceptions are not affected."""
    sys.stderr.flush()
    before = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


class _QuietTensorFlow(MetaPathFinder):
    """Finds TensorFlow as usual, and loads it without those lines.

    They come before its logging listens to any log level, so no environment variable keeps them back.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module: ModuleType) -> None:
                os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # later: no GPU is no error
                with no_stderr():
                    load(module)

            spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


def keep_tensorflow_quiet() -> None:
    """From now on loading TensorFlow prints nothing; called when keras_vad is imported."""
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _QuietTensorFlow) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietTensorFlow())
