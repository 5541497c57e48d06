"""`save` and `load`."""

from __future__ import annotations

import sys

from scow.cli.flags.container_flags import PLATFORM
from scow.cli.flags.parser import Flag, Options, Refused, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from scow.cli.context import Context

_FORMATS = ("docker-archive", "oci-archive")


def _format(text: str) -> str:
    if text not in _FORMATS:
        raise ValueError(f"unknown format {text!r}: use {' or '.join(_FORMATS)}")
    return text


def _keep_buffers() -> None:
    """Let the C library keep freed memory: of buffers that come and go, each would be new pages (mallopt(3))."""
    import ctypes

    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for what, size in ((-3, 32 << 20), (-1, 64 << 20)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            libc.mallopt(what, size)


def _save(options: Options, context: Context) -> int:
    from scow.cli.io import outfile

    target = outfile.target(options.output)
    _keep_buffers()
    context.client.images.save(
        options.args,
        target,
        format=options.format,
        platform=options.platform,
    )
    return 0


def _load(options: Options, context: Context) -> int:
    if not options.input and sys.stdin.isatty():
        raise Refused("requested load from stdin, but stdin is empty: use the -i flag or redirect")
    if not options.input:
        return _load_file(sys.stdin.buffer, options, context)
    try:
        file = open(options.input, "rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise Refused(f"open {options.input}: {(error.strerror or str(error)).lower()}") from None
    with file:
        return _load_file(file, options, context)


def _load_file(file: BinaryIO, options: Options, context: Context) -> int:
    from scow.cli.output.progress import show_load
    from scow.words.references import familiar

    _keep_buffers()
    loading = context.client.images.load_progress(file, platform=options.platform)
    for image in show_load(loading, sys.stdout, quiet=options.quiet).images:
        for reference in image.references:
            context.out(f"Loaded image: {familiar(reference)}")
        if not image.references:
            context.out(f"Loaded image ID: {image.id}")
    return 0


VERBS = (
    Verb(
        "save",
        "[OPTIONS] IMAGE [IMAGE...]",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
        _save,
        flags=(
            Flag(
                "format",
                kind="string",
                default=_FORMATS[0],
                help="docker-archive (an OCI layout as well) or oci-archive",
                parse=_format,
            ),
            Flag("output", "o", "string", "Write to a file, instead of STDOUT"),
            PLATFORM,
        ),
        least=1,
    ),
    Verb(
        "load",
        "[OPTIONS]",
        "Load an image from a tar archive or STDIN",
        _load,
        flags=(
            Flag("input", "i", "string", "Read from tar archive file, instead of STDIN"),
            Flag("quiet", "q", help="Suppress the load output"),
            PLATFORM,
        ),
        most=0,
        reads_input=lambda options: not options.input,
    ),
)
