"""How a pull is shown: lines in a log, bars on a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from scow.api.image.v1.image_pb2 import Image, LayerProgress, PullResponse
from scow.cli.output.progress import bar, show_pull
from scow.contract.errors import DataLoss

_LAYER = "sha256:0123456789abcdef"
_REFERENCE = "docker.io/library/nginx:latest@sha256:d"


class _Pulling:
    """A stream of messages; knows whether it was closed."""

    def __init__(self, messages: list[PullResponse]) -> None:
        self._messages = iter(messages)
        self.closed = False

    def __enter__(self) -> _Pulling:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[PullResponse]:
        return self._messages


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError

    def close(self) -> None:
        """Keep the text."""


def _layer(phase: LayerProgress.Phase.ValueType, current: int = 0, total: int = 0) -> PullResponse:
    layer = LayerProgress(digest=_LAYER, phase=phase, current=current, total=total)
    return PullResponse(layer=layer)


def _messages() -> list[PullResponse]:
    return [
        PullResponse(resolved=_REFERENCE),
        _layer(LayerProgress.PHASE_WAITING),
        _layer(LayerProgress.PHASE_DOWNLOADING, 0, 2_000_000),
        _layer(LayerProgress.PHASE_DOWNLOADING, 1_000_000, 2_000_000),
        _layer(LayerProgress.PHASE_UNPACKING, 2_000_000, 2_000_000),
        _layer(LayerProgress.PHASE_DONE),
        PullResponse(image=Image(id="sha256:i")),
    ]


def _show(
    messages: list[PullResponse], out: io.StringIO, *, quiet: bool = False, asked: str = "nginx"
) -> Image:
    pulling = _Pulling(messages)
    image = show_pull(pulling, asked, out, quiet=quiet)  # type: ignore[arg-type]
    assert pulling.closed
    return image


def test_lines() -> None:
    out = io.StringIO()
    assert _show(_messages(), out).id == "sha256:i"
    assert out.getvalue().splitlines() == [
        "latest: Pulling from library/nginx",
        "0123456789ab: Downloading",
        "0123456789ab: Pull complete",
        "Digest: sha256:d",
        "Status: Downloaded newer image for nginx:latest",
    ]


def test_an_image_that_is_there() -> None:
    out = io.StringIO()
    messages = [
        PullResponse(resolved=_REFERENCE),
        _layer(LayerProgress.PHASE_EXISTS),
        PullResponse(image=Image(id="sha256:i")),
    ]
    _show(messages, out)
    assert out.getvalue().splitlines()[-1] == "Status: Image is up to date for nginx:latest"


@pytest.mark.parametrize(
    ("before", "word"), [([], "Downloaded"), (["docker.io/library/nginx@sha256:d"], "Image")]
)
def test_layers_that_are_here_may_be_a_new_image(before: list[str], word: str) -> None:
    out = io.StringIO()
    messages = [PullResponse(resolved=_REFERENCE), PullResponse(image=Image(id="sha256:i"))]
    show_pull(_Pulling(messages), "nginx", out, before=before)  # type: ignore[arg-type]
    assert out.getvalue().splitlines()[-1].startswith(f"Status: {word} ")


def test_a_pull_by_digest() -> None:
    out = io.StringIO()
    _show(_messages(), out, asked="nginx@sha256:d")
    lines = out.getvalue().splitlines()
    assert lines[0] == "nginx@sha256:d: Pulling from library/nginx"
    assert lines[-1] == "Status: Downloaded newer image for nginx@sha256:d"


def test_quiet() -> None:
    out = io.StringIO()
    _show(_messages(), out, quiet=True)
    assert out.getvalue() == ""


def test_a_pull_without_an_image_is_an_error() -> None:
    with pytest.raises(DataLoss, match="the pull ended without an image"):
        _show(_messages()[:-1], io.StringIO())


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scow.cli.output.progress._terminal_size", lambda _: (24, 100))
    monkeypatch.setattr(_Terminal, "fileno", lambda _: 1)
    out = _Terminal()
    _show(_messages(), out)
    text = out.getvalue()
    assert "0123456789ab: Downloading    [" in text
    assert "0123456789ab: Pull complete" in text
    # Each further drawing begins above the one line that is redrawn.
    assert text.count("\x1b[1A\x1b[2K") >= 3
    assert text.endswith("Status: Downloaded newer image for nginx:latest\n")


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (0, "[                                        ]       0B/2MB"),
        (1_000_000, "[===================>                    ]      1MB/2MB"),
        (2_000_000, "[=======================================>]      2MB/2MB"),
        (3_000_000, "[=======================================>]      3MB/2MB"),
    ],
)
def test_bar(current: int, expected: str) -> None:
    assert bar(current, 2_000_000) == expected
