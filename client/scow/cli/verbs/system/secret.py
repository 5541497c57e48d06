"""`secret create`, `ls`, `inspect` and `rm`."""

from __future__ import annotations

from scow.cli.flags.container_flags import label_text
from scow.cli.flags.parser import Flag, Options, Refused, Verb
from scow.cli.output.inspect import FORMAT as INSPECT_FORMAT
from scow.cli.output.table import FILTER, FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context
    from scow.words.template import Struct

_COLUMNS = r"{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}"
_HEADERS = {
    "ID": "ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "CreatedAt": "CREATED",
    "UpdatedAt": "UPDATED",
    "Labels": "LABELS",
}
_MOST = 500 << 10


def _create(options: Options, context: Context) -> int:
    from scow.cli.io.files import labels

    name, source = options.args
    made = context.client.secrets.create(name, _read(source), labels=labels([], options.label))
    context.out(made.id)
    return 0


def _read(source: str) -> bytes:
    import sys

    try:
        if source == "-":
            return sys.stdin.buffer.read(_MOST + 1)
        with open(source, "rb") as file:
            return file.read(_MOST + 1)
    except OSError as error:
        raise Refused(f"open {source}: {(error.strerror or str(error)).lower()}") from None


def _list(options: Options, context: Context) -> int:
    from scow.cli.output.rows import secret_row
    from scow.cli.output.table import Listing, filters_of

    listing = Listing(options.format, _COLUMNS, _HEADERS, "{{.ID}}" if options.quiet else "")
    wanted = filters_of(options)
    unknown = set(wanted) - {"id", "name", "label"}
    if unknown:
        raise Refused(f"invalid filter '{min(unknown)}'")
    found = [
        secret
        for secret in context.client.secrets.list()
        if all(any(_meets(secret, key, value) for value in wanted[key]) for key in wanted)
    ]
    listing.print([secret_row(each) for each in found], context)
    return 0


def _meets(secret: object, key: str, value: str) -> bool:
    if key == "label":
        name, equals, wanted = value.partition("=")
        labels = secret.labels  # type: ignore[attr-defined]
        return name in labels and (not equals or labels[name] == wanted)
    return str(getattr(secret, key)).startswith(value)


def _inspect(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import inspect, parse_layout

    def find(name: str) -> Struct:
        from scow.words.shapes.secret import secret_shape

        return secret_shape(context.client.secrets.get(name))

    return inspect(options.args, find, parse_layout(options.format), context)


def _remove(options: Options, context: Context) -> int:
    def remove(name: str) -> str:
        context.client.secrets.remove(name)
        return name

    return context.each(options.args, remove)


VERBS = (
    Verb(
        "secret create",
        "[OPTIONS] SECRET file|-",
        "Create a secret from a file or STDIN as content",
        _create,
        flags=(Flag("label", "l", "list", "Secret labels", parse=label_text),),
        least=2,
        most=2,
        reads_input=lambda options: options.args[1] == "-",
    ),
    Verb(
        "secret ls",
        "[OPTIONS]",
        "List secrets",
        _list,
        flags=(FILTER, FORMAT, Flag("quiet", "q", help="Only display IDs")),
        most=0,
    ),
    Verb(
        "secret inspect",
        "[OPTIONS] SECRET [SECRET...]",
        "Display detailed information on one or more secrets",
        _inspect,
        flags=(INSPECT_FORMAT,),
        least=1,
    ),
    Verb("secret rm", "SECRET [SECRET...]", "Remove one or more secrets", _remove, least=1),
)
