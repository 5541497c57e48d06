"""No imports where the files at a path are a container's.

The paths of modules are the host's. In a container's mount namespace the container's own files are there, and what
Python loads of them would run with all rights of the engine: also what it loads late and by itself, as a codec when
a text is first decoded by it, or a module for an error's message.
"""

from __future__ import annotations

import codecs
import sys

# What is used where nothing is imported any more.
codecs.lookup("ascii")


def end() -> None:
    """Let this process import nothing any more, as a forked child does before it enters a container."""
    sys.meta_path.clear()
