"""Evaluate every preset of the project again: rows, logs, cuboids, steps, and the tables in the documents.

Example: python tools/reevaluate.py ucsdped2=data/UCSDped2 shapes=data/shapes_test
"""

import argparse
import fnmatch
import json
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.main import execute
from keras_vad.cli.process import load_tensorflow, run
from keras_vad.errors import VadError

TOOLS = Path(__file__).resolve().parent
ZOO = Path("zoo")
STEPS = ZOO / "steps.csv"


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate the newest version of each preset whose data set is given, in the project's folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("data", metavar="KEY=DIR", nargs="+", help="data sets to evaluate on, and where they lie")
    parser.add_argument("--only", metavar="PATTERN", default="*", help="names of presets (default: all)")
    args = parser.parse_args(argv)
    folders = dict(one.partition("=")[::2] for one in args.data)
    for key, folder in folders.items():
        if not folder or not Path(folder).is_dir():
            raise VadError(f"{key}={folder} names no folder; give data sets as in ucsdped2=data/UCSDped2.")

    from keras_vad.evaluation.run_log import CUBOIDS_FILE
    from keras_vad.evaluation.steps import read_steps
    from keras_vad.presets.index import Preset, read_index

    newest: dict[str, Preset] = {}
    for preset in sorted(read_index(ZOO), key=lambda one: (one.name, one.version)):
        if preset.about["dataset"]["name"] in folders and fnmatch.fnmatchcase(preset.name, args.only):
            newest[preset.name] = preset
    if not newest:
        raise VadError(
            f"{ZOO.resolve()} has no preset {args.only!r} of {', '.join(folders)}; run in the project's folder."
        )
    cards = {
        name: json.loads((ZOO / one.folder / "model_card.json").read_text("utf-8")) for name, one in newest.items()
    }
    for name, card in cards.items():
        if not card.get("log"):
            raise VadError(f"the card of {name} names no log; publish it with --log.")

    load_tensorflow()
    import keras

    results, steps = (runpy.run_path(str(TOOLS / f"{name}.py"))["main"] for name in ("results", "steps"))

    with_baselines: set[tuple[str, int]] = set()
    for number, (name, preset) in enumerate(newest.items(), 1):
        print(f"preset {number} of {len(newest)}: {name}/{preset.version}", file=sys.stderr)
        keras.utils.clear_session()
        dataset, card = preset.about["dataset"]["name"], cards[name]
        log = Path(card["log"])
        common = ["--model", str(ZOO / preset.folder), "--dataset", dataset, "--data-dir", folders[dataset]]
        # The baselines are smoothed as the detector is, so they are measured once for each smoothing.
        smoothed = dataset, card["training"]["options"]["scoring"]["smoothing"]
        baselines = [] if smoothed not in with_baselines else ["--no-baselines"]
        with_baselines.add(smoothed)
        execute(["evaluate", *common, *baselines, "--results", str(ZOO / "results.csv"), "--log", str(log)])
        if (log / CUBOIDS_FILE).is_file():
            rows = json.loads((log / CUBOIDS_FILE).read_text("utf-8"))["by_minimum_share"]
            shares = map(str, dict.fromkeys(row["minimum_share"] for row in rows))
            execute(["cuboids", *common, "--minimum-share", *shares, "--json", str(log / CUBOIDS_FILE), "--overwrite"])
    for dataset, folder in folders.items():
        shown = dict.fromkeys(row["preset"].partition("/")[0] for row in read_steps(STEPS) if row["dataset"] == dataset)
        models = [str(ZOO / newest[name].folder) for name in shown if name in newest]
        if models and len(models) == len(shown):  # a part of the table would be of an older revision
            print(f"steps on {dataset}: {len(models)} presets", file=sys.stderr)
            common = ["--dataset", dataset, "--data-dir", folder, "--table", str(STEPS)]
            steps(["--model", *models, *common])
    documents = [path for path in (Path("README.md"), *sorted(Path("docs").glob("*.md"))) if path.is_file()]
    return results([*map(str, documents), "--results", str(ZOO / "results.csv")]) if documents else 0


if __name__ == "__main__":
    sys.exit(run(main))
