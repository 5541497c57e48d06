"""Resource limits (getrlimit(2)) from the OCI configuration."""

from __future__ import annotations

import resource
from collections.abc import Iterable

from scow.contract.errors import InvalidConfig, ScowError, UlimitRefused
from scow.shim.errors import from_os_error
from scow.shim.oci.config import Rlimit

_UNLIMITED = (1 << 64) - 1


def apply(limits: Iterable[Rlimit]) -> None:
    """Set the limits of this process.

    Raises:
        InvalidConfig for an unknown limit; UlimitRefused for one that
            may not be raised so far. Nothing is lowered in silence: a program that asks for a limit relies on it.
    """
    for limit in limits:
        number = getattr(resource, limit.type, None)
        if number is None or not limit.type.startswith("RLIMIT_"):
            text = f"there is no resource limit {limit.type}"
            raise InvalidConfig(text, what="rlimit", which=limit.type)
        try:
            resource.setrlimit(number, (_value(limit.soft), _value(limit.hard)))
        except ValueError as error:  # setrlimit(2) failed with EPERM or EINVAL
            raise _refused(limit, number) from error
        except OSError as error:
            raise from_os_error(error, f"set {limit.type}", what="rlimit") from error


def _refused(limit: Rlimit, number: int) -> ScowError:
    """Return the error that names the limit and the bound."""
    name = limit.type.removeprefix("RLIMIT_").lower()
    _, own = resource.getrlimit(number)
    most = _most_files() if name == "nofile" else _UNLIMITED
    if limit.hard > most:
        bound, do = f"the kernel's fs.nr_open is {most}", f"ask for at most {most}"
    elif own != resource.RLIM_INFINITY and limit.hard > own:
        bound = f"the engine's own hard limit is {own}, and only CAP_SYS_RESOURCE may raise it"
        do = f"ask for at most {own}, or raise the limit of the engine's service"
    else:
        bound, do = "the soft limit is above the hard one", f"ask for at most {limit.hard}"
    return UlimitRefused(
        f"the ulimit {name} cannot be set to {_text(limit.soft)}:{_text(limit.hard)}: {bound}",
        what="ulimit",
        which=name,
        do=do,
    )


def _most_files() -> int:
    try:
        with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
            return int(file.read())
    except OSError:  # the container's /proc is hidden
        return _UNLIMITED


def _text(value: int) -> str:
    return "-1" if value >= _UNLIMITED else str(value)


def _value(value: int) -> int:
    return resource.RLIM_INFINITY if value >= _UNLIMITED or value < 0 else value
