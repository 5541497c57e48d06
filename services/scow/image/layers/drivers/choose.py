"""Which driver makes new layers, and which ones work here."""

from __future__ import annotations

from pathlib import Path

import structlog

from scow.contract.errors import InvalidConfig, KernelUnsupported
from scow.image.content.sync import SharedSync
from scow.image.layers.drivers import Driver, probe
from scow.image.layers.drivers.erofs import Erofs
from scow.image.layers.drivers.overlay import Overlay
from scow.image.workers.pool import UnpackPool

AUTO = "auto"
_NAMES = (AUTO, Overlay.name, Erofs.name)
_log = structlog.get_logger()


def choose(wanted: str, base: Path, run: Path, pool: UnpackPool) -> dict[str, Driver]:
    """Return the drivers that work here, by name; the first one makes new layers.

    Args:
        wanted: `image.snapshotter`.
        base: The service's folder.
        run: The run directory.
        pool: For the drivers.

    Raises:
        InvalidConfig: There is no such driver.
        KernelUnsupported: It does not work here.
    """
    if wanted not in _NAMES:
        raise InvalidConfig(
            f"image.snapshotter is {wanted!r}",
            what="configuration key",
            which="image.snapshotter",
            do=f"use one of {', '.join(_NAMES)}",
        )
    drivers: dict[str, Driver] = {Overlay.name: Overlay(pool, SharedSync(base))}
    why = probe.erofs(base, run)
    if not why:
        erofs = Erofs(pool)
        ahead = wanted != Overlay.name
        drivers = {erofs.name: erofs, **drivers} if ahead else {**drivers, erofs.name: erofs}
    elif wanted == Erofs.name:
        raise KernelUnsupported(
            f"the driver erofs does not work here: {why}",
            what="configuration key",
            which="image.snapshotter",
            do='use "auto" or "overlay"; erofs takes Linux 6.15 with EROFS on files',
        )
    _log.info("drivers", new_layers=next(iter(drivers)), erofs=why or "works")
    return drivers
