"""Ablation tables: those of the package fit their methods; one over a tiny network runs from the command line."""

import json
from pathlib import Path

import pytest
import yaml

import keras_vad
from keras_vad.data import FrameCache, open_dataset
from keras_vad.data.shapes import make_shapes
from keras_vad.errors import VadError
from keras_vad.evaluation.cuboids import cuboid_report
from keras_vad.evaluation.evaluate import evaluate
from keras_vad.evaluation.run_log import log_faults, read_summary
from keras_vad.training.ablations import AblationTable, list_ablations, load_ablation
from keras_vad.training.recipe import load_recipe
from tests.command import verb
from tests.models.test_contract import TINY

ablate = verb("ablate")

TABLES = [
    *("jacob2019-figure5", "jacob2019-table"),
    *("chang2022-table2", "chang2022-table3", "li2021-table4", "li2021-table5"),
    *(f"lohani2023-table{number}" for number in (2, 3, 4, 5)),
    "sun2020-scores",
    *(f"sun2020-table{number}" for number in (5, 6, 7, 8, 9)),
]


def test_the_tables_of_the_papers_are_there() -> None:
    assert list_ablations() == sorted(TABLES)


LARGER = {"adaptive_clustering": {"image_size": 96}}  # cuboids of 48 pixels must fit


@pytest.mark.parametrize("name", list_ablations())
def test_rows_build_take_the_trained_weights_and_have_the_score_they_report(name: str) -> None:
    table, built = load_ablation(name), {}
    recipe = load_recipe(f"{table.model}_ucsdped2_compact").model
    for row in table.rows:
        overrides = table.overrides | row.overrides | row.compact
        options = {path.removeprefix("model."): value for path, value in overrides.items() if path.startswith("model.")}
        options = {**recipe, **TINY[table.model].config, **LARGER.get(table.model, {}), **options}
        for hyper in (options, options | row.scoring):
            if str(hyper) not in built:
                built[str(hyper)] = keras_vad.build(table.model, **hyper)
        trained, scored = built[str(options)], built[str(options | row.scoring)]
        scored.set_weights(trained.get_weights())
        assert row.score in ("frame_scores", *scored.parts, *scored.paper_scores), row.label


@pytest.mark.parametrize("name", list_ablations())
def test_published_figures_are_plausible(name: str) -> None:
    table = load_ablation(name)
    # Figure 5 has no numbers.
    assert any(row.paper for row in table.rows) == (name != "jacob2019-figure5")
    for figures in (figures for row in table.rows for figures in row.paper.values()):
        assert set(figures) <= set(table.figures)
        for figure, value in figures.items():
            least, most = {"eer": (5, 35), "cuboid_f1": (30, 90)}.get(figure, (50, 100))
            assert least < value < most


def table_of(rows: list[str], **changes: str) -> str:
    lines = {"title": "Tiny", "paper": "Nobody 2020, table 1", "model": "adv3dcae", **changes}
    return "\n".join([*(f"{key}: {value}" for key, value in lines.items() if value), "rows:", *rows]) + "\n"


@pytest.fixture
def written(tmp_path: Path):
    """A function that writes a table's text to a file and gives its path."""

    def write(text: str) -> str:
        (tmp_path / "tiny.yaml").write_text(text)
        return str(tmp_path / "tiny.yaml")

    return write


