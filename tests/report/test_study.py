"""The table and the plots of the study of local_playback."""

import csv

import pytest
from PIL import Image

from keras_vad.errors import VadError
from keras_vad.report.study import draw_schedule, draw_variants, read_study, study_table
from tools.study import main

COLUMNS = ["variant", "seed", "weights"]
COLUMNS += [f"{name}_q{quarter}" for quarter in (1, 2, 3, 4) for name in ("paper", "deployable", "criterion")]
COLUMNS += ["averaged_paper", "averaged_deployable"]


def training(variant, seed, paper, deployable, averaged=True):
    """Each quarter is a point better than the one before."""
    quarters = {}
    for quarter in (1, 2, 3, 4):
        for name, end in (("paper", paper), ("deployable", deployable), ("criterion", 80.0 + seed)):
            quarters[f"{name}_q{quarter}"] = end - (4 - quarter)
    average = {"averaged_paper": paper - 1, "averaged_deployable": deployable - 1} if averaged else {}
    return {"variant": variant, "seed": seed, "weights": 1234, **quarters, **average}


def write(folder, *trainings):
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(trainings)
    return folder


@pytest.fixture
def study(tmp_path):
    runs = [training("before", 0, 90.0, 91.0), training("before", 1, 92.0, 95.0), training("chosen", 0, 97.0, 98.0)]
    return write(tmp_path, *runs)


def test_the_table_has_means_and_deviations_in_the_order_of_the_variants(study):
    rows = study_table(read_study(study)).splitlines()[2:]
    # Deviation (n - 1): of 90 and 92 it is 1.41, of 91 and 95 2.83, of 80 and 81 0.71.
    assert rows == [
        "| before | 1,234 | 2 | 91.0 ± 1.4 | 93.0 ± 2.8 | 90.0 ± 1.4 / 92.0 ± 2.8 | 80.5 ± 0.7 |",
        "| chosen | 1,234 | 1 | 97.0 | 98.0 | 96.0 / 97.0 | 80.0 |",
    ]


def test_a_variant_without_averaged_weights_has_a_dash(study):
    write(study, training("chosen", 0, 97.0, 98.0, averaged=False))
    assert study_table(read_study(study)).splitlines()[2] == "| chosen | 1,234 | 1 | 97.0 | 98.0 | – | 80.0 |"


def test_figures_of_a_quarter_are_those_of_that_quarter(study):
    before = read_study(study)[0]
    assert before.figures(1).tolist() == [[87.0, 88.0], [89.0, 92.0]]
    assert before.criterion(3).tolist() == [79.0, 80.0]


def test_the_plots_are_drawn(study, tmp_path):
    for draw in (draw_variants, draw_schedule):
        path = tmp_path / f"{draw.__name__}.png"
        draw(read_study(study), path)
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(1_000_000)) > 10  # axes, text and marks, not a blank page


def test_a_stale_table_is_told(study, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- study:begin -->\n<!-- study:end -->\nafter\n")
    arguments = ["--study", str(study), "--document", str(page)]
    assert main([*arguments, "--check"]) == 1 and "stale" in capsys.readouterr().out
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    assert page.read_text().startswith("before\n") and page.read_text().endswith("after\n")
    assert "| chosen |" in page.read_text()


def test_what_is_missing_is_named(study, tmp_path):
    write(study)
    with pytest.raises(VadError, match=r"has no training in results\.csv"):
        read_study(study)
    with pytest.raises(VadError, match="cannot be read: No such file"):
        read_study(tmp_path / "nowhere")
