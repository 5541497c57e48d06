"""`plugin ls`, `plugin inspect`, `plugin enable` and `plugin disable`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.inspect import FORMAT as INSPECT_FORMAT
from scow.cli.output.table import FILTER, FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scow.cli.context import Context
    from scow.words.template import Struct

_COLUMNS = r"{{.Name}}\t{{.Types}}\t{{.Enabled}}\t{{.Status}}"
_HEADERS = {
    "Name": "NAME",
    "Types": "TYPES",
    "Enabled": "ENABLED",
    "Status": "STATUS",
    "Socket": "SOCKET",
    "Source": "SOURCE",
}
# What names of CNI plugins begin with here: a volume plugin may be called "bridge" too.
_CNI = "cni/"
# Docker's words for kinds of plugins in filters.
_KINDS = {"volumedriver": "VolumeDriver", "networkdriver": "NetworkDriver"}


def _list(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing

    listing = Listing(options.format, _COLUMNS, _HEADERS, "{{.Name}}" if options.quiet else "")
    met = _condition(options)
    from scow.cli.output.rows import cni_plugin_row, plugin_row

    rows = [
        plugin_row(each, full=options.no_trunc)
        for each in context.client.plugins.list()
        if met(each.enabled, each.implements)
    ]
    cni = context.client.cni_plugins.list()
    rows += [cni_plugin_row(each) for each in cni if met(each.enabled, ["cni"])]
    listing.print(rows, context)
    return 0


def _condition(options: Options) -> Callable[[bool, Iterable[str]], bool]:
    from scow.cli.output.table import filters_of
    from scow.contract.errors import InvalidFilter

    filters = filters_of(options)
    for key in filters:
        if key not in ("enabled", "capability"):
            raise InvalidFilter(
                f"unknown filter {key!r}", what="filter", which=key, do="use enabled or capability"
            )
    enabled = {value.lower() in ("1", "true") for value in filters.get("enabled", [])}
    kinds = {_KINDS.get(value, value) for value in filters.get("capability", [])}

    def met(is_enabled: bool, implements: Iterable[str]) -> bool:
        if enabled and is_enabled not in enabled:
            return False
        return not kinds or bool(kinds.intersection(implements))

    return met


def _inspect(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import inspect, parse_layout

    def find(name: str) -> Struct:
        from scow.words.shapes.plugin import cni_plugin_shape, plugin_shape

        if name.startswith(_CNI):
            return cni_plugin_shape(context.client.cni_plugins.get(name.removeprefix(_CNI)))
        return plugin_shape(context.client.plugins.get(name))

    return inspect(options.args, find, parse_layout(options.format), context)


def _enable(options: Options, context: Context) -> int:
    (name,) = options.args
    if name.startswith(_CNI):
        context.client.cni_plugins.enable(name.removeprefix(_CNI))
    else:
        context.client.plugins.enable(name)
    context.out(name)
    return 0


def _disable(options: Options, context: Context) -> int:
    (name,) = options.args
    if name.startswith(_CNI):
        context.client.cni_plugins.disable(name.removeprefix(_CNI), force=options.force)
    else:
        context.client.plugins.disable(name, force=options.force)
    context.out(name)
    return 0


VERBS = (
    Verb(
        "plugin ls",
        "[OPTIONS]",
        "List plugins",
        _list,
        flags=(FILTER, FORMAT, NO_TRUNC, Flag("quiet", "q", help="Only display names")),
        most=0,
    ),
    Verb(
        "plugin inspect",
        "[OPTIONS] PLUGIN [PLUGIN...]",
        "Display detailed information on one or more plugins",
        _inspect,
        flags=(INSPECT_FORMAT,),
        least=1,
    ),
    Verb("plugin enable", "PLUGIN", "Enable a plugin", _enable, least=1, most=1),
    Verb(
        "plugin disable",
        "[OPTIONS] PLUGIN",
        "Disable a plugin",
        _disable,
        flags=(Flag("force", "f", help="Force the disable of an active plugin"),),
        least=1,
        most=1,
    ),
)
