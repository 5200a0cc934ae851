"""The evidence of a figure: one small folder a run in ``zoo/logs``; what is wrong with these folders and their rows.

=================  ==================================================================================================
``config.yaml``    the run's resolved recipe, seed, versions, git revision and command, as in the run folder
``metrics.csv``    losses and health of every epoch, as in the run folder
``summary.json``   ``about``, ``rows`` (every score of the detector under both protocols) and ``videos`` (AUROC of its
                   own score on each, under ``deployable``) of the evaluation, its ``command``, and ``training``: what
                   the run says of itself at its end
``cuboids.json``   the figures of cuboids, where they were measured
=================  ==================================================================================================

An evaluation of two parts has no training: its summary names the ``parts``. A measurement of another kind has a
``summary.json`` with its commands, and the tables (``.csv``, ``table.md``) that a page shows; a table of trainings has
the folders of these within it. Series of frames, progress bars and frames do not belong there.
"""

import csv
import json
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from keras_vad.artifacts.layout import CONFIG_NAME, METRICS_NAME
from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.common.files import write_text
from keras_vad.errors import VadError

CONFIG_FILE, METRICS_FILE, SUMMARY_FILE, CUBOIDS_FILE = CONFIG_NAME, METRICS_NAME, "summary.json", "cuboids.json"
LARGEST_BYTES = 3_000_000
LARGEST_FILE = 100_000

_OF_ROWS = ("model", "score", "protocol", "smoothing")
_DIGITS = 6


def write_log(
    log: Path, evaluation: Mapping[str, Any], *, run: Path | None, parts: Sequence[str] = (), command: str
) -> None:
    """Write or refresh the log of an evaluated detector.

    Args:
        log: Its folder, made if it is not there.
        evaluation: What ``EvaluationReport.to_json`` holds, as plain values. Trivial baselines are left out.
        run: The run folder of the detector. ``None``, for a preset or two parts, leaves ``config.yaml`` and
            ``metrics.csv`` as they are.
        parts: What was evaluated, if two detectors as one.
        command: The command of the evaluation, see ``told_command``.

    Raises:
        VadError: If there is neither a run folder nor a log of this detector, the log is of another run, or it cannot
            be written.
    """
    about = evaluation["about"]
    training: Mapping[str, Any] | None = None
    if run is not None:
        config = _read_config(run)
        _check_same_run(config, about, run)
        if not (run / METRICS_FILE).is_file():
            raise VadError(f"{run} holds no {METRICS_FILE}, but a log needs the run's; give a finished run.")
        training = _training(run)
        write_text(log / CONFIG_FILE, yaml.safe_dump(_portable(config), sort_keys=False))
        shutil.copyfile(run / METRICS_FILE, log / METRICS_FILE)
    elif not parts:
        if not (log / CONFIG_FILE).is_file():
            raise VadError(
                f"{log} holds no {CONFIG_FILE} and there is no run folder to copy it from; evaluate the run folder, or "
                "leave --log out."
            )
        _check_same_run(_read_config(log), about, log)
        training = read_summary(log).get("training") if (log / SUMMARY_FILE).is_file() else None
    summary = {
        "about": about,
        "command": command,
        **({"parts": list(parts)} if parts else {"training": training}),
        "protocols": evaluation["protocols"],
        "rows": [_row(row, about) for row in evaluation["rows"] if row["model"] == about["model"]],
        "videos": {
            row["video"]: _rounded(row["auroc"])
            for row in evaluation["videos"]
            if (row["model"], row["score"], row["protocol"], row["smoothing"])
            == (about["model"], "frame_scores", "deployable", 1)
        },
    }
    write_text(log / SUMMARY_FILE, _text(summary))


def told_command(words: Iterable[str]) -> str:
    """A command as it can be told anywhere: paths of this machine are cut to their last part.

    Example:
    >>> told_command(["keras-vad", "train", "--data-dir", "/data/UCSDped2", "--set", "model.pooling=mean"])
    'keras-vad train --data-dir UCSDped2 --set model.pooling=mean'
    """
    return shlex.join(map(_without_folder, words))


def _without_folder(argument: str) -> str:
    option, equals, value = argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
    return option + equals + (Path(value).name if value.startswith(("/", "~", "..")) else value)


