"""`build`."""

from __future__ import annotations

import os
import sys

from scow.cli.flags.build_flags import BUILD_FLAGS
from scow.cli.flags.parser import Options, Refused, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.api.build.v1 import build_pb2 as pb
    from scow.api.image.v1.image_pb2 import Auth
    from scow.cli.context import Context
    from scow.cli.io.build_outputs import Sinks
    from scow.cli.output.build_progress import View
    from scow.client import Building, ContextDirectory
    from scow.contract.errors import ScowError

_IMAGE = "docker-image://"
_LAYOUT = "oci-layout://"
_URLS = ("http://", "https://", "git://", "ssh://", "git@")


def _build(options: Options, context: Context) -> int:
    from scow.cli.io.build_outputs import Sinks
    from scow.cli.output.build_checks import report, summary
    from scow.cli.output.build_progress import make_view
    from scow.contract.errors import ScowError

    asked, directories = _asked(options, context)
    mode = "quiet" if options.quiet else options.progress
    view = make_view(sys.stderr, mode)
    found: list[pb.Warning] = []
    try:
        with (
            Sinks(options, asked) as sinks,
            _begun(options, asked, directories, sinks, context) as building,
        ):
            result = view.follow(_events(building, found))
    except ScowError as error:
        _tell_failure(error, view, asked, context)
        if image := error.metadata.get("image"):
            _open_shell(image, context)
        return 1
    if result is None:
        raise Refused("the build ended without a result")
    if options.check:
        for line in report(found, asked.dockerfile.decode("utf-8", "replace")):
            context.out(line)
        return 1 if found else 0
    if mode not in ("quiet", "rawjson"):
        for line in summary(found):
            context.warn(line)
    _finish(options, result, context)
    return 0


def _begun(
    options: Options,
    asked: pb.BuildOptions,
    directories: dict[str, ContextDirectory],
    sinks: Sinks,
    context: Context,
) -> Building:
    return context.client.builds.build_progress(
        asked,
        directories,
        archives={"": sys.stdin.buffer} if options.args[0] == "-" else {},
        outputs=sinks.takers,
        secrets=_secrets(options),
        agents=_agents(options),
        auth=lambda name: _auth(name, context),
    )


def _events(building: Building, found: list[pb.Warning]) -> Iterator[pb.BuildEvent]:
    """Give the events; `found` grows by what checks find."""
    for response in building:
        if response.HasField("event"):
            event = response.event
            if event.HasField("warning") and event.warning.rule:
                found.append(event.warning)
            yield event


def _auth(registry: str, context: Context) -> Auth | None:
    return context.auth("busybox" if registry == "docker.io" else f"{registry}/any")


def _asked(
    options: Options, context: Context
) -> tuple[pb.BuildOptions, dict[str, ContextDirectory]]:
    """Return what is to be built, and the directories that are sent."""
    from scow.api.build.v1 import build_pb2 as pb
    from scow.client import ContextDirectory

    path = options.args[0]
    name = options.file or "Dockerfile"
    if path == "-" and options.file == "-":
        raise Refused("invalid argument: can't use stdin for both build context and dockerfile")
    is_elsewhere = path == "-" or _is_url(path)
    in_context = (is_elsewhere and options.file != "-") or _is_url(options.file)
    asked = pb.BuildOptions(
        dockerfile=None if in_context else _dockerfile(path, options.file),
        dockerfile_path=name,
        target=options.target,
        build_args={key: value for key, value in options.build_arg if value is not None},
        labels=dict(_pair(text) for text in options.label),
        annotations=dict(_pair(text) for text in options.annotation),
        tags=options.tag,
        no_cache=options.no_cache,
        no_cache_stages=[stage for text in options.no_cache_filter for stage in text.split(",")],
        pull=options.pull,
        check=options.check,
        squash=options.squash,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
    )
    _limits(asked, options)
    _attestations(asked, options)
    asked.entitlements.extend(options.allow)
    asked.keep_failed = options.on_error == "shell"
    own_ignore = f"{options.file}.dockerignore" if options.file else ""
    ignore = own_ignore if own_ignore and os.path.exists(own_ignore) else None
    directories = {}
    if _is_url(path):
        asked.contexts.add(url=path)
    elif path != "-":
        ignored = os.path.abspath(ignore) if ignore else None
        directories[""] = ContextDirectory(path, ignore_file=ignored)
    for name, source in options.build_context:
        if source.startswith(_IMAGE):
            asked.contexts.add(name=name, image=source.removeprefix(_IMAGE))
        elif source.startswith(_LAYOUT):
            asked.contexts.add(name=name, image=_loaded(source.removeprefix(_LAYOUT), context))
        elif _is_url(source):
            asked.contexts.add(name=name, url=source)
        else:
            directories[name] = ContextDirectory(source)
    return asked, directories