FRAMES, FLOW = "  - {label: frames}", "  - {label: flow, set: {model.optical_flow: true}, score: flow_error}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", r"table tiny is \[1\], but must hold title, paper, model, rows and may hold"),
        (table_of([FRAMES], colour="red"), "table tiny has an unknown key 'colour'; it may hold title, paper"),
        (table_of([FRAMES], paper=""), "table tiny has no paper, but needs one"),
        (table_of([]), "table tiny has no rows, but needs one"),
        (table_of([FRAMES], protocol="fair"), "has the protocol 'fair', but must have one of paper, deployable"),
        (table_of([FRAMES], figures="[auc]"), "has a figure 'auc', but figures are auroc, eer, cuboid_auroc"),
        (table_of([FRAMES], set="[1]"), r"set of the ablation table tiny is \[1\], but must hold options"),
        (table_of(["  - frames"]), "row 1 of the ablation table tiny is 'frames', but must hold label"),
        (table_of([FRAMES, "  - {set: {}}"]), "row 2 of the ablation table tiny has no label"),
        (table_of([FRAMES, FRAMES]), "has 2 rows 'frames'; give each row a label of its own"),
        (table_of(["  - {label: a, set: {noise: null}}"]), "row 'a' .* sets 'noise', but must name section and option"),
        (table_of(["  - {label: a, set: {model.sound: 1}}"]), "adv3dcae has no hyper-parameter sound"),
        (table_of(["  - {label: a, compact: {model.channels: 3}}"]), "channels of adv3dcae is 3, but must be of type"),
        (
            table_of(["  - {label: a, scoring: {pool: max}}"]),
            r"adv3dcae has no hyper-parameter pool \(did you mean pooling\?\);",
        ),
        (table_of(["  - {label: a, set: {data.speed: 1}}"]), "row 'a' .* has no option data.speed"),
        (table_of(["  - {label: a, paper: {shapes: 91}}"]), "reports 91 on shapes, but must name each figure"),
        (table_of([FRAMES], model="adv4dcae"), "there is no method 'adv4dcae'"),
        ("rows: [", "the ablation table .*tiny.yaml is not valid YAML"),
    ],
)
def test_a_wrong_table_is_refused_with_a_sentence(written, text: str, message: str) -> None:
    with pytest.raises(VadError, match=message) as caught:
        load_ablation(written(text))
    assert "\n" not in str(caught.value)


def test_unknown_tables_and_rows_name_the_known_ones(written) -> None:
    with pytest.raises(
        VadError,
        match=r"there is no ablation table 'table5' \(did you mean li2021-table5\?\); give a YAML",
    ):
        load_ablation("table5")
    with pytest.raises(VadError, match=r"the ablation table none\.yaml cannot be read"):
        load_ablation("none.yaml")
    table = load_ablation(written(table_of([FRAMES, FLOW])))
    assert table.row("2") is table.row("flow") is table.rows[1]
    with pytest.raises(VadError, match=r"tiny has no row 'sound'; its rows are 1 \(frames\), 2 \(flow\)"):
        table.row("sound")


@pytest.fixture
def table(written) -> AblationTable:
    rows = [
        "  - {label: default, set: {model.noise: gaussian}}",
        "  - {label: few layers, set: {model.channels: [64, 128]}, compact: {model.channels: [8, 16]}}",
    ]
    return load_ablation(written(table_of(rows, set="{model.noise: null, training.epochs: 7}")))


def test_a_row_wins_over_the_user_and_the_user_over_table_and_recipe(table: AblationTable) -> None:
    default, few = table.rows
    recipe = table.recipe(few, "adv3dcae_ucsdped2_compact", ["model.channels=[4,4]", "training.epochs=9"])
    assert (recipe.model["channels"], recipe.model["noise"], recipe.training.epochs) == ((8, 16), None, 9)
    assert table.recipe(few, "adv3dcae_ucsdped2").model["channels"] == (64, 128)
    assert table.recipe(few, "adv3dcae_ucsdped2").training.epochs == 7
    # A default is left out, so that this is the same training as one of a table that does not speak of noise.
    assert "noise" not in table.recipe(default, "adv3dcae_ucsdped2").model


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training videos of 20 frames; five test videos, one with both classes."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    return make_shapes(folder, 80, 100, seed=3, anomaly_probability=0.03, frames_per_video=20)


TINY_TABLE = """\
title: Pooling
paper: Nobody 2020, table 1
model: adv3dcae
figures: [auroc, eer]
note: This is a test.
set:
  model.image_size: [24, 32]
  model.window_length: 4
  model.channels: [2, 4]
  model.adversarial_weight: 0.0
  training.epochs: 1
  training.steps_per_epoch: 6
  training.batch_size: 4
  training.validation_steps: 0
rows:
  - label: frames
    scoring: {pooling: mean}
    paper: {shapes: {auroc: 91.0, eer: 10.9}, ucsdped2: {auroc: 93.5}}
  - label: few frames
    set: {model.convolution: 2d, data.train_frames: 24}
    score: max_error
"""


