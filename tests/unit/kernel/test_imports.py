"""Where nothing is imported any more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import sys
from scow.kernel import imports
sys.path.insert(0, sys.argv[1])
imports.end()
for attempt in (lambda: __import__("planted"), lambda: b"x".decode("planted"), lambda: __import__("wave")):
    try:
        attempt()
    except (ImportError, LookupError):
        print("refused")
import json  # what is loaded stays
print(open("/proc/self/comm", encoding="ascii").read().strip())
"""


def test_neither_modules_nor_codecs_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("print('ran')\n")
    (tmp_path / "encodings").mkdir()
    (tmp_path / "encodings" / "planted.py").write_text("print('ran')\n")
    done = subprocess.run(
        [sys.executable, "-c", "import json\n" + _SCRIPT, tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[:3] == ["refused"] * 3
    assert "ran" not in done.stdout
