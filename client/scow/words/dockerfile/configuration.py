"""What instructions do to an image's configuration, and what its history says of them.

The words of instructions are replaced already (`substitution`). RUN, COPY and ADD change files alone.
https://docs.docker.com/reference/dockerfile/, https://github.com/opencontainers/image-spec/blob/main/config.md
"""

from __future__ import annotations

import posixpath
import re
import signal
from collections.abc import Callable, Sequence
from typing import Any

from scow.api.image.v1 import image_pb2 as pb
from scow.words.dockerfile import syntax
from scow.words.dockerfile.problem import Problem
from scow.words.dockerfile.syntax import CommandLine, Instruction, Pair

DEFAULT_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Bytes of all variables and labels, each: an image's configuration has to fit into messages.
_PAIRS_MAX = 1 << 20
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([A-Za-z]+))?")
_PROTOCOLS = ("tcp", "udp", "sctp")
_PORT_MAX = 65535
# Ports of an image: with more, no container could be made of it.
_PORTS_MAX = 4096
_SIGNAL_MAX = 64
_REAL_TIME = re.compile(r"RTM(IN(\+[0-9]{1,2})?|AX(-[0-9]{1,2})?)")


def apply(config: pb.ImageConfig, instruction: Instruction, *, keeps_command: bool = False) -> None:
    """Change a configuration as an instruction says.

    Args:
        config: Is changed.
        instruction: One whose words are replaced; those that change no configuration do nothing.
        keeps_command: Whether CMD was given by the same stage before: an ENTRYPOINT does not take it away then.

    Raises:
        Problem: A port, signal, path or user that cannot be.
    """
    change = _CHANGES.get(type(instruction))
    if change is not None:
        change(config, instruction)
    if isinstance(instruction, syntax.Entrypoint) and not keeps_command:
        # The command was meant for the entrypoint that is no more.
        config.ClearField("cmd")


def variables(config: pb.ImageConfig) -> dict[str, str]:
    """Return the environment of a configuration."""
    return dict(entry.partition("=")[::2] for entry in config.env)


def arguments(config: pb.ImageConfig, command: CommandLine) -> list[str]:
    """Return what a command line runs: the shell form by the configuration's shell."""
    if command.is_exec:
        return list(command.args)
    return [*(config.shell or DEFAULT_SHELL), " ".join(command.args)] if command.args else []


def workdir(config: pb.ImageConfig, path: str) -> str:
    """Return the absolute path of one that is relative to the working directory; a slash at the end stays away."""
    found = posixpath.normpath(posixpath.join("/", config.working_dir, path))
    return "/" + found.lstrip("/")


def ports(texts: Sequence[str]) -> list[str]:
    """Return "80/tcp" and the like for each port that EXPOSE names, ranges one by one.

    Raises:
        Problem: Not a port, or too many.
    """
    found: list[str] = []
    for text in texts:
        # An address and a port of the host are accepted and mean nothing; a check tells.
        match = _PORT.fullmatch(text.rpartition(":")[2])
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        protocol = ((match and match[3]) or "tcp").lower()
        if not 0 < first <= last <= _PORT_MAX or protocol not in _PROTOCOLS:
            raise Problem(f"{text[:40]!r} is not a port", "write PORT, FIRST-LAST or PORT/udp")
        # Before they are listed: a few texts can name millions.
        _check_count(len(found) + last + 1 - first, "the instruction")
        found += [f"{port}/{protocol}" for port in range(first, last + 1)]
    return found


def _check_count(count: int, what: str) -> None:
    if count > _PORTS_MAX:
        raise Problem(f"{what} has more than {_PORTS_MAX} ports", "expose those that are needed")


def is_signal(name: str) -> bool:
    """Tell whether a stop signal is one: a number, "SIGTERM", "TERM", "SIGRTMIN+3"."""
    if name.isascii() and name.isdecimal():
        return len(name) < 3 and 0 < int(name) <= _SIGNAL_MAX
    bare = name.upper().removeprefix("SIG")
    return f"SIG{bare}" in signal.Signals.__members__ or _REAL_TIME.fullmatch(bare) is not None


