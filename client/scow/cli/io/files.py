"""Files of variables and of labels, `--env-file` and `--label-file`."""

from __future__ import annotations

import os

from scow.cli.flags.parser import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def variables(
    files: Sequence[str], given: Sequence[str], environ: Mapping[str, str] = os.environ
) -> list[str]:
    """Return KEY=VALUE of files, then of flags; a name alone has its value from the environment.

    A name alone that the environment does not have is left out of a file; as a flag it stays a name, which takes the
    variable of the image away.

    Raises:
        UsageError: A file cannot be read or has a wrong line.
    """

    def completed(line: str) -> str:
        return f"{line}={environ[line]}" if "=" not in line and line in environ else line

    lines = (line for file in files for line in _lines(file, "variable", "environment variable"))
    of_files = [line for line in map(completed, lines) if "=" in line]
    return [*of_files, *map(completed, given)]


def labels(files: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """Return labels of files, then of flags; a name alone has an empty value.

    Raises:
        UsageError: A file cannot be read or has a wrong line.
    """
    found = [*(line for file in files for line in _lines(file, "label", "label")), *given]
    pairs = (line.partition("=") for line in found)
    return {key: value for key, _, value in pairs}


def _lines(path: str, what: str, name: str) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise UsageError(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = raw.decode().lstrip().removesuffix("\r")
        except UnicodeDecodeError:
            raise UsageError(
                f"{name} file {path!r} contains invalid utf8 bytes at line {number}"
            ) from None
        if not line or line.startswith("#"):
            continue
        key = line.partition("=")[0]
        if not key:
            raise UsageError(f"no {what} name on line {number} of {path!r}: {line!r}")
        if any(character.isspace() for character in key):
            raise UsageError(f"{what} {key!r} contains whitespaces, in {path!r} at line {number}")
        yield line
