"""What the terminal shows of a run."""

from keras_vad.training.callbacks import ProgressBar


def test_the_bar_shows_every_training_loss_of_the_last_epoch():
    bar = ProgressBar()
    bar.set_params({"epochs": 2, "steps": 4})
    bar.on_epoch_begin(0)
    bar.on_epoch_end(
        0,
        {
            "playback": 0.5,
            "mean": 2.0,
            "val_playback": 9.0,
            "health_accuracy": 1.0,
            "phase": "a",
            "learning_rate": 1e-3,
        },
    )
    bar.on_epoch_begin(1)
    (task,) = bar._progress.tasks
    assert (task.description, task.fields["losses"]) == ("epoch 2/2", "playback 0.5, mean 2")
