"""A local server that speaks TensorFlow Serving's gRPC API, and the configuration of TensorFlow Serving itself."""
