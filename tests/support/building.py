"""Building in tests: a folder with a Dockerfile, built by the library, and what was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow.api.build.v1 import build_pb2 as pb
from scow.client import Client, ContextDirectory


@dataclass
class Told:
    """A build that ended: its result, its steps by name, and what they wrote."""

    result: pb.BuildResult = field(default_factory=pb.BuildResult)
    steps: dict[str, pb.Vertex] = field(default_factory=dict)
    output: bytes = b""
    warnings: list[str] = field(default_factory=list)
    statuses: list[pb.VertexStatus] = field(default_factory=list)

    @property
    def cached(self) -> list[str]:
        """The steps that were taken from the cache, without what is before the instruction."""
        return [name.partition("] ")[2] for name, step in self.steps.items() if step.cached]

    @property
    def done(self) -> list[str]:
        """The steps that were done, but for those of the builder itself."""
        return [
            name.partition("] ")[2]
            for name, step in self.steps.items()
            if step.HasField("completed_at")
            and not step.cached
            and not step.error
            and name.startswith("[")
            and not name.startswith("[internal]")
        ]

    @property
    def sent(self) -> int:
        """Bytes of the context that were sent."""
        return sum(s.current for s in self.statuses if s.id == "transferring context")


def files(folder: Path, **contents: str | bytes) -> Path:
    """Write files; "__" in a name is a slash, "_dot_" a dot."""
    for name, content in contents.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def build(
    client: Client,
    folder: Path,
    dockerfile: str,
    *,
    secrets: dict[str, bytes] | None = None,
    contexts: dict[str, Path] | None = None,
    agents: dict[str, str] | None = None,
    **options: Any,
) -> Told:
    """Build, and return what was told."""
    asked = pb.BuildOptions(dockerfile=dockerfile.encode(), dockerfile_path="Dockerfile", **options)
    directories = {"": ContextDirectory(folder)}
    directories |= {name: ContextDirectory(path) for name, path in (contexts or {}).items()}
    told = Told()
    with client.builds.build_progress(
        asked, directories, secrets=secrets, agents=agents, timeout=120
    ) as building:
        for response in building:
            if response.HasField("result"):
                told.result = response.result
            elif response.HasField("event"):
                _take(told, response.event)
    return told


def _take(told: Told, event: pb.BuildEvent) -> None:
    kind = event.WhichOneof("event")
    if kind == "vertex":
        told.steps[event.vertex.name] = event.vertex
    elif kind == "log":
        told.output += event.log.data
    elif kind == "warning":
        told.warnings.append(event.warning.rule or event.warning.message)
    elif kind == "status":
        told.statuses.append(event.status)
