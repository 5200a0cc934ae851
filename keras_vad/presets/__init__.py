"""Presets: trained detectors by name, from a zoo on disk or anywhere else, verified; ``keras_vad.load`` takes names.

A zoo folder, here or elsewhere, holds ``index.json`` and ``presets/NAME/VERSION/`` with the files that the index lists.
Only publishing (``publish``, ``storage``) needs TensorFlow.
"""
