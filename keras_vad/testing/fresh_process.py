"""A process of its own for a test that needs one, without the ten seconds that loading TensorFlow takes.

It is forked from a process that has loaded TensorFlow and done nothing with it yet, so devices, determinism and threads
are as in one that was started from the command line. Tests of that very start use ``subprocess``.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_vad.models.registry import METHODS

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *(module for module, _ in METHODS.values()),
        *("keras_vad.training.run", "keras_vad.evaluation.evaluate", "keras_vad.report.page"),
    ]
)


@dataclass(frozen=True)
class Done:
    """How a process has ended."""

    code: int
    stdout: str
    stderr: str


def run(
    function: Callable[..., Any],
    *arguments: Any,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Call a function of a module in a process of its own.

    Args:
        function: The function; what it returns is lost.
        arguments: Its arguments, which can be pickled.
        folder: The working folder; by default the caller's.
        environment: All environment variables; by default the caller's.
    """
    with tempfile.TemporaryDirectory() as place:
        streams = [Path(place) / name for name in ("stdout", "stderr")]
        process = _CONTEXT.Process(
            target=_child,
            args=(function, arguments, folder or Path.cwd(), dict(os.environ if environment is None else environment)),
            kwargs={"streams": streams},
        )
        process.start()
        process.join()
        assert process.exitcode is not None
        return Done(process.exitcode, *(stream.read_text("utf-8") for stream in streams))


def run_script(
    script: Path, *words: Any, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Done:
    """Run ``python SCRIPT WORDS``."""
    return run(_main, str(script), [str(word) for word in words], folder=folder, environment=environment)


def _main(script: str, words: list[str]) -> None:
    sys.argv = [script, *words]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")


def _child(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    folder: Path,
    environment: Mapping[str, str],
    streams: list[Path],
) -> None:
    for number, stream in enumerate(streams, start=1):
        descriptor = os.open(stream, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)
