"""The folder of a training: what lies in it, under which names, and what it tells of the detector in it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from keras_vad.artifacts.layout import CONFIG_NAME, DETECTOR_NAME, METRICS_NAME
from keras_vad.common.files import write_text
from keras_vad.common.renamed import names_now
from keras_vad.errors import VadError


class RunFolder:
    """A run folder; it need not exist.

    Args:
        path: The folder.

    Attributes:
        config_file: Every choice that was made, the data's fingerprint, versions and the git revision; YAML.
        metrics_file: The losses, a row for every epoch; CSV.
        log_file: What happened when.
        detector_file: The trained detector, ``.keras``; it appears when training is done.
        report_file: How training went and how the alarm boundary came about; JSON, written last.
        evaluation_file: Figures on the test videos, where somebody measured them; JSON.
        checkpoints: Folder of the states that a run resumes from.
        codes: Folder of frames that an encoder at rest has encoded, while a phase trains on them.
        tensorboard: Folder of TensorBoard's files.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config_file = self.path / CONFIG_NAME
        self.metrics_file = self.path / METRICS_NAME
        self.log_file = self.path / "train.log"
        self.detector_file = self.path / DETECTOR_NAME
        self.report_file = self.path / "report.json"
        self.evaluation_file = self.path / "evaluation.json"
        self.checkpoints = self.path / "checkpoints"
        self.codes = self.path / "codes"
        self.tensorboard = self.path / "tensorboard"

    @property
    def started(self) -> bool:
        """Whether a run began here."""
        return self.config_file.is_file()

    @property
    def finished(self) -> bool:
        """Whether it holds a trained detector."""
        return self.detector_file.is_file()

    def check_free(self, *, resume: bool) -> None:
        """Refuse a folder in which no run can begin, or with ``resume`` none can go on.

        Raises:
            VadError: If it is a file or not empty; with ``resume``, if it holds no run.
        """
        if resume:
            if not self.started:
                raise VadError(
                    f"there is no run to resume in {self.path}: it holds no {self.config_file.name}; leave out "
                    "--resume."
                )
        elif self.path.exists() and not self.path.is_dir():
            raise VadError(f"the run folder {self.path} is a file; choose another with --run-dir.")
        elif self.path.exists() and any(self.path.iterdir()):
            raise VadError(f"the run folder {self.path} is not empty; use --resume to go on, or --run-dir for another.")

    def check_finished(self) -> None:
        """Refuse a folder whose run has not ended.

        Raises:
            VadError: If it lacks its configuration or its detector.
        """
        for there, file in ((self.started, self.config_file), (self.finished, self.detector_file)):
            if not there:
                raise VadError(
                    f"{self.path} is no finished run: it has no {file.name}; train one with keras-vad train."
                )

    def config(self) -> dict[str, Any]:
        """What ``config.yaml`` says, options by the names that they have now; empty if there is none.

        Raises:
            VadError: If it is damaged.
        """
        if not self.started:
            return {}
        try:
            config = yaml.safe_load(self.config_file.read_text("utf-8")) or {}
            if not isinstance(config, dict):
                raise ValueError(f"it holds a {type(config).__name__}, but options by name are expected")
        except (yaml.YAMLError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise VadError(f"{self.config_file} cannot be read ({reason}); restore it, or train again.") from error
        return {
            name: names_now(name, content) if isinstance(content, dict) else content for name, content in config.items()
        }

    def report(self) -> dict[str, Any]:
        """What ``report.json`` says; empty if there is none.

        Raises:
            VadError: If it is damaged.
        """
        if not self.report_file.is_file():
            return {}
        try:
            return json.loads(self.report_file.read_text("utf-8"))
        except ValueError as error:
            raise VadError(f"{self.report_file} cannot be read ({error}); restore it, or train again.") from error

    def write_config(self, values: Mapping[str, Any]) -> None:
        """Write ``config.yaml``; the folder appears with it."""
        write_text(self.config_file, yaml.safe_dump(dict(values), sort_keys=False))

    def write_report(self, values: Mapping[str, Any]) -> None:
        """Write ``report.json``."""
        write_text(self.report_file, json.dumps(values, indent=2) + "\n")

    def training(self) -> dict[str, Any] | None:
        """Where the weights of its detector come from, as cards tell it.

        Returns:
            ``dataset``, ``data_fingerprint``, ``recipe``, ``seed``, ``git``; ``from``, the ``name``, ``version`` and
            ``sha256`` of the detector that the run started from, ``None`` if from random weights; ``options``, the
            recipe's sections ``data``, ``training`` and ``scoring``. ``None`` if the folder does not say.
        """
        if not self.started:
            return None
        stored = self.config()
        about = {key: stored.get(key) for key in ("dataset", "data_fingerprint", "recipe", "seed", "git", "from")}
        return {**about, "options": {key: stored.get(key) for key in ("data", "training", "scoring")}}

    def calibration(self) -> dict[str, Any] | None:
        """How its alarm boundary came about; ``None`` if the folder does not say."""
        return self.report().get("calibration")