def test_the_tool_trains_evaluates_and_prints_ours_beside_the_papers(
    written, scenes: Path, tmp_path: Path, monkeypatch, capsys, determinism_off
) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    common = [written(TINY_TABLE), "--dataset", "shapes", "--data-dir", str(scenes), "--recipe", "compact"]
    common += ["--run-dir", str(run)]

    # One row first, then both: the first is not trained again.
    assert ablate([*common, "--only", "frames"]) == 0
    captured = capsys.readouterr()
    assert "| few frames | – | – | – | – |" in captured.out
    assert "tiny, row 1 of 2: frames" in captured.err
    (first,) = run.glob("*/detector.keras")
    trained_at = first.stat().st_mtime_ns
    assert (
        ablate(
            [
                *common,
                "--output",
                str(tmp_path / "table.md"),
                "--picture",
                str(tmp_path / "growth.svg"),
                "--log",
                str(tmp_path / "logs" / "tiny"),
            ]
        )
        == 0
    )
    output = capsys.readouterr().out
    assert first.stat().st_mtime_ns == trained_at
    (second,) = set(run.glob("*/detector.keras")) - {first}
    assert (tmp_path / "table.md").read_text() == output
    stored = json.loads((run / "tiny.json").read_text())

    # The recipe scores by the excess, the first row by the mean, with the weights of its training.
    assert yaml.safe_load((first.parent / "config.yaml").read_text())["model"]["pooling"] == "excess"
    dataset, cache = open_dataset("shapes", scenes), FrameCache(tmp_path / "cache")
    expected = []
    for detector, score in ((first, "mean_error"), (second, "max_error")):
        report = evaluate(keras_vad.load(detector), dataset, cache, baselines=False)
        expected += [row for row in report.rows if (row["score"], row["protocol"]) == (score, "paper")]
    assert [(row["ours"]["auroc"], row["ours"]["eer"]) for row in stored["rows"]] == [
        (row["auroc_micro"], row["eer"]) for row in expected
    ]
    percent = [f"{100 * row[figure]:.1f}" for row in expected for figure in ("auroc_micro", "eer")]
    lines = output.splitlines()
    assert lines[:3] == ["## Pooling", "", lines[2]]
    assert lines[2].startswith("Nobody 2020, table 1; `adv3dcae` on shapes, recipe `adv3dcae_shapes_compact`, seed 0. ")
    assert "Protocol `paper`: raw scores, rescaled over each whole test video" in lines[2]
    assert lines[4:10] == [
        "This is a test.",
        "",
        "| row | AUROC, ours | published | EER, ours | published |",
        "|---|--:|--:|--:|--:|",
        f"| frames | {percent[0]} | 91.0 | {percent[1]} | 10.9 |",
        f"| few frames | {percent[2]} | – | {percent[3]} | – |",
    ]
    assert [line.split(" | ")[0] for line in lines[10:]] == [f"| `{name}`" for name in stored["baselines"]]

    # The log has the table, and of each training what a run's has.
    log = tmp_path / "logs" / "tiny"
    assert {path.name for path in log.iterdir()} == {
        "table.md",
        "summary.json",
        *(one.parent.name for one in (first, second)),
    }
    assert (log / "table.md").read_text() == output and log_faults(log.parent) == []
    summary = read_summary(log)
    assert summary["rows"] == stored["rows"] and "--data-dir shapes --recipe compact" in summary["command"]
    assert {row["score"] for row in read_summary(log / second.parent.name)["rows"]} >= {"frame_scores", "max_error"}

    # The picture has a point for each row: of 80 frames, one video of 20 is held out.
    picture = (tmp_path / "growth.svg").read_text()
    assert all(f"<!-- {text} -->" in picture for text in ("24", "60", "training frames", "AUROC"))

    # 24 frames are a video of 20 with 17 windows and one window more.
    reports = [json.loads((detector.parent / "report.json").read_text()) for detector in (first, second)]
    assert [report["steps_per_epoch"] for report in reports] == [6, 6]  # fewer windows are gone round

    # Another seed in the same folder is refused.
    with pytest.raises(VadError, match="has seed 0, but now it is 1; resume with the same options"):
        ablate([*common, "--seed", "1"])

    # A run that was killed before its detector was written goes on; what was measured of other weights is dropped.
    second.unlink()
    (evaluation,) = second.parent.glob("evaluation*.json")
    evaluation.write_text(evaluation.read_text().replace('"max_error"', '"lost"'))
    assert ablate([*common, "--only", "2"]) == 0
    assert capsys.readouterr().out == output

    # Another table with the same training, but a score that there is not
    written(TINY_TABLE.replace("max_error", "sound"))
    with pytest.raises(VadError, match="reports the score 'sound', but its detector has frame_scores, mean_error"):
        ablate(common)


