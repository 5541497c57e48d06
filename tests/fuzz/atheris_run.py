"""Fuzzing led by coverage: `python -m tests.fuzz.atheris_run TARGET [FLAGS of libFuzzer]`, as `make fuzz` does.

`-runs=N` or `-max_total_time=SECONDS` bounds it, `-seed=N` makes it repeat itself. What fails is written to a file
`crash-*`; with that file's name as flag it is run again. https://llvm.org/docs/LibFuzzer.html#options
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=[
        "scow.image",
        "scow.network.dns",
        "scow.words",
        "scow.build",
        "scow.client.mount_specs",
        "scow.volume.mounts",
    ]
):
    from tests.fuzz import targets

from tests.fuzz.seeds import SEEDS


def main() -> None:
    """Fuzz the target that the first argument names; exit as the fuzzer does."""
    name, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="scow-fuzz-corpus-") as folder:
        for number, data in enumerate(SEEDS[name]):
            (Path(folder) / f"{number:04}").write_bytes(data)
        # A process of its own: the fuzzer ends the one that it runs in without cleaning up.
        pid = os.fork()
        if pid == 0:
            fuzz(name, [*flags, folder])
        _, status = os.waitpid(pid, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def fuzz(name: str, flags: list[str]) -> None:
    """Fuzz a target. Does not return."""
    run = targets.TARGETS[name]

    def one(data: bytes) -> None:
        run(data)

    atheris.Setup([sys.argv[0], *flags], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
