"""What an image's configuration must be for a container to be made from it. Strangers write it.

Pulling refuses what cannot be read or is too large; what no container can be made from is refused here, as Docker
does, so that such an image can be kept, copied and looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn

from scow.api.image.v1.image_pb2 import Healthcheck, ImageConfig
from scow.container.model import bounds, exposed_ports
from scow.container.spec import signal_names
from scow.contract.errors import ImageUnusable, InvalidConfig, LimitExceeded

_VOLUMES_MAX = 256
_PORTS_MAX = 4096
_SHORTEST_NS = 1_000_000
_TESTS = frozenset({"NONE", "CMD", "CMD-SHELL"})


def check(config: ImageConfig) -> None:
    """Refuse a configuration that no container can be made from.

    Raises:
        ImageUnusable: Says which value and why.
    """
    try:
        bounds.check_texts("Entrypoint", config.entrypoint)
        bounds.check_texts("Cmd", config.cmd)
        bounds.check_env("Env", config.env)
        bounds.check_labels("Labels", config.labels)
        bounds.check_path("WorkingDir", config.working_dir)
        bounds.check_user("User", config.user)
        if config.stop_signal:
            signal_names.parse(config.stop_signal, "StopSignal")
    except (InvalidConfig, LimitExceeded) as error:
        raise _unusable(error.which, error.message) from error
    _check_volumes(config.volumes)
    _check_ports(config.exposed_ports)
    if config.HasField("healthcheck"):
        _check_health(config.healthcheck)


def _unusable(which: str, why: str) -> ImageUnusable:
    return ImageUnusable(
        f"no container can be made from the image: its {why}",
        what="image",
        which=which,
        do="tell who made the image, or use another one",
    )


def _bad(field: str, why: str) -> NoReturn:
    raise _unusable(field, f"{field} {why}")


def _check_volumes(volumes: Iterable[str]) -> None:
    paths = list(volumes)
    if len(paths) > _VOLUMES_MAX:
        _bad("Volumes", f"has {len(paths)} entries, more than {_VOLUMES_MAX}")
    for path in paths:
        try:
            bounds.check_path("Volumes", path or "no path")
        except InvalidConfig as error:
            raise _unusable(error.which, error.message) from error


def _check_ports(texts: Iterable[str]) -> None:
    ports = list(texts)
    if len(ports) > _PORTS_MAX:
        _bad("ExposedPorts", f"has {len(ports)} entries, more than {_PORTS_MAX}")
    for text in ports:
        if exposed_ports.parse(text) is None:
            _bad("ExposedPorts", f"has {text!r}; ports are 1 to 65535")


def _check_health(check: Healthcheck) -> None:
    if check.test and check.test[0] not in _TESTS:
        _bad("Healthcheck", f"has the test {check.test[0]!r}")
    try:
        bounds.check_texts("Healthcheck", check.test)
    except (InvalidConfig, LimitExceeded) as error:
        raise _unusable(error.which, error.message) from error
    times: Mapping[str, int] = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
    }
    for name, value in times.items():
        if value and value < _SHORTEST_NS:
            _bad("Healthcheck", f"has the {name} {value}, less than 1 ms")
    if check.retries < 0:
        _bad("Healthcheck", f"has the Retries {check.retries}")