def test_figures_of_cuboids(written, scenes: Path, tmp_path: Path, monkeypatch, capsys, determinism_off) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    tiny = {f"model.{option}": value for option, value in TINY["adaptive_clustering"].config.items()}
    short = {"training.epochs": 2, "training.steps_per_epoch": 2, "training.batch_size": 2}
    short["training.enforce_health"] = False  # the recipe's ranges are for 20 clusters
    changes = {"model": "adaptive_clustering", "set": json.dumps(tiny | short)}
    row = ["  - {label: recipe, paper: {shapes: {cuboid_f1: 83.21}}}"]
    common = [written(table_of(row, **changes)), "--dataset", "shapes", "--data-dir", str(scenes)]
    common += ["--recipe", "adaptive_clustering_ucsdped2_compact", "--run-dir", str(tmp_path / "run")]
    assert ablate(common) == 0
    (detector,) = (tmp_path / "run").glob("*/detector.keras")
    trained_at = detector.stat().st_mtime_ns
    capsys.readouterr()

    # A table that asks for more of the same training measures it again, but does not train.
    written(table_of(row, **changes, figures="[auroc, cuboid_auroc, cuboid_f1, cuboid_accuracy]"))
    assert ablate(common) == 0
    assert detector.stat().st_mtime_ns == trained_at
    report = cuboid_report(keras_vad.load(detector), open_dataset("shapes", scenes), FrameCache(tmp_path / "cache"))
    assert report["f1"] > 0
    cells = [f"{100 * report[name]:.1f}" for name in ("auroc", "f1", "accuracy")]
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| recipe |"))
    assert line.split(" | ")[3:] == [cells[0], "–", cells[1], "83.21", cells[2], "– |"]


def test_where_the_paper_has_other_data_its_figures_are_named(written, scenes: Path, tmp_path: Path, capsys) -> None:
    """Nothing is trained for this: no row is asked for but that of an untrained table."""
    from keras_vad.training.ablation_run import AblationRun

    text = TINY_TABLE.replace("shapes: {auroc: 91.0, eer: 10.9}, ", "avenue: {auroc: 88.9}, ")
    run = AblationRun(load_ablation(written(text)), "shapes", scenes, "adv3dcae_shapes_compact", tmp_path / "run")
    lines = run.to_markdown().splitlines()
    assert lines[6] == (
        "| row | AUROC, ours | published on avenue | published on ucsdped2 "
        "| EER, ours | published on avenue | published on ucsdped2 |"
    )
    assert lines[8] == "| frames | – | 88.9 | 93.5 | – | – | – |"
    assert not (tmp_path / "run").exists()


def test_list_names_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("ablations")([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == list_ablations()
    assert lines[-1] == "sun2020-table9: Optical flow beside the frames (Sun et al. 2020, table IX; adv3dcae, 2 rows)"
    with pytest.raises(VadError, match="the following arguments are required: --dataset, --data-dir; "):
        ablate(["sun2020-table9"])
