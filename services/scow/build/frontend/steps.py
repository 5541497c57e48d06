"""What the graph runs: stages whose words are replaced, whose paths are absolute, whose configuration is known.

The graph needs to know nothing of the Dockerfile language. What changes files is a step; all other instructions have
done their work when a stage is here: they are in the environment of its steps, its configuration and its history.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scow.api.image.v1 import image_pb2 as pb
from scow.words.dockerfile.syntax import Mount, Span


@dataclass(frozen=True, slots=True)
class StageSource:
    """The file system of an earlier stage of the same Dockerfile, after its last step."""

    index: int


@dataclass(frozen=True, slots=True)
class ImageSource:
    """The file system of an image. `platform` is "os/arch[/variant]"; empty is the target's."""

    reference: str
    platform: str = ""


@dataclass(frozen=True, slots=True)
class ContextSource:
    """A build context: the main one, whose name is empty, or a named one."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class ScratchSource:
    """Nothing: an empty file system."""


Source = StageSource | ImageSource | ContextSource | ScratchSource


@dataclass(frozen=True, slots=True)
class File:
    """A here-document as a file."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class StepMount:
    """A mount of a RUN: `source` is what `mount.from_name` means (bind and cache), `target` is absolute."""

    mount: Mount
    source: Source | None
    target: str


@dataclass(frozen=True, slots=True)
class Step:
    """What all steps have.

    Attributes:
        span: Where it is in the Dockerfile.
        title: For people: "RUN make", variables replaced.
        from_on_build: Whether it is a trigger of the base image.
    """

    span: Span
    title: str
    from_on_build: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class RunStep(Step):
    """Run a program.

    Attributes:
        args: The program and its arguments, the shell included.
        env: "KEY=VALUE" each: of the image, and of ARG.
        build_args: The names in `env` that are there by ARG alone.
        user: As the image has it; empty is root.
        workdir: Absolute.
        mounts: In their order.
        network: "default", "none" or "host".
        security: "sandbox" or "insecure".
        devices: Each `--device`.
        proxies: "KEY=VALUE" each of proxies that the builder was given and no ARG names: for the program, not for the
            cache's key, history or provenance.
        scripts: Files to be mounted executable, read-only, below /dev/pipes: here-documents with a `#!` line.
    """

    args: tuple[str, ...]
    env: tuple[str, ...]
    build_args: tuple[str, ...]
    user: str
    workdir: str
    mounts: tuple[StepMount, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    scripts: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class CopyStep(Step):
    """Copy files (COPY, ADD).

    Attributes:
        source: Where paths are looked up.
        paths: Relative to the root of `source`, with wildcards; never leads out of it.
        remotes: URLs of files and git repositories, of ADD.
        files: Here-documents, variables replaced.
        destination: Absolute; ends in "/" where the Dockerfile says so: it is a directory then.
        owner: USER[:GROUP] by name or number; empty is 0:0.
        mode: Octal or symbolic, or empty.
        is_add: Local archives are unpacked unless `unpacks` is False.
        is_linked: The layer does not depend on what is below.
        keeps_parents: The path of each source is made again below the destination; "/./" is the pivot.
        exclude: Patterns relative to the source, by the rules of .dockerignore.
        checksum: Of the remote source.
        unpacks: As `syntax.Add.unpacks`.
        keeps_git_dir: As `syntax.Add.keeps_git_dir`.
    """

    source: Source
    paths: tuple[str, ...]
    destination: str
    remotes: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    owner: str = ""
    mode: str = ""
    is_add: bool = False
    is_linked: bool = False
    keeps_parents: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    unpacks: bool | None = None
    keeps_git_dir: bool | None = None


@dataclass(frozen=True, slots=True)
class WorkdirStep(Step):
    """Make a directory and its parents where they are missing (WORKDIR), mode 0755, owned by `user`."""

    path: str
    user: str = ""


AnyStep = RunStep | CopyStep | WorkdirStep


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An entry of an image's history. `step` is the number in `BuildStage.steps`, None where there is no layer."""

    created_by: str
    step: int | None = None
    comment: str = "buildkit.dockerfile.v0"


@dataclass(frozen=True, slots=True)
class BuildStage:
    """A stage, ready to be built.

    Attributes:
        index: Its number in the Dockerfile.
        name: Of AS, or empty.
        base: What it begins with.
        platform: "os/arch[/variant]" of what it makes and runs.
        steps: What changes files, in order.
        config: The configuration of the image after all instructions.
        author: Of MAINTAINER, or of the base.
        history: Of this stage alone: the base's comes before it.
        needs: Numbers of the stages whose files it uses, its base included.
    """

    index: int
    name: str
    base: Source
    platform: str
    steps: tuple[AnyStep, ...]
    config: pb.ImageConfig = field(compare=False)
    author: str = ""
    history: tuple[HistoryEntry, ...] = ()
    needs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What evaluation must know of what a stage begins with.

    Attributes:
        config: Its configuration; empty of what is no image.
        author: Of the image.
        is_known: False where only checks are made and the image is not there.
        platform: What it is for, "linux/arm64"; empty where that is not known.
    """

    config: pb.ImageConfig = field(compare=False)
    author: str = ""
    is_known: bool = True
    platform: str = ""
