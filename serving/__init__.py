"""Serving: a local server that speaks TensorFlow Serving's gRPC API, and scoring a video with a served model."""
