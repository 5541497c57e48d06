"""Docker's flags that scow does not have: refused by an error that says why."""

from __future__ import annotations

from scow.cli.flags.parser import Flag


def _refused(name: str, reason: str, *, bare: bool = False) -> Flag:
    """Return a flag that no value is valid for; bare: it is given without one."""

    def refuse(_: str) -> str:
        raise ValueError(f"not supported: {reason}")

    optional = "true" if bare else None
    return Flag(
        name, kind="string", help=f"Not supported: {reason}", parse=refuse, optional=optional
    )


def _isolation(text: str) -> str:
    if text not in ("", "default"):
        raise ValueError("not supported: the only isolation on Linux is default")
    return text


_WINDOWS = "it is for Windows"
_CRIU = "there are no checkpoints, CRIU is not used"
CREATE = (
    _refused("annotation", "use labels, which scow shows and filters by"),
    _refused("cpu-count", _WINDOWS),
    _refused("cpu-percent", _WINDOWS),
    _refused("io-maxbandwidth", _WINDOWS),
    _refused("io-maxiops", _WINDOWS),
    Flag("isolation", kind="string", help='Isolation technology ("default")', parse=_isolation),
    _refused("kernel-memory", "kernels from 5.11 on do not limit kernel memory apart from memory"),
    _refused("runtime", "scow runs containers itself"),
    _refused("use-api-socket", "no container gets access to the engine", bare=True),
)
START = (_refused("checkpoint", _CRIU), _refused("checkpoint-dir", _CRIU))
REMOVE = (
    Flag(
        "link",
        "l",
        "string",
        "Not supported: links are part of a container's configuration",
        parse=lambda _: _no_link(),
        optional="true",
    ),
)


def _no_link() -> str:
    raise ValueError(
        "not supported: links are part of a container's configuration, and go with the container"
    )
