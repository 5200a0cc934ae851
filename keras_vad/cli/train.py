"""Train a detector, calibrate it and export it.

Test videos are not looked at: what normal is, and the alarm boundary, comes from held-out normal videos.

Examples:
  keras-vad train --model adv3dcae --dataset ucsdped2 --data-dir UCSDped2 --recipe compact
  keras-vad train --from adv3dcae_ucsdped2 --dataset folder --data-dir videos --name my_camera
"""

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.cli import options
from keras_vad.cli.parser import from_one, one_of
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import check_folder
from keras_vad.common.names import check_name
from keras_vad.errors import VadError

if TYPE_CHECKING:
    from keras_vad.presets.resolve import TrainedDetector

_OF_TRAINING = ("epochs", "batch_size", "precision", "false_alarms_per_hour")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--model", metavar="METHOD", help="method to train, for example adv3dcae; keras-vad models lists them")
    add("--from", dest="start", metavar="NAME", help="start from this trained model: a preset, a run folder, a file")
    options.add_data(parser)
    options.add_recipe(
        parser, "MODEL_DATASET, or with --from half the epochs of that model's own at a third of the learning rate"
    )
    add(
        "--strategy",
        type=one_of("strategy", ("auto", "mirrored", "none")),
        default="auto",
        help="distribution over devices: auto, mirrored or none (default: %(default)s)",
    )
    add("--devices", type=from_one, metavar="N", help="number of GPUs, or of logical CPU devices where there are none")
    add("--epochs", type=int, metavar="N", help="epochs in all")
    add("--batch-size", type=int, metavar="N", help="windows of a batch, on all devices together")
    add("--precision", help="precision of training: float32, mixed_bfloat16 or mixed_float16")
    add("--false-alarms-per-hour", type=float, metavar="R", help="alarms that held-out normal video may raise per hour")
    options.add_fps(parser)
    one_or_more = parser.add_mutually_exclusive_group()
    one_or_more.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    one_or_more.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        metavar="SEED",
        help="train with each, evaluate on the test videos and print means and deviations; nothing is exported",
    )
    options.add_zoo(parser, "to export to, in which --from looks first")
    add("--output", dest="zoo", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # scripts have this name
    add("--no-export", action="store_true", help="do not export; the run folder holds detector.keras all the same")
    add("--name", help="name of the exported model (default: the recipe's name, or with --from NAME_DATASET)")
    add("--run-dir", type=Path, metavar="DIR", help="run folder (default: runs/RECIPE-seedSEED)")
    add("--resume", action="store_true", help="go on with the run in the run folder")


def run(args: argparse.Namespace) -> int:
    """Train."""
    trained = _check(args)
    load_tensorflow()
    from keras_vad.training.pretrained import load_pretrained
    from keras_vad.training.recipe import load_recipe
    from keras_vad.training.run import RunOptions, run_training
    from keras_vad.training.seeds import run_seeds
    from keras_vad.training.strategy import make_strategy

    pretrained = None
    if trained is not None:
        make_strategy(args.strategy, args.devices)  # the CPU is split before TensorFlow is first used, as it is now
        pretrained = load_pretrained(trained)
    model = args.model if pretrained is None else pretrained.method
    name = _recipe_name(args, model)
    stem = _stem(args, trained, name)
    if name is not None:
        recipe = load_recipe(name, _overrides(args))
    else:
        assert pretrained is not None
        recipe = pretrained.recipe(_overrides(args))
    if pretrained is not None:
        recipe = pretrained.fitted(recipe)
    run_dir = args.run_dir or Path("runs") / f"{stem}-seed{args.seed}"
    chosen = RunOptions(
        model=model,
        dataset=args.dataset,
        data_dir=args.data_dir,
        recipe_name=stem,
        recipe=recipe,
        seed=args.seed,
        strategy=args.strategy,
        devices=args.devices,
        run_dir=run_dir,
        output=None if args.no_export else args.zoo,
        name=args.name or stem,
        resume=args.resume,
        pretrained=pretrained,
        command=shlex.join(args.words),
    )
    if args.seeds is not None:
        folder = Path("runs") / f"{stem}-seed{{seed}}" if args.run_dir is None else args.run_dir / "seed{seed}"
        _print_averages(run_seeds(replace(chosen, run_dir=folder), args.seeds))
        return 0
    version = run_training(chosen)
    print(f"run: {run_dir}")
    if version is not None:
        print(f"exported: {version}")
    return 0


def _check(args: argparse.Namespace) -> "TrainedDetector | None":
    """Check all that can be known before TensorFlow is loaded; gives what ``--from`` names."""
    from keras_vad.models.registry import check_hyper, check_method
    from keras_vad.presets.resolve import resolve
    from keras_vad.training.recipe import load_recipe, resolve_recipe

    if args.model is None and args.start is None:
        raise VadError("give --model METHOD, or --from NAME to start from a trained model.")
    if args.model is not None:
        check_method(args.model)
    options.opened_data(args)
    if args.name is not None:
        check_name(args.name)
    trained = None if args.start is None else resolve(args.start, args.zoo)
    model = args.model or (None if trained is None else trained.method)
    if trained is not None and trained.method not in (None, model):
        raise VadError(f"{args.start} is of {trained.method}, but --model is {model}; leave --model out.")
    name = _recipe_name(args, model)
    if name is None:
        assert trained is not None
        resolve_recipe({}, _overrides(args), f"the training of {trained.origin}")
    else:
        recipe = load_recipe(name, _overrides(args))
        if model is not None:
            check_hyper(model, recipe.model)
    if args.seeds is None:
        stem = _stem(args, trained, name)
        run_dir = args.run_dir or Path("runs") / f"{stem}-seed{args.seed}"
        RunFolder(run_dir).check_free(resume=args.resume)
        check_folder(run_dir)
        if not args.no_export:
            check_folder(args.zoo / (args.name or stem))
    return trained


def _overrides(args: argparse.Namespace) -> list[str]:
    overrides = list(args.set)
    for option in _OF_TRAINING:
        value = getattr(args, option)
        if value is not None:
            overrides.append(f"training.{option}={value}")
    if args.fps is not None:
        overrides.append(f"data.fps={args.fps}")
    return overrides


def _recipe_name(args: argparse.Namespace, model: str | None) -> str | None:
    """The recipe that was asked for; ``None`` for that of the detector to start from."""
    from keras_vad.training.recipe import find_recipe

    if args.start is not None and args.recipe is None:
        return None
    return find_recipe(args.recipe, model or "", args.dataset)


def _stem(args: argparse.Namespace, trained: "TrainedDetector | None", recipe_name: str | None) -> str:
    """What the run is called."""
    from keras_vad.training.recipe import recipe_stem

    if recipe_name is not None:
        return recipe_stem(recipe_name)
    assert trained is not None
    return f"{trained.origin.name}_{args.dataset}"


def _print_averages(evaluations: list[dict[str, Any]]) -> None:
    """The own score and the trivial baselines, mean and deviation over seeds, in percent; the rest is in the runs."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from keras_vad.training.seeds import averaged

    shown = ("auroc_micro", "eer")
    table = Table(title=f"{len(evaluations)} seeds; in %", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("model", "protocol"):
        table.add_column(title, no_wrap=True)
    for title in ("AUROC", "EER"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in averaged(evaluations):
        if row["score"] != "frame_scores" or row["smoothing"] > 1:
            continue
        cells = [row["model"].removeprefix("trivial_"), row["protocol"]]
        for name in shown:
            mean, deviation = row[name], row[f"{name}_std"]
            text = "–" if mean is None else f"{100 * mean:.1f}"
            cells.append(text if deviation is None else f"{text} ± {100 * deviation:.1f}")
        table.add_row(*cells)
    Console().print(table)
