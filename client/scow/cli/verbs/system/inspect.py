"""`inspect`, `container inspect` and `image inspect`."""

from __future__ import annotations

from scow.cli.flags.container_flags import PLATFORM
from scow.cli.flags.parser import Flag, Options, Refused, UsageError, Verb
from scow.cli.output.inspect import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.cli.context import Context
    from scow.words.template import Struct, Template

    Find = Callable[[str], Struct]

# Fields of images that are asked for by name alone, and the types of predicates that they have.
ATTESTATIONS = {"Provenance": "https://slsa.dev/provenance/", "SBOM": "https://spdx.dev/Document"}
KINDS = ("container", "image", "network", "volume")


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"{text!r} is not a valid type: use one of {', '.join(KINDS)}")
    return text


class _Finder:
    """Finds objects by name.

    Args:
        context: Has the client.
        template: What will be shown; None means all.
        size: Also count the bytes of containers' files.
        platform: Which image of an index; empty means the one that is run.
    """

    def __init__(
        self, context: Context, template: Template | None, size: bool, platform: str
    ) -> None:
        self._context = context
        self._template = template
        self._size = size
        self._platform = platform

    def container(self, name: str) -> Struct:
        """Return a container in Docker's shape."""
        from scow.words.shapes.container import container_shape, needs_image

        found = self._context.client.containers.get_with_size(
            name, size=self._size, limits=self._shows("KernelLimits")
        )
        container = found.container
        image = None
        if needs_image(container) and self._shows("Cmd", "Entrypoint"):
            from scow.contract.errors import NotFound

            try:
                image = self._context.client.images.get(container.image_id)
            except NotFound:
                image = None  # removed by force: what it said is not known any more
        shape = container_shape(container, image)
        if self._size:
            shape |= {"SizeRw": found.size_rw, "SizeRootFs": found.size_root_fs}
        return shape

    def _shows(self, *fields: str) -> bool:
        if self._template is None:
            return True
        shown = self._template.fields
        # Who asks for no field by name shows whole parts, perhaps these.
        return any(field in shown for field in (*fields, "Config")) or not shown

    def image(self, name: str) -> Struct:
        """Return an image in Docker's shape."""
        from scow.words.shapes.image import image_shape

        shape = image_shape(self._context.client.images.details(name, platform=self._platform))
        shown = self._template.fields if self._template is not None else ()
        if any(field in shown for field in ATTESTATIONS):
            shape |= self._attestations(name)
        return shape

    def _attestations(self, name: str) -> Struct:
        """Return what is said about an image, by the fields that have it; the last of a kind counts."""
        from scow.words.template import Struct

        found = Struct({field: {} for field in ATTESTATIONS})
        for each in self._context.client.images.attestations(name, platform=self._platform):
            for field, predicate_type in ATTESTATIONS.items():
                if each.predicate_type.startswith(predicate_type):
                    found[field] = _predicate(each.statement, name)
        return found

    def network(self, name: str) -> Struct:
        """Return a network in Docker's shape."""
        from scow.words.shapes.network import network_shape

        return network_shape(self._context.client.networks.get(name))

    def volume(self, name: str) -> Struct:
        """Return a volume in Docker's shape."""
        from scow.cli.verbs.volume.volume import described

        return described(name, self._context)

    def any(self, name: str) -> Struct:
        """Return the first object of any kind with a name.

        Raises:
            Refused: There is none.
        """
        from scow.contract.errors import InvalidArgument, NotFound

        for kind in KINDS:
            find: Find = getattr(self, kind)
            try:
                return find(name)
            except (NotFound, InvalidArgument):
                continue  # a name that one kind cannot have may be another's
        raise Refused(
            f"no such object: {name}: list what there is with scow ps -a, images, network ls or"
            " volume ls"
        )


def _predicate(statement: bytes, image: str) -> object:
    """Return what a stranger's statement says.

    Raises:
        Refused: It is not a statement.
    """
    from scow.contract import strict_json

    try:
        value = strict_json.loads(statement)
    except ValueError as error:
        raise Refused(f"what is said about {image} cannot be read: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("predicate"), dict):
        raise Refused(f"what is said about {image} cannot be read: it is not an in-toto statement")
    return value["predicate"]


def _inspect(options: Options, context: Context) -> int:
    return _of_kind(getattr(options, "type", "") or "any", options, context)


def _timings(options: Options, context: Context) -> int:
    """Show how long containers' creations and starts took."""
    from scow.cli.output.timings import timing_lines

    if options.format:
        raise UsageError("conflicting options: --timings and --format", 1)

    def show(name: str) -> None:
        for line in timing_lines(context.client.containers.get(name)):
            context.out(line)

    return context.each(options.args, show, in_turn=True)


def _of_kind(kind: str, options: Options, context: Context) -> int:
    if getattr(options, "timings", False):
        return _timings(options, context)
    from scow.cli.output.inspect import inspect, parse_layout

    template = parse_layout(options.format)
    size, platform = getattr(options, "size", False), getattr(options, "platform", "")
    finder = _Finder(context, template, size, platform)
    return inspect(options.args, getattr(finder, kind), template, context)


_TIMINGS = Flag("timings", help="How long creation and start took, by their parts (scow's own)")
_SIZE = Flag("size", "s", help="Display total file sizes if the type is container")
VERBS = (
    Verb(
        "inspect",
        "[OPTIONS] NAME|ID [NAME|ID...]",
        "Return low-level information on scow objects",
        _inspect,
        flags=(
            FORMAT,
            _SIZE,
            _TIMINGS,
            Flag(
                "type",
                kind="string",
                parse=_kind,
                help="Only inspect objects of the given type: " + ", ".join(KINDS),
            ),
        ),
        least=1,
    ),
    Verb(
        "container inspect",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        "Display detailed information on one or more containers",
        lambda options, context: _of_kind("container", options, context),
        flags=(FORMAT, _SIZE, _TIMINGS),
        least=1,
    ),
    Verb(
        "image inspect",
        "[OPTIONS] IMAGE [IMAGE...]",
        "Display detailed information on one or more images",
        lambda options, context: _of_kind("image", options, context),
        flags=(FORMAT, PLATFORM),
        least=1,
    ),
)
