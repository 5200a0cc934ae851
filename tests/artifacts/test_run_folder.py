"""A run folder tells what a run wrote into it, and says which file is damaged."""

import pytest

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.errors import VadError


def test_tells_what_was_written(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert not run.started and not run.finished
    assert run.config() == {} and run.report() == {} and run.training() is None and run.calibration() is None
    run.write_config({"method": "adv3dcae", "dataset": "shapes", "seed": 3, "data": {"hop": 2}})
    run.write_report({"calibration": {"alarm_quantile": 0.99}})
    assert run.started and not run.finished
    again = RunFolder(tmp_path / "run")
    assert list(again.config()) == ["method", "dataset", "seed", "data"]
    training = again.training()
    assert training is not None
    assert (training["dataset"], training["seed"], training["from"]) == ("shapes", 3, None)
    assert training["options"] == {"data": {"hop": 2}, "training": None, "scoring": None}
    assert again.calibration() == {"alarm_quantile": 0.99}


@pytest.mark.parametrize(
    ("name", "content"), [("config.yaml", "a: [1"), ("config.yaml", "a text"), ("report.json", "{")]
)
def test_a_damaged_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    run = RunFolder(tmp_path)
    with pytest.raises(VadError, match=f"^{tmp_path / name} cannot be read .*; restore it, or train again"):
        run.config()
        run.report()
