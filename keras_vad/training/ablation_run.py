"""Train and evaluate the rows of an ablation table, and set ours beside the paper's."""

import dataclasses
import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.common.files import write_text
from keras_vad.data import FrameCache, hold_out, open_dataset
from keras_vad.errors import VadError
from keras_vad.evaluation.cuboids import cuboid_report
from keras_vad.evaluation.evaluate import evaluate
from keras_vad.evaluation.protocols import PROTOCOLS
from keras_vad.evaluation.run_log import SUMMARY_FILE, write_log
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.models.registry import get_method
from keras_vad.presets.resolve import load
from keras_vad.training.ablations import FIGURES, AblationRow, AblationTable, option_name, training_name
from keras_vad.training.recipe import recipe_stem
from keras_vad.training.run import RunOptions, check_same_run, fit_normality, run_training

_BASELINES = "baselines.json"


class AblationRun:
    """The rows of a table on one data set, in one folder.

    Every training has a folder there, named by what it changes, with ``detector.keras`` and, for each way to score it,
    an evaluation. What is there is not done again; the tables of one method share the folder and so the trainings.
    ``TABLE.json`` there holds the table's figures, written after every row.

    Args:
        table: The table.
        dataset: Key of the data set.
        data_dir: Its folder.
        recipe_name: The recipe that rows change; see ``load_recipe``.
        folder: Where everything is kept.
        overrides: ``"section.option=value"`` each, for all rows; a row's own changes win over them.
        seed: Of all trainings.

    Raises:
        VadError: If the data set or the recipe does not fit, or a row cannot be trained.
    """

    def __init__(
        self,
        table: AblationTable,
        dataset: str,
        data_dir: Path,
        recipe_name: str,
        folder: Path,
        overrides: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.table, self.recipe_name, self.folder = table, recipe_name, folder
        self.overrides, self.seed = list(overrides), seed
        self.dataset, self.data_dir = open_dataset(dataset, data_dir), data_dir
        self.fingerprint = self.dataset.fingerprint()
        self.cache = FrameCache()
        for row in table.rows:  # a row that is not understood is named before the first one is trained
            table.recipe(row, recipe_name, overrides)

    def run(self, row: AblationRow) -> None:
        """Train and evaluate a row, unless that has been done.

        Raises:
            VadError: If its folder holds another training, or it cannot be trained or evaluated.
        """
        options = self._options(row)
        self._train(options)
        stored, baselines = self._stored(self._evaluation_file(row)), self._stored(self.folder / _BASELINES)
        of_cuboids = any(figure.startswith("cuboid_") for figure in self.table.figures)
        if baselines is None or stored is None or (of_cuboids and "cuboids" not in stored):
            detector = self._detector(row, options)
            report = evaluate(
                detector,
                self.dataset,
                self.cache,
                recipe=options.recipe_name,
                seed=self.seed,
                baselines=baselines is None,
            )
            content = json.loads(report.to_json())
            if baselines is None:
                self._store(self.folder / _BASELINES, content, baselines=True)
            if of_cuboids:
                content["cuboids"] = cuboid_report(detector, self.dataset, self.cache)
            self._store(self._evaluation_file(row), content, baselines=False)
        write_text(self.folder / f"{self.table.name}.json", self.to_json())

    def _options(self, row: AblationRow) -> RunOptions:
        recipe, stem = self.table.recipe(row, self.recipe_name, self.overrides), recipe_stem(self.recipe_name)
        return RunOptions(
            model=self.table.model,
            dataset=self.dataset.name,
            data_dir=self.data_dir,
            recipe_name=stem,
            recipe=recipe,
            seed=self.seed,
            strategy="auto",
            devices=None,
            run_dir=self.folder / training_name(recipe, self.recipe_name),
            output=None,
            name=stem,
        )

    def _train(self, options: RunOptions) -> None:
        run = RunFolder(options.run_dir)
        if run.finished:
            check_same_run(options, self.dataset)
            return
        for of_other_weights in options.run_dir.glob("evaluation*.json"):
            of_other_weights.unlink()
        keras.utils.clear_session()
        run_training(dataclasses.replace(options, resume=run.started), self.cache)

    def _scoring(self, row: AblationRow) -> dict[str, Any]:
        """The options of a row's score that differ from the trained detector's."""
        trained = self.table.recipe(row, self.recipe_name, self.overrides).model
        parameters = inspect.signature(get_method(self.table.model)).parameters
        return {
            option: value
            for option, value in row.scoring.items()
            if value != trained.get(option, parameters[option].default)
        }

    def _evaluation_file(self, row: AblationRow) -> Path:
        scoring = [option_name(option, value) for option, value in sorted(self._scoring(row).items())]
        return self._options(row).run_dir / f"{','.join(['evaluation', *scoring])}.json"

    def _detector(self, row: AblationRow, options: RunOptions) -> VideoAnomalyDetector:
        """The trained detector, with the options of the row's score."""
        detector = load(options.run_dir)
        scoring = self._scoring(row)
        if not scoring:
            return detector
        changed = type(detector).from_config({**detector.get_config(), **scoring})
        changed.set_weights(detector.get_weights())
        fit_normality(options, changed, self.cache)
        return changed

    def _figures(self, row: AblationRow) -> dict[str, float | None] | None:
        """A row's figures in [0, 1]; ``None`` if it has not been run."""
        content = self._stored(self._evaluation_file(row))
        if content is None:
            return None
        rows = content["rows"]
        for one in rows:
            if one["score"] == row.score and one["protocol"] == self.table.protocol:
                cuboids = content.get("cuboids", {})
                return _named_figures(one) | {
                    f"cuboid_{name}": cuboids.get(name) for name in ("auroc", "f1", "accuracy")
                }
        known = ", ".join(dict.fromkeys(one["score"] for one in rows))
        raise VadError(
            f"row {row.label!r} of {self.table.name} reports the score {row.score!r}, but its detector has {known}; "
            "mend the table."
        )

    def _baselines(self) -> dict[str, dict[str, float | None]]:
        content = self._stored(self.folder / _BASELINES)
        rows = content["rows"] if content else []
        return {one["model"]: _named_figures(one) for one in rows if one["protocol"] == self.table.protocol}

    def _stored(self, file: Path) -> dict[str, Any] | None:
        """A stored evaluation, unless it is of other data."""
        content = json.loads(file.read_text("utf-8")) if file.exists() else None
        return content if content and content["about"]["data_fingerprint"] == self.fingerprint else None

    def _store(self, file: Path, content: dict[str, Any], baselines: bool) -> None:
        """Keep the rows of an evaluation that are, or are not, of the trivial baselines."""
        parts = {
            name: [one for one in content[name] if (one["model"] != self.table.model) == baselines]
            for name in ("rows", "videos")
        }
        write_text(file, json.dumps({**content, **parts}, indent=2) + "\n")

    def to_json(self) -> str:
        """All figures so far, ours in [0, 1], the paper's in percent as printed."""
        rows = [
            {
                "label": row.label,
                "training": self._options(row).run_dir.name,
                "scoring": row.scoring,
                "score": row.score,
                "ours": self._figures(row),
                "paper": row.paper,
            }
            for row in self.table.rows
        ]
        about = {
            "table": self.table.name,
            "paper": self.table.paper,
            "model": self.table.model,
            "dataset": self.dataset.name,
            "data_fingerprint": self.fingerprint,
            "recipe": recipe_stem(self.recipe_name),
            "set": self.overrides,
            "seed": self.seed,
            "protocol": self.table.protocol,
        }
        return json.dumps({**about, "rows": rows, "baselines": self._baselines()}, indent=2) + "\n"

    def write_log(self, log: Path, command: str) -> None:
        """Keep what the table stands on: ``summary.json`` with its figures, ``table.md``, a log for each training.

        Args:
            log: The folder, made if it is not there.
            command: The command that made the table.

        Raises:
            VadError: If it cannot be written.
        """
        logged: set[str] = set()
        for row in self.table.rows:
            content, run = self._stored(self._evaluation_file(row)), self._options(row).run_dir
            # Rows that differ in their score only have one training; the table has the figures of all.
            if content is not None and run.name not in logged:
                logged.add(run.name)
                write_log(log / run.name, content, run=run, command=command)
        write_text(log / "table.md", self.to_markdown())
        write_text(log / SUMMARY_FILE, json.dumps({"command": command, **json.loads(self.to_json())}, indent=2) + "\n")

    def growth(self) -> list[tuple[int, float]]:
        """The number of training frames of each row that has been run, and the table's first figure, in [0, 1]."""
        found = []
        for row in self.table.rows:
            value = (self._figures(row) or {}).get(self.table.figures[0])
            if value is not None:
                found.append((self._training_frames(row), value))
        return found

    def _training_frames(self, row: AblationRow) -> int:
        options = self._options(row)
        data = options.recipe.data
        if data.train_frames is not None:
            return data.train_frames
        videos, _ = hold_out(self.dataset.train_videos(), data.validation_share, self.seed)
        size = load(options.run_dir).window.size
        return sum(len(self.cache.get(video, size)) for video in videos)

    def to_markdown(self) -> str:
        """Ours beside the paper's, in percent, and the trivial baselines."""
        table, dataset = self.table, self.dataset.name
        reported = list(dict.fromkeys(name for row in table.rows for name in row.paper))
        beside = [dataset] if dataset in reported else reported
        header = ["row"]
        for figure in table.figures:
            header += [f"{FIGURES[figure]}, ours"]
            header += [f"published{'' if name == dataset else f' on {name}'}" for name in beside]

        def cells(name: str, ours: dict[str, float | None] | None, paper: dict[str, dict[str, float]]) -> Iterator[str]:
            yield name
            for figure in table.figures:
                value = (ours or {}).get(figure)
                yield "–" if value is None else f"{100 * value:.1f}"
                for data in beside:
                    yield str(paper.get(data, {}).get(figure, "–"))

        rows = [list(cells(row.label, self._figures(row), row.paper)) for row in table.rows]
        rows += [list(cells(f"`{name}`", ours, {})) for name, ours in self._baselines().items()]
        lines = [f"| {' | '.join(line)} |" for line in [header, *rows]]
        lines.insert(1, "|---|" + "--:|" * (len(header) - 1))
        changed = f" with {', '.join(f'`{override}`' for override in self.overrides)}" if self.overrides else ""
        about = (
            f"{table.paper}; `{table.model}` on {dataset}, recipe `{recipe_stem(self.recipe_name)}`{changed}, seed "
            f"{self.seed}. Figures are in percent. Protocol `{table.protocol}`: "
            f"{PROTOCOLS[table.protocol].description}."
        )
        paragraphs = [f"## {table.title}", about, *([table.note.strip()] if table.note else [])]
        return "\n\n".join([*paragraphs, "\n".join(lines)]) + "\n"


def _named_figures(row: dict[str, Any]) -> dict[str, float | None]:
    return {"auroc": row["auroc_micro"], "eer": row["eer"]}
