"""`log` of a container's configuration: drivers, and what each of them takes.

driver       the local file has           is sent to
json-file    Docker's JSON                nobody
local        the compact form             nobody
cri          the form of Kubernetes       nobody
none         -                            nobody
journald     the compact form             the journal
syslog       the compact form             a syslog server
fluentd      the compact form             a server of the Forward protocol
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scow.api.container.v1.container_pb2 import ContainerConfig, LogConfig
from scow.container.logs import fluentd, syslog
from scow.container.model.invalid import invalid
from scow.contract.errors import InvalidConfig
from scow.core.config import ContainerSection
from scow.core.patterns import compile_pattern
from scow.words.template import Template, TemplateError

DEFAULT = "json-file"
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([bkmgt]?)(i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MOST = 1 << 62

_MODES = ("mode", "max-buffer-size")
_FILE = ("max-size", "max-file", "compress")
_COPY = ("cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
# Of Docker's, which may have a container wait for a server, or drop what it writes: here neither is done.
_WITHOUT_EFFECT = frozenset({"max-buffer-size", *fluentd.WITHOUT_EFFECT})
_ABOUT = ("labels", "labels-regex", "env", "env-regex", "tag")
_TAKES: dict[str, tuple[str, ...]] = {
    "json-file": (*_MODES, *_FILE, *_ABOUT),
    "local": (*_MODES, *_FILE),
    "cri": (*_MODES, *_FILE),
    "none": (),
    "journald": (*_MODES, *_COPY, *_ABOUT),
    "syslog": (*_MODES, *_COPY, *_ABOUT, *syslog.OPTIONS),
    "fluentd": (*_MODES, *_COPY, *_ABOUT, *fluentd.OPTIONS),
}
DRIVERS = tuple(_TAKES)
_FORMS = {"json-file": "json", "cri": "cri"}
REMOTE = frozenset({"journald", "syslog", "fluentd"})
# Docker's, of the local driver and of the copies that remote ones keep.
_COPY_SIZE, _COPY_FILES = 20 << 20, 5
_CHECKS = {"syslog": syslog.check, "fluentd": fluentd.check}


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a container's output is logged.

    Attributes:
        driver: One of `DRIVERS`.
        max_size: Bytes of one local file; 0 means the engine's.
        max_files: How many files, the one that is written included; 0 means the engine's.
        compress: Files other than the newest are compressed.
        given: All options.
    """

    driver: str = DEFAULT
    max_size: int = 0
    max_files: int = 0
    compress: bool = False
    given: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def form(self) -> str:
        """Return the form of the local file (`scow.contract.log_formats`)."""
        return _FORMS.get(self.driver, "compact")


def resolve(config: ContainerConfig, section: ContainerSection) -> LogConfig:
    """Return what a new container is recorded with: what the engine's configuration says where it asks for nothing.

    Raises:
        InvalidConfig: As `parse`.
    """
    log = LogConfig(driver=config.log.driver or section.log_driver, options=config.log.options)
    if log.driver == section.log_driver:
        for name, value in section.log_opts.items():
            if name not in log.options:
                log.options[name] = value
    parse(log)
    if log.driver == "syslog":
        syslog.check_here(log.options)
    return log


def parse(log: LogConfig) -> LogOptions:
    """Read the options.

    Raises:
        InvalidConfig: An unknown driver or option, or a value that it does not take.
    """
    driver, given = log.driver or DEFAULT, dict(log.options)
    if driver not in _TAKES:
        raise invalid("log.driver", f"is {driver!r}", f"use one of {', '.join(DRIVERS)}")
    for name in sorted(given):
        if name not in _TAKES[driver]:
            takes = ", ".join(_TAKES[driver]) or "none"
            raise InvalidConfig(
                f"unknown log opt '{name}' for {driver} log driver",
                what="field",
                which="log.options",
                do=f"it takes: {takes}",
            )
    if _flag(given, "cache-disabled"):
        raise _wrong("cache-disabled", "true", "what is sent is read from the local copy")
    _check_about(given)
    _check_mode(given)
    if driver in _CHECKS:
        _CHECKS[driver](given)
    prefix = "cache-" if driver in REMOTE else ""
    compact = driver in REMOTE or driver == "local"
    size, files = _size(given, f"{prefix}max-size"), _count(given, f"{prefix}max-file")
    return LogOptions(
        driver,
        size or (_COPY_SIZE if compact else 0),
        files or (_COPY_FILES if compact else 0),
        _flag(given, f"{prefix}compress", default=compact),
        given,
    )


def _check_about(given: Mapping[str, str]) -> None:
    for name in ("labels-regex", "env-regex"):
        if given.get(name):
            try:
                compile_pattern(given[name])
            except ValueError as error:
                raise _wrong(
                    name, given[name], f"it must be a regular expression: {error}"
                ) from None
    if given.get("tag"):
        try:
            Template(given["tag"])
        except TemplateError as error:
            raise _wrong("tag", given["tag"], f"it must be a template: {error}") from None


def _check_mode(given: Mapping[str, str]) -> None:
    mode = given.get("mode", "blocking")
    if mode not in ("blocking", "non-blocking"):
        raise _wrong("mode", mode, "use blocking or non-blocking")
    size = given.get("max-buffer-size")
    if mode == "blocking" and size is not None:
        raise _wrong("max-buffer-size", size, "it goes with mode=non-blocking alone")
    _size(given, "max-buffer-size")


def without_effect(log: LogConfig, section: ContainerSection) -> list[str]:
    """Return the options that were asked for and change nothing; those of the engine's configuration left out."""
    return sorted(
        name
        for name, value in log.options.items()
        if (name in _WITHOUT_EFFECT or (name, value) == ("mode", "non-blocking"))
        and section.log_opts.get(name) != value
    )


def _size(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, "")
    if text in ("", "-1"):
        return 0
    match = _SIZE.fullmatch(text)
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if not 1 <= size <= _MOST:
        raise _wrong(name, text, 'use a size like "10m"')
    return size


def _count(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 4) or not 1 <= int(text) <= 1000:
        raise _wrong(name, text, "use 1 to 1000")
    return int(text)


def _flag(given: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    text = given.get(name, "")
    if not text:
        return default
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise _wrong(name, text, "use true or false")


def _wrong(name: str, value: str, do: str) -> InvalidConfig:
    return invalid("log.options", f"has {name} {value!r:.200}", do)
