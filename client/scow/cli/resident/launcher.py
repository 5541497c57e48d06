"""Writes the quick `scow`: a script that starts the interpreter without `site` and loads `caller` alone.

An installer's script of an entry point does the same, but starts the interpreter with everything and imports by the
package's name, which takes half as long again. `make install` puts the quick one in its place::

    python -m scow.cli.resident.launcher .venv/bin
"""

from __future__ import annotations

import os
import sys

from scow.cli.resident import caller

# What follows `#!` in the first line, at most (BINPRM_BUF_SIZE in Linux).
_FIRST_LINE = 250
_SCRIPT = """#!{interpreter} -IS
import sys

sys.path.insert(0, {folder!r})
from caller import main

del sys.path[0]
main(__file__)
"""


def script(folder: str) -> str:
    """Return the script for the interpreter that runs this.

    Args:
        folder: Where `caller` is.
    """
    return _SCRIPT.format(interpreter=sys.executable, folder=folder)


def write(folder: str) -> bool:
    """Write `scow` into a folder; False, and nothing is written, where the kernel would not take its first line."""
    interpreter = sys.executable
    if len(os.fsencode(interpreter)) > _FIRST_LINE or any(map(str.isspace, interpreter)):
        return False
    path = os.path.join(folder, "scow")
    with open(f"{path}.new", "w") as file:
        file.write(script(os.path.dirname(caller.__file__)))
        os.fchmod(file.fileno(), 0o755)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
    return True


def main() -> int:
    """Write it into the folder that is the argument."""
    (folder,) = sys.argv[1:]
    if not write(folder):
        print(f"{sys.executable} does not fit a script's first line: {folder}/scow stays as it is")
    return 0


if __name__ == "__main__":
    sys.exit(main())
