"""Publishing a trained detector as a preset: a new version that never changes, its card, and its entry in the index."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_vad.artifacts.card import card_text, model_card
from keras_vad.artifacts.keras_file import load_detector
from keras_vad.artifacts.layout import CARD_NAME, DETECTOR_NAME
from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.common.files import scratch
from keras_vad.common.names import check_name, versions
from keras_vad.data.base import Video
from keras_vad.data.datasets import DATA_TERMS
from keras_vad.errors import VadError
from keras_vad.models.registry import method_of
from keras_vad.presets.index import Preset, PresetFile, changing_index
from keras_vad.presets.storage import store_in_float16

_FIGURES = (
    "auroc_micro",
    "auroc_micro_low",
    "auroc_micro_high",
    "auroc_macro",
    "ap",
    "eer",
    "events",
    "events_found",
    "false_alarms",
    "false_alarms_per_hour",
    "frames",
)
_INTENDED_USE = (
    "Scores for the frames of a fixed camera's video, higher where something happens that its normal footage did not "
    "show; and a start for training on footage of another fixed camera. A person should look before anything follows."
)
_LIMITS = (
    "Made for the scene it was trained on. On another one expect no better than chance until it is trained or "
    "fine-tuned there, and calibrate it there: its alarm boundary means nothing elsewhere. Whatever the training "
    "footage shows counts as normal. The figures are of the test videos of its own data set."
)
_INDEXED = (
    *("created", "method", "paper", "parameters", "storage", "licence", "dataset", "recipe", "seed", "metrics"),
    "input",
)


def publish(
    run: Path,
    zoo: Path,
    name: str,
    *,
    licence: str = "Apache-2.0",
    data_terms: str | None = None,
    evaluation: Path | None = None,
    log: str | None = None,
    halve_on: Sequence[Video] | None = None,
) -> Path:
    """Publish the detector of a run folder as the next version of a preset.

    The version is written beside its place and renamed when it is complete, and the index is replaced last: who reads
    the zoo sees all of the preset or nothing. Processes may publish at once, each gets a version of its own.

    Args:
        run: The run folder, with ``detector.keras`` and ``config.yaml``.
        zoo: The zoo folder, made if it is not there.
        name: The preset's name: letters, digits, ``_``, ``-`` and ``.``.
        licence: Of the weights, as an SPDX name.
        data_terms: Under which terms the training data may be used; known for data sets that have readers of their own.
        log: Where the run's configuration and log are kept, for the card.
        evaluation: What ``keras-vad evaluate --json`` wrote; by default ``evaluation.json`` of the run folder, if there
            is one.
        halve_on: Store weights in float16, having seen that the scores of these normal videos stay; in float32 if
            ``None``.

    Returns:
        The folder of the version, ``zoo/presets/NAME/VERSION``.

    Raises:
        VadError: If the run is not complete, the evaluation is of another run, the terms are not known, scores do not
            stay in float16, or the zoo cannot be written; nothing is left then.
    """
    check_name(name)
    of_run = RunFolder(run)
    of_run.check_finished()
    trained, training = of_run.detector_file, of_run.training()
    assert training is not None
    terms = data_terms or DATA_TERMS.get(training["dataset"])
    if terms is None:
        raise VadError(f"the terms of the data set {training['dataset']} are not known; tell them with --data-terms.")
    config = of_run.config()
    metrics = _metrics(evaluation or of_run.evaluation_file, config, needed=evaluation is not None)

    folder = zoo / "presets" / name
    with scratch(folder / "version") as version:
        version.mkdir()
        file = version / DETECTOR_NAME
        shutil.copyfile(trained, file)
        detector = load_detector(file, shown=trained)
        if method_of(detector) != config["method"]:
            raise VadError(f"{trained} is of {method_of(detector)}, but the run's config.yaml of {config['method']}.")
        storage = {"weights": "float32"} if halve_on is None else store_in_float16(file, halve_on)
        card = {
            **model_card(detector, name, calibration=of_run.calibration(), training=training),
            "intended_use": _INTENDED_USE,
            "limits": _LIMITS,
            "log": log,
            "licence": licence,
            "storage": storage,
            "dataset": {"name": training["dataset"], "fingerprint": training["data_fingerprint"], "terms": terms},
            "recipe": training["recipe"],
            "seed": training["seed"],
            "metrics": metrics,
        }
        libraries = config.get("versions") or card["libraries"]
        about = {key: card[key] for key in _INDEXED} | {"libraries": libraries}
        return _add(zoo, folder, version, card, about)


def _add(zoo: Path, folder: Path, version: Path, card: Mapping[str, Any], about: Mapping[str, Any]) -> Path:
    """Give the finished version its number, and the index its entry."""
    target = None
    try:
        with changing_index(zoo) as presets:
            known = [preset.version for preset in presets if preset.name == card["name"]]
            number = 1 + max(known + versions(folder), default=0)
            (version / CARD_NAME).write_text(card_text(card, number), "utf-8")
            files = tuple(PresetFile.of(version / one) for one in (DETECTOR_NAME, CARD_NAME))
            target = version.rename(folder / str(number))
            presets.append(Preset(card["name"], number, files, about))
    except BaseException:
        if target is not None:  # without its entry nobody would see it
            shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def _metrics(evaluation: Path, config: Mapping[str, Any], needed: bool) -> list[dict[str, Any]]:
    """The figures of the detector's own score, a row for every protocol and smoothing."""
    if not evaluation.is_file():
        if needed:
            raise VadError(f"there is no evaluation {evaluation}; write it with keras-vad evaluate --json.")
        return []
    try:
        content = json.loads(evaluation.read_text("utf-8"))
        about, rows, protocols = content["about"], content["rows"], content["protocols"]
        expected = {
            "model": config["method"],
            **{key: config[key] for key in ("dataset", "recipe", "seed", "data_fingerprint")},
        }
        for key, value in expected.items():
            if about[key] != value:
                raise VadError(
                    f"{evaluation} is of another run: its {key} is {about[key]!r}, but that of the run is {value!r}; "
                    "evaluate the run folder with keras-vad evaluate --json."
                )
        return [
            {
                "protocol": row["protocol"],
                "protocol_description": protocols[row["protocol"]],
                "smoothing": row["smoothing"],
                **{key: row[key] for key in _FIGURES if row.get(key) is not None},
            }
            for row in rows
            if (row["model"], row["score"]) == (config["method"], "frame_scores")
        ]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, VadError):
            raise
        raise VadError(f"{evaluation} is no evaluation; write it with keras-vad evaluate --json.") from error
