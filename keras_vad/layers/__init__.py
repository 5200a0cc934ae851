"""Keras layers and graph functions that the methods need and Keras lacks."""
