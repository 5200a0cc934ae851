"""From a detector's answers to a video's series of scores: chunks, calibration, rescaling, smoothing, events."""
