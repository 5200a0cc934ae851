"""Shows the examples of docstrings as code: an extension of griffe, which reads them for the site.

Here an example follows its heading without being indented, as doctest reads it all the same; griffe wants a block.
"""

import re
import textwrap
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^Example:\n(?P<lines>(?:.+(?:\n|\Z))+)", re.MULTILINE)


class Examples(Extension):
    """Indents the lines under ``Example:``, and calls them what griffe does."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(
                lambda match: f"Examples:\n{textwrap.indent(match['lines'], '    ')}", obj.docstring.value
            )
