"""Fuzzing led by coverage: `python -m tests.fuzz.atheris_run TARGET [FLAGS of libFuzzer]`, as `make fuzz` does.

`-runs=N` or `-max_total_time=SECONDS` bounds it, `-seed=N` makes it repeat itself. What fails is written to a file
`crash-*`; with that file's name as flag it is run again. https://llvm.org/docs/LibFuzzer.html#options
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["scow.image"]):
    from tests.fuzz import targets

from tests.fuzz.seeds import SEEDS


def main() -> None:
    """Fuzz the target that the first argument names."""
    name, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="scow-fuzz-corpus-") as folder:
        for number, data in enumerate(SEEDS[name]):
            (Path(folder) / f"{number:04}").write_bytes(data)
        run = targets.TARGETS[name]

        def one(data: bytes) -> None:
            run(data)

        atheris.Setup([sys.argv[0], *flags, folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
