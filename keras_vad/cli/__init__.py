"""The command ``keras-vad``: one module a verb, in which nothing loads TensorFlow before what was given is checked."""