def _checked(pairs: Sequence[Pair]) -> Sequence[Pair]:
    for pair in pairs:
        if not pair.key or "=" in pair.key:
            raise Problem(f"{pair.key!r} is not a name", "write KEY=VALUE")
    return pairs


def _env(config: pb.ImageConfig, found: syntax.Env) -> None:
    entries = list(config.env)
    places: dict[str, int] = {}
    for number, entry in enumerate(entries):
        places.setdefault(entry.partition("=")[0], number)
    for pair in _checked(found.pairs):
        place = places.setdefault(pair.key, len(entries))  # one that is set keeps its place
        entries[place : place + 1] = [f"{pair.key}={pair.value or ''}"]
    config.env[:] = entries
    _bounded(sum(map(len, config.env)), "variables")


def _label(config: pb.ImageConfig, found: syntax.Label) -> None:
    for pair in found.pairs:
        if not pair.key:
            raise Problem("a label without a name", "write KEY=VALUE")
        config.labels[pair.key] = pair.value or ""
    _bounded(sum(len(key) + len(value) for key, value in config.labels.items()), "labels")


def _bounded(size: int, what: str) -> None:
    if size > _PAIRS_MAX:
        raise Problem(f"the image has more than {_PAIRS_MAX} characters of {what}", "use fewer")


def _cmd(config: pb.ImageConfig, found: syntax.Cmd) -> None:
    config.cmd[:] = arguments(config, found.command)


def _entrypoint(config: pb.ImageConfig, found: syntax.Entrypoint) -> None:
    config.entrypoint[:] = arguments(config, found.command)


def _shell(config: pb.ImageConfig, found: syntax.Shell) -> None:
    config.shell[:] = found.args


def _expose(config: pb.ImageConfig, found: syntax.Expose) -> None:
    all_ports = {*config.exposed_ports, *ports(found.ports)}
    _check_count(len(all_ports), "the image")
    config.exposed_ports[:] = sorted(all_ports)


def _volume(config: pb.ImageConfig, found: syntax.Volume) -> None:
    for path in found.paths:
        if not path.startswith("/"):
            raise Problem(f"the volume {path!r} is not absolute", 'write VOLUME ["/PATH"]')
    config.volumes[:] = sorted({*config.volumes, *found.paths})


def _user(config: pb.ImageConfig, found: syntax.User) -> None:
    config.user = found.user


def _workdir(config: pb.ImageConfig, found: syntax.Workdir) -> None:
    if not found.path:
        raise Problem(
            "WORKDIR has an empty path", "set the variables in it, or write WORKDIR /PATH"
        )
    config.working_dir = workdir(config, found.path)


def _stop_signal(config: pb.ImageConfig, found: syntax.StopSignal) -> None:
    if not is_signal(found.signal):
        raise Problem(f"{found.signal[:40]!r} is not a signal", "write STOPSIGNAL SIGTERM")
    config.stop_signal = found.signal


def _healthcheck(config: pb.ImageConfig, found: syntax.Healthcheck) -> None:
    check = pb.Healthcheck(
        test=health_test(found),
        interval=found.interval,
        timeout=found.timeout,
        start_period=found.start_period,
        start_interval=found.start_interval,
        retries=found.retries,
    )
    config.healthcheck.CopyFrom(check)


def health_test(found: syntax.Healthcheck) -> list[str]:
    """Return the test of a health check as configurations have it."""
    if found.command is None:
        return ["NONE"]
    return ["CMD" if found.command.is_exec else "CMD-SHELL", *found.command.args]


def _on_build(config: pb.ImageConfig, found: syntax.OnBuild) -> None:
    config.on_build.append(found.trigger)


_CHANGES: dict[type[Instruction], Callable[[pb.ImageConfig, Any], None]] = {
    syntax.Cmd: _cmd,
    syntax.Entrypoint: _entrypoint,
    syntax.Env: _env,
    syntax.Expose: _expose,
    syntax.Healthcheck: _healthcheck,
    syntax.Label: _label,
    syntax.OnBuild: _on_build,
    syntax.Shell: _shell,
    syntax.StopSignal: _stop_signal,
    syntax.User: _user,
    syntax.Volume: _volume,
    syntax.Workdir: _workdir,
}
