"""Dockerfile instructions that change an image's configuration: `--change` of import and commit.

https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import posixpath
import re
import signal
from collections.abc import Callable, Iterable

from scow.api.image.v1 import image_pb2 as pb
from scow.contract import strict_json
from scow.contract.errors import InvalidArgument
from scow.words.dockerfile import variables

_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")
_PORT_MAX = 65535
_SIGNAL_MAX = 64
_REAL_TIME = re.compile(r"RTM(IN(\+[0-9]{1,2})?|AX(-[0-9]{1,2})?)")
_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(ns|us|ms|s|m|h)")
_RETRIES = re.compile("[0-9]{1,9}")
_DURATION_MAX = (1 << 63) - 1
_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_SHELL = ["/bin/sh", "-c"]


def apply(config: pb.ImageConfig, changes: Iterable[str]) -> None:
    """Apply instructions, one after the other.

    Raises:
        InvalidArgument: An instruction that is unknown or cannot be read.
    """
    command_given = False
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        command_given |= word.upper() == "CMD"
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None:
            known = ", ".join(sorted(_INSTRUCTIONS))
            raise _bad(
                change, f"{word!r} is not an instruction that changes an image", f"use {known}"
            )
        instruction(config, rest.strip(), change)
        if word.upper() == "ENTRYPOINT" and not command_given:
            # The command was meant for the entrypoint that is no more.
            config.ClearField("cmd")


def _bad(change: str, why: str, do: str) -> InvalidArgument:
    return InvalidArgument(f"the change {change!r}: {why}", what="change", which=change, do=do)


def _array(text: str) -> list[str] | None:
    """Return the elements of the JSON form, None of the shell form."""
    try:
        value = strict_json.loads(text.encode())
    except ValueError:
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


def _command(config: pb.ImageConfig, text: str) -> list[str]:
    found = _array(text)
    if found is not None:
        return found
    return [*(config.shell or _SHELL), text] if text else []


def _variables(config: pb.ImageConfig) -> dict[str, str]:
    """Return the environment, which instructions may refer to."""
    return dict(entry.partition("=")[::2] for entry in config.env)


def _words(config: pb.ImageConfig, text: str, change: str) -> list[str]:
    try:
        return variables.split(text, _variables(config))
    except ValueError as error:
        raise _bad(change, str(error), "close quotes and braces") from error


def _word(config: pb.ImageConfig, text: str, change: str) -> str:
    try:
        return variables.whole(text, _variables(config)).strip()
    except ValueError as error:
        raise _bad(change, str(error), "close quotes and braces") from error


def _pairs(config: pb.ImageConfig, text: str, change: str) -> dict[str, str]:
    key, _, value = text.partition(" ")
    if "=" not in key:  # the old form: KEY the rest of the line
        if not value:
            raise _bad(change, f"{key!r} has no value", "write KEY=VALUE")
        return {key: _word(config, value.strip(), change)}
    found = _words(config, text, change)
    pairs = [word.partition("=") for word in found]
    if not all(key and equals for key, equals, _ in pairs):
        raise _bad(change, "there is no KEY=VALUE", "write KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _cmd(config: pb.ImageConfig, text: str, change: str) -> None:
    config.cmd[:] = _command(config, text)


def _entrypoint(config: pb.ImageConfig, text: str, change: str) -> None:
    config.entrypoint[:] = _command(config, text)


def _env(config: pb.ImageConfig, text: str, change: str) -> None:
    pairs = _variables(config)
    pairs.update(_pairs(config, text, change))
    config.env[:] = [f"{key}={value}" for key, value in pairs.items()]


def _label(config: pb.ImageConfig, text: str, change: str) -> None:
    for key, value in _pairs(config, text, change).items():
        config.labels[key] = value


def _expose(config: pb.ImageConfig, text: str, change: str) -> None:
    for word in _words(config, text, change) or [""]:
        found = _PORT.fullmatch(word.lower())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if found is None or not 0 < first <= last <= _PORT_MAX:
            raise _bad(change, f"{word!r} is not a port", "write PORT, FIRST-LAST or PORT/udp")
        ports = {f"{port}/{found[3] or 'tcp'}" for port in range(first, last + 1)}
        config.exposed_ports[:] = sorted({*config.exposed_ports, *ports})


def _user(config: pb.ImageConfig, text: str, change: str) -> None:
    if not text:
        raise _bad(change, "there is no user", "write USER NAME")
    config.user = _word(config, text, change)


def _workdir(config: pb.ImageConfig, text: str, change: str) -> None:
    if not text:
        raise _bad(change, "there is no directory", "write WORKDIR /PATH")
    path = _word(config, text, change)
    config.working_dir = posixpath.normpath(posixpath.join("/", config.working_dir, path))


def _volume(config: pb.ImageConfig, text: str, change: str) -> None:
    found = _array(text)
    paths = _words(config, text, change) if found is None else found
    if not paths or not all(path.startswith("/") for path in paths):
        raise _bad(change, "the path must be absolute", 'write VOLUME /PATH or VOLUME ["/PATH"]')
    config.volumes[:] = sorted({*config.volumes, *paths})


def _stop_signal(config: pb.ImageConfig, text: str, change: str) -> None:
    name = _word(config, text, change)
    if not _is_signal(name):
        raise _bad(change, f"{name!r} is not a signal", "write STOPSIGNAL SIGTERM")
    config.stop_signal = name


def _is_signal(name: str) -> bool:
    if name.isascii() and name.isdecimal():
        return len(name) < 3 and 0 < int(name) <= _SIGNAL_MAX
    bare = name.upper().removeprefix("SIG")
    return f"SIG{bare}" in signal.Signals.__members__ or _REAL_TIME.fullmatch(bare) is not None


def _on_build(config: pb.ImageConfig, text: str, change: str) -> None:
    if not text or text.split()[0].upper() in ("ONBUILD", "FROM", "MAINTAINER"):
        raise _bad(
            change, "this instruction is not allowed in ONBUILD", "write ONBUILD INSTRUCTION"
        )
    config.on_build.append(text)


def _shell(config: pb.ImageConfig, text: str, change: str) -> None:
    found = _array(text)
    if not found:
        raise _bad(change, "it is not a JSON array", 'write SHELL ["/bin/sh", "-c"]')
    config.shell[:] = found


def _healthcheck(config: pb.ImageConfig, text: str, change: str) -> None:
    check = pb.Healthcheck()
    while text.startswith("--"):
        option, _, text = text.partition(" ")
        text = text.strip()
        name, _, value = option[2:].partition("=")
        if name == "retries" and _RETRIES.fullmatch(value):
            check.retries = int(value)
        elif name in ("interval", "timeout", "start-period") and _duration(value) is not None:
            setattr(check, name.replace("-", "_"), _duration(value))
        else:
            raise _bad(change, f"unknown option {option!r}", "use --interval=30s, --retries=3, ...")
    kind, _, rest = text.partition(" ")
    if kind.upper() == "NONE":
        check.test[:] = ["NONE"]
    elif kind.upper() == "CMD" and rest:
        found = _array(rest)
        check.test[:] = ["CMD-SHELL", rest] if found is None else ["CMD", *found]
    else:
        raise _bad(change, "there is no command", "write HEALTHCHECK CMD COMMAND or NONE")
    config.healthcheck.CopyFrom(check)


def _duration(text: str) -> int | None:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    found = int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))
    return found if found <= _DURATION_MAX else None


_INSTRUCTIONS: dict[str, Callable[[pb.ImageConfig, str, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
