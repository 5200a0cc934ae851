"""The methods: one module each, the contract they meet and the registry."""

from keras_vad.common.settings import check_backend

check_backend()