def _loaded(text: str, context: Context) -> str:
    """Load an image of an OCI layout, FOLDER[:TAG] or FOLDER@DIGEST; return its id."""
    folder, _, digest = text.partition("@")
    tag = ""
    if not digest and not os.path.exists(folder):
        folder, _, tag = folder.rpartition(":")
    try:
        image, *_ = context.client.images.load_layout(folder, tag=tag, digest=digest)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Refused(f"failed to read the image layout {folder}: {reason}") from None
    return str(image.id)


def _is_url(text: str) -> bool:
    return text.startswith(_URLS)


def _dockerfile(path: str, file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    name = file or os.path.join(path, "Dockerfile")
    try:
        with open(name, "rb") as opened:
            return opened.read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Refused(f"failed to read dockerfile: open {name}: {reason}") from None


def _attestations(asked: pb.BuildOptions, options: Options) -> None:
    asked.provenance, asked.builder_id = options.provenance or ("", "")
    asked.sbom = bool(options.sbom)
    for kind, mode, builder in options.attest:
        if kind == "sbom":
            asked.sbom = bool(mode)
        else:
            asked.provenance, asked.builder_id = mode, builder


def _limits(asked: pb.BuildOptions, options: Options) -> None:
    from scow.api.types.v1.types_pb2 import Platform
    from scow.client import specs

    asked.network = options.network
    asked.extra_hosts.extend(options.add_host)
    for limit in options.ulimit:
        asked.ulimits.add(**limit)
    asked.shm_size = options.shm_size
    asked.memory, asked.memory_swap = options.memory, options.memory_swap
    asked.cpu_shares, asked.cpuset_cpus = options.cpu_shares, options.cpuset_cpus
    asked.cpu_period, asked.cpu_quota = options.cpu_period, options.cpu_quota
    asked.cpuset_mems, asked.cgroup_parent = options.cpuset_mems, options.cgroup_parent
    asked.pids_limit, asked.run_seconds = options.pids_limit, options.run_timeout
    for text in options.platform:
        for each in text.split(","):
            asked.platforms.append(Platform(**specs.parse_platform(each)))
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isascii() and epoch.isdigit() and len(epoch) < 19:
        asked.source_date_epoch = int(epoch)


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _secrets(options: Options) -> dict[str, bytes]:
    found = {}
    for secret in options.secret:
        name, source, variable = secret["id"], secret.get("src", ""), secret.get("env", "")
        if not source and not variable:
            variable = name if name in os.environ else ""
            source = "" if variable else name
        if variable:
            found[name] = os.environ.get(variable, "").encode()
            continue
        try:
            with open(source, "rb") as file:
                found[name] = file.read()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Refused(f"failed to read secret {name}: open {source}: {reason}") from None
    return found


def _agents(options: Options) -> dict[str, str]:
    """Return the sockets of SSH agents: `default`, `ID` or `ID=SOCKET`."""
    found = {}
    for text in options.ssh:
        name, _, path = text.partition("=")
        path = path or os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise Refused(
                f"invalid empty ssh agent socket for {name}: make sure SSH_AUTH_SOCK is set"
            )
        found[name] = path
    return found


def _tell_failure(error: ScowError, view: View, asked: pb.BuildOptions, context: Context) -> None:
    from scow.cli.output.build_progress import failure

    line = error.metadata.get("line", "")
    text = asked.dockerfile.decode("utf-8", "replace")
    number = int(line) if line.isascii() and line.isdigit() and len(line) < 10 else 0
    for each in failure(view, str(error), text, asked.dockerfile_path, number):
        context.warn(each)


def _open_shell(image: str, context: Context) -> None:
    """Open a shell in what a failed step left; without a terminal, tell how."""
    from scow.cli.__main__ import command

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        context.warn(f"what the step left: scow run -it --rm {image}; when done: scow rmi {image}")
        return
    host = ["--host", context.client.host]
    context.warn("a shell in what the step left; its end ends the build:")
    command([*host, "run", "-it", "--rm", image])
    command([*host, "rmi", image])


def _finish(options: Options, result: pb.BuildResult, context: Context) -> None:
    image = result.images[0].image_id if result.images else ""
    if options.iidfile:
        _write(options.iidfile, image)
    if options.metadata_file:
        _write(options.metadata_file, result.metadata)
    if options.quiet and image:
        context.out(image)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Refused(f"open {path}: {reason}") from None


VERBS = (
    Verb(
        "build",
        "[OPTIONS] PATH | URL | -",
        "Build an image from a Dockerfile",
        _build,
        flags=BUILD_FLAGS,
        least=1,
        most=1,
        reads_input=lambda options: (
            options.file == "-" or "-" in options.args or bool(options.on_error)
        ),
    ),
)
