"""What models may be called."""

import pytest

from keras_vad.common.names import check_name
from keras_vad.errors import VadError


@pytest.mark.parametrize("name", ["presets", "logs"])
def test_names_of_other_folders_of_a_zoo_are_taken(name):
    with pytest.raises(VadError, match=f"a model cannot be called '{name}'"):
        check_name(name)
    check_name(f"{name}_1")
