"""The methods: one module each, the contract they meet and the registry."""

from keras_vad.settings import check_backend

check_backend()
