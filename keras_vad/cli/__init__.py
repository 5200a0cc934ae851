"""The command ``keras-vad``."""
