"""When `run` and `create` pull, and how often."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scow.cli.verbs.container import run
from scow.contract.errors import ImageNotFound


class Containers:
    """Creates a container at the given try."""

    def __init__(self, at: int) -> None:
        self._left = at

    def create_from(self, config: object, *, name: str) -> str:
        self._left -= 1
        if self._left > 0:
            raise ImageNotFound("gone", what="image", which="image", do="pull it")
        return "created"


@pytest.mark.parametrize(
    ("pull", "at", "pulls"),
    [
        ("missing", 1, 0),
        ("missing", 2, 1),
        ("missing", 4, 3),  # pruned twice before it was in use
        ("missing", 5, None),
        ("always", 1, 1),
        ("always", 2, 2),
        ("never", 1, 0),
        ("never", 2, None),
    ],
)
def test_pulls(monkeypatch: pytest.MonkeyPatch, pull: str, at: int, pulls: int | None) -> None:
    made: list[str] = []
    monkeypatch.setattr(run, "_pull", lambda *_: made.append("pull"))
    context: Any = SimpleNamespace(client=SimpleNamespace(containers=Containers(at)))
    options: Any = SimpleNamespace(pull=pull, name="", quiet=True)
    config: Any = SimpleNamespace(image="image", mounts=[])
    if pulls is None:
        with pytest.raises(ImageNotFound):
            run._create_pulled(config, options, context)
    else:
        assert run._create_pulled(config, options, context) == "created"
        assert len(made) == pulls