def _portable(config: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(config)
    if changed.get("data_dir"):
        changed["data_dir"] = Path(changed["data_dir"]).name
    if changed.get("command"):
        changed["command"] = told_command(shlex.split(changed["command"]))
    return changed


def _read_config(folder: Path) -> dict[str, Any]:
    run = RunFolder(folder)
    if not run.started:
        raise VadError(f"{folder} holds no {CONFIG_FILE}; give a run folder.")
    return run.config()


def _check_same_run(config: Mapping[str, Any], about: Mapping[str, Any], folder: Path) -> None:
    for name, key in (("method", "model"), ("recipe", "recipe"), ("seed", "seed")):
        if name in config and config[name] != about[key]:
            raise VadError(
                f"{folder} is of {name} {config[name]!r}, but {about[key]!r} was evaluated; give each run a log of its "
                "own."
            )


def _training(run: Path) -> dict[str, Any]:
    """What the run says of itself: its report, and the last line of its metrics."""
    report = RunFolder(run).report()
    report.pop("exported_to", None)
    with (run / METRICS_FILE).open(newline="", encoding="utf-8") as file:
        epochs = list(csv.DictReader(file))
    return {**report, "last_epoch": {name: _number(value) for name, value in epochs[-1].items()} if epochs else None}


def _number(text: str) -> Any:
    try:
        return _rounded(float(text))
    except ValueError:
        return text


def _row(row: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is the same in all, and without figures that it does not have."""
    own = {key: value for key, value in row.items() if value is not None and (key not in about or key == "model")}
    first = {key: own.pop(key) for key in _OF_ROWS}
    return {**first, **{key: _rounded(value) for key, value in own.items()}}


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _text(summary: Mapping[str, Any]) -> str:
    """JSON with one line a row."""
    parts = []
    for key, value in summary.items():
        if isinstance(value, list) and value:
            told = "[\n" + ",\n".join(f"    {json.dumps(one, allow_nan=False)}" for one in value) + "\n  ]"
        else:
            told = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).replace("\n", "\n  ")
        parts.append(f"  {json.dumps(key)}: {told}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read_summary(log: Path) -> dict[str, Any]:
    """The summary of a log.

    Raises:
        VadError: If there is none, or it is no JSON object.
    """
    path = log / SUMMARY_FILE
    try:
        summary = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise VadError(f"{path} cannot be read ({error.strerror}); write it with keras-vad evaluate --log.") from error
    except ValueError as error:
        raise VadError(f"{path} is no summary; write it with keras-vad evaluate --log.") from error
    if not isinstance(summary, dict):
        raise VadError(f"{path} is no summary; write it with keras-vad evaluate --log.")
    return summary


def log_faults(logs: Path) -> list[str]:
    """What is wrong with the form of the logs, a sentence each: files that do not belong, what is missing, size."""
    faults = []
    files = sorted(path for path in logs.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    if size > LARGEST_BYTES:
        faults.append(f"{logs} has {size:,} bytes, but at most {LARGEST_BYTES:,} are kept; shorten or drop logs.")
    for path in files:
        known = path.name in (CONFIG_FILE, SUMMARY_FILE, CUBOIDS_FILE, "table.md") or path.suffix == ".csv"
        if not known or path.parent == logs:
            faults.append(f"{path} does not belong into the logs; a run has a folder with config, metrics and summary.")
        elif path.stat().st_size > LARGEST_FILE:
            faults.append(
                f"{path} has {path.stat().st_size:,} bytes; a log holds figures, not series ({LARGEST_FILE:,})."
            )
    for folder in sorted({path.parent for path in files} - {logs}):
        names = {path.name for path in folder.iterdir()}
        wanted = {SUMMARY_FILE} | ({CONFIG_FILE, METRICS_FILE} if names & {CONFIG_FILE, METRICS_FILE} else set())
        faults += [
            f"{folder} has no {name}; write it with keras-vad evaluate --log." for name in sorted(wanted - names)
        ]
    return faults


def stale_rows(rows: Iterable[Mapping[str, str]], root: Path, trivial: Sequence[str] = ()) -> list[str]:
    """What is stale in a table of results, a sentence each.

    A row stands for an evaluation that its log tells of: one evaluation, so one git revision, and all scores that the
    detector had, no other ones. A score that a method no longer has is gone from the log when the detector is evaluated
    again, and its row is stale then.

    Args:
        rows: Of the table of results.
        root: The folder that the paths of logs start at.
        trivial: The trivial baselines that there are; others are stale. None given, they are not looked at.
    """
    faults = []
    of_log: dict[str, list[Mapping[str, str]]] = {}
    logs_of: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        if row["model"].startswith("trivial_"):
            if trivial and row["model"] not in trivial:
                faults.append(f"{row['model']} on {row['dataset']} has a row, but there is no such baseline.")
            continue
        of_log.setdefault(row["log"], []).append(row)
        logs_of.setdefault(tuple(row[key] for key in ("model", "dataset", "recipe", "seed")), set()).add(row["log"])
    for run, logs in logs_of.items():
        if len(logs) > 1:
            faults.append(f"{', '.join(run)} has rows of {len(logs)} logs: {', '.join(sorted(logs))}; keep one.")
    for log, own in sorted(of_log.items()):
        faults += _faults_of_log(log, own, root) if log else [f"{len(own)} rows have no log: {_told(own)}."]
    return faults


def _faults_of_log(log: str, rows: Sequence[Mapping[str, str]], root: Path) -> list[str]:
    if not (root / log / SUMMARY_FILE).is_file():
        return [f"{log} has {len(rows)} rows, but no {SUMMARY_FILE}."]
    again = "evaluate it again with --results and --log"
    revisions = sorted({row["git"] for row in rows})
    if len(revisions) > 1:
        return [f"{log} has rows of {len(revisions)} git revisions, {', '.join(revisions)}; {again}."]
    summary = read_summary(root / log)
    faults = []
    for column in ("model", "dataset", "recipe", "seed", "data_fingerprint", "git"):
        known, found = _plain(summary["about"].get(column)), {row[column] for row in rows}
        if found != {known}:
            faults.append(f"{log} was evaluated with {column} {known}, but its rows have {', '.join(found)}; {again}.")
    logged = {tuple(_plain(row[key]) for key in _OF_ROWS): row for row in summary["rows"]}
    in_table = {tuple(row[key] for key in _OF_ROWS): row for row in rows}
    if gone := [row for key, row in in_table.items() if key not in logged]:
        faults.append(f"{log} has rows of scores that its detector no longer has: {_told(gone)}; {again}.")
    if missing := [row for key, row in logged.items() if key not in in_table]:
        faults.append(f"{log} has rows that the table lacks: {_told(missing)}; {again}.")
    for key in sorted(logged.keys() & in_table.keys()):
        figure, cell = logged[key].get("auroc_micro"), in_table[key]["auroc_micro"]
        if (figure is None) != (cell == "") or (figure is not None and abs(figure - float(cell)) > 1e-4):
            faults.append(f"{log} has an AUROC of {figure} for {' '.join(key)}, but the table {cell}; {again}.")
    return faults


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def _told(rows: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(f"{row['model']}'s {row['score']}" for row in rows))
