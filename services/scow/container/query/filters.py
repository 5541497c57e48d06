"""Lists of containers: what each filter means, as in Docker's `ps`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.container.model import exposed_ports, states
from scow.container.model.containers import ALIVE
from scow.contract.errors import InvalidFilter
from scow.core import filters as filter_rules
from scow.core.patterns import Pattern, compile_pattern
from scow.core.times import from_proto

ALLOWED = frozenset(
    [
        "id",
        "name",
        "label",
        "status",
        "exited",
        "ancestor",
        "volume",
        "network",
        "publish",
        "expose",
        "before",
        "since",
        "health",
        "is-task",
        "isolation",
    ]
)
_STATUSES = frozenset(
    states.word(status) for status in pb.Status.values() if status != pb.STATUS_UNSPECIFIED
)
_ISOLATIONS = ("", "default")
_HEALTH = ("none", "starting", "healthy", "unhealthy")
# Docker takes one that is to be restarted for one that runs.
_LISTED = ALIVE | {pb.STATUS_RESTARTING}
# With one of these, containers that do not run are listed too.
_IMPLY_ALL = frozenset({"status", "before", "since"})
_EXIT_CODE = re.compile(r"-?[0-9]{1,10}")

Test = Callable[[pb.Container, Sequence[str]], bool]


def select(
    containers: Sequence[pb.Container],
    wanted: Mapping[str, Sequence[str]],
    *,
    show_all: bool,
    ancestors: frozenset[str] = frozenset(),
) -> list[pb.Container]:
    """Return those that meet all filters, the newest first.

    Args:
        containers: All.
        wanted: Values by filter key; see `ALLOWED`.
        show_all: Also those that do not run.
        ancestors: Ids of the images that "ancestor" names.

    Raises:
        InvalidFilter: A value that a filter does not take.
    """
    check(wanted)
    patterns = _patterns(wanted.get("name", ()))
    show_all = show_all or bool(_IMPLY_ALL & wanted.keys())
    found = [
        c
        for c in containers
        if (show_all or c.status in _LISTED)
        and all(_TESTS[key](c, values) for key, values in wanted.items() if key in _TESTS)
        and ("name" not in wanted or _by_name(c, patterns))
        and ("ancestor" not in wanted or _descends(c, wanted["ancestor"], ancestors))
    ]
    found = _between(found, wanted, containers)
    found.sort(key=lambda c: (from_proto(c.created_at), c.id), reverse=True)
    return found


def check(wanted: Mapping[str, Sequence[str]]) -> None:
    """Refuse values that a filter does not take.

    Raises:
        InvalidFilter: There is one.
    """
    for value in wanted.get("status", ()):
        if value not in _STATUSES:
            raise _invalid("status", value, f"use one of {', '.join(sorted(_STATUSES))}")
    for value in wanted.get("health", ()):
        if value not in _HEALTH:
            raise _invalid("health", value, f"use one of {', '.join(_HEALTH)}")
    for value in wanted.get("isolation", ()):
        if value not in _ISOLATIONS:
            raise _invalid("isolation", value, "use default")
    if "is-task" in wanted:
        filter_rules.boolean("is-task", wanted["is-task"])
    for value in wanted.get("exited", ()):
        if not _EXIT_CODE.fullmatch(value):
            raise _invalid("exited", value, "use an exit code")
    for key in ("publish", "expose"):
        for value in wanted.get(key, ()):
            if exposed_ports.parse(value) is None:
                raise _invalid(key, value, 'use "80", "80/tcp" or "8000-8010/udp"')
    _patterns(wanted.get("name", ()))


def _patterns(values: Sequence[str]) -> list[Pattern]:
    """Compile the values of the filter "name".

    Raises:
        InvalidFilter: One is not a regular expression.
    """
    found = []
    for value in values:
        try:
            found.append(compile_pattern(value))
        except ValueError as error:
            raise _invalid("name", value, f"use a regular expression ({error})") from error
    return found


def _invalid(key: str, value: str, advice: str) -> InvalidFilter:
    return InvalidFilter(
        f"filter {key!r} has the value {value!r}", what="filter", which=key, do=advice
    )


def _by_name(container: pb.Container, patterns: Sequence[Pattern]) -> bool:
    # "^/name$" is how Docker's users ask for one name.
    return any(p.search(container.name) or p.search(f"/{container.name}") for p in patterns)


def _by_volume(container: pb.Container, values: Sequence[str]) -> bool:
    paths = {text for m in container.mounts for text in (m.name, m.source, m.destination) if text}
    return any(value in paths or value.rstrip("/") in paths for value in values)


def _by_network(container: pb.Container, values: Sequence[str]) -> bool:
    names = {each.network for each in container.networks} or {container.config.network or "bridge"}
    ids = [endpoint.network_id for endpoint in container.endpoints]
    return any(v in names or (v and any(i.startswith(v) for i in ids)) for v in values)


def _by_publish(container: pb.Container, values: Sequence[str]) -> bool:
    mappings = container.ports or container.config.ports
    return any(_in_mapping(port, value) for value in values for port in mappings)


def _in_mapping(port: PortMapping, value: str) -> bool:
    """Tell whether the filter's range touches the ports of the host or of the container."""
    first, last, protocol = _range(value)
    if protocol != (port.protocol or "tcp"):
        return False
    count = max(port.count, 1)
    starts = [start for start in (port.host_port, port.container_port) if start]
    return any(start <= last and first < start + count for start in starts)


def _by_expose(container: pb.Container, values: Sequence[str]) -> bool:
    wanted = [_range(value) for value in values]
    for text in container.exposed_ports:
        first, last, protocol = _range(text)
        if any(first <= w[1] and w[0] <= last and w[2] == protocol for w in wanted):
            return True
    return False


def _range(text: str) -> tuple[int, int, str]:
    found = exposed_ports.parse(text)
    return (0, -1, "") if found is None else (found.first, found.last, found.protocol)


def _descends(container: pb.Container, values: Sequence[str], ancestors: frozenset[str]) -> bool:
    return container.image_id in ancestors or container.config.image in values


def _between(
    found: list[pb.Container],
    wanted: Mapping[str, Sequence[str]],
    containers: Sequence[pb.Container],
) -> list[pb.Container]:
    for key, keep_older in (("before", True), ("since", False)):
        if key not in wanted:
            continue
        times = [from_proto(_named(value, containers).created_at) for value in wanted[key]]
        if keep_older:
            found = [c for c in found if from_proto(c.created_at) < max(times)]
        else:
            found = [c for c in found if from_proto(c.created_at) > min(times)]
    return found


def _named(value: str, containers: Sequence[pb.Container]) -> pb.Container:
    for container in containers:
        if value and (container.name == value or container.id.startswith(value)):
            return container
    raise _invalid("before or since", value, "name a container that exists")


_TESTS: dict[str, Test] = {
    "id": lambda c, values: any(c.id.startswith(v) for v in values),
    "label": lambda c, values: filter_rules.match_labels(c.labels, values),
    "status": lambda c, values: states.word(c.status) in values,
    "exited": lambda c, values: c.status == pb.STATUS_EXITED and str(c.exit_code) in values,
    "health": lambda c, values: (c.health.status or "none") in values,
    # There is one isolation, and there are no tasks.
    "isolation": lambda c, values: True,
    "is-task": lambda c, values: not filter_rules.boolean("is-task", values),
    "volume": _by_volume,
    "network": _by_network,
    "publish": _by_publish,
    "expose": _by_expose,
}
