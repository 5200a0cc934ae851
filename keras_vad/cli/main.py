"""The command ``keras-vad``: finds the module of a verb and runs it.

A verb's module has a docstring, whose first line says what the verb does and whose rest is its examples;
``add_arguments``, which takes the verb's parser; and ``run``, which takes the arguments, with the whole command as
``words``, and returns the exit code.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import keras_vad
from keras_vad.cli import process
from keras_vad.cli.parser import Parser
from keras_vad.common.suggest import did_you_mean
from keras_vad.errors import VadError

#: Each verb and its module; in groups, as ``--help`` shows them.
VERBS = {
    "Train and measure": {
        "train": "train",
        "calibrate": "calibrate",
        "evaluate": "evaluate",
        "cuboids": "cuboids",
        "ablate": "ablate",
        "curves": "curves",
    },
    "Score videos": {
        "score": "score",
        "picture": "picture",
    },
    "Ship": {
        "export": "export",
        "serve": "serve",
        "serving-config": "serving_config",
        "edge": "edge",
        "publish": "publish",
        "pull": "pull",
    },
    "Data": {
        "data": "data",
        "data make-shapes": "make_shapes",
        "data cut": "cut",
    },
    "What there is": {
        "models": "models",
        "recipes": "recipes",
        "presets": "presets",
        "ablations": "ablations",
    },
}
_MODULES = {verb: module for group in VERBS.values() for verb, module in group.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and turn what a user can mend into one sentence on stderr.

    Args:
        argv: Its words; those of the process by default.

    Returns:
        The exit code, see ``process.run``.
    """
    words = sys.argv[1:] if argv is None else argv
    return process.run(lambda: execute(words))


def execute(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: A verb and its arguments.

    Returns:
        The exit code.

    Raises:
        VadError: If the words are not understood, or the verb cannot do what is asked.
    """
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"keras-vad {keras_vad.__version__}")
        return 0
    verb = " ".join(words[:2]) if " ".join(words[:2]) in _MODULES else words[0]
    if len(words) > 1 and not words[1].startswith("-") and any(one.startswith(f"{verb} ") for one in _MODULES):
        verb = " ".join(words[:2])
    if verb not in _MODULES:
        raise VadError(f"keras-vad has no command {verb!r}{did_you_mean(verb, _MODULES)}; keras-vad --help lists all.")
    module = module_of(verb)
    args = parser_of(verb, module).parse(words[len(verb.split()) :])
    args.words = ["keras-vad", *words]
    code: int = module.run(args)
    return code


def module_of(verb: str) -> ModuleType:
    """The module of a verb."""
    return import_module(f"keras_vad.cli.{_MODULES[verb]}")


def parser_of(verb: str, module: ModuleType) -> Parser:
    """The parser of a verb."""
    about, _, examples = (module.__doc__ or "").partition("\n\n")
    parser = Parser(prog=f"keras-vad {verb}", description=about, epilog=examples.strip() or None)
    module.add_arguments(parser)
    return parser


def overview() -> str:
    """All verbs, a line each."""
    lines = ["usage: keras-vad COMMAND ...", "", "A model zoo for video anomaly detection.", ""]
    width = max(map(len, _MODULES))
    for title, verbs in VERBS.items():
        lines.append(f"{title}:")
        for verb in verbs:
            about = (module_of(verb).__doc__ or "").partition("\n")[0]
            lines.append(f"  {verb:{width}}  {about}")
        lines.append("")
    lines.append("keras-vad COMMAND --help lists its options; keras-vad --version tells the version.")
    return "\n".join(lines)
