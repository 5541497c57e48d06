"""What the tests of the resident command server share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import resident
from tests.support.engine import clean_environment
from tests.unit.cli.resident.user import TELL, User


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"credsStore": "probe"}))
    with resident.runtime_folder(tmp_path) as runtime:
        env = {
            **clean_environment(),
            "HOME": str(tmp_path),
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "SCOW_CLIENT_DIR": str(tmp_path / "docker"),
            "XDG_RUNTIME_DIR": str(runtime),
            "TOLD": str(tmp_path / "told"),
        }
        made = User(tmp_path, runtime, env)
        made.use(TELL)
        yield made
