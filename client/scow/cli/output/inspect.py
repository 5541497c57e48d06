"""What all `inspect` verbs share: JSON of what was found, or a template applied to each."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Refused
from scow.words.template import Struct, Template, TemplateError, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scow.cli.context import Context

FORMAT = Flag(
    "format",
    "f",
    "string",
    "Format output using a custom template: 'json', or a Go template",
)

# Docker's exit code for an invalid template.
_NO_TEMPLATE = 64


def parse_layout(layout: str) -> Template | None:
    """Return the template of `--format`, or None for the indented JSON.

    Raises:
        Refused: The template is invalid.
    """
    if not layout:
        return None
    try:
        return Template("{{json .}}" if layout == "json" else layout)
    except TemplateError as error:
        raise Refused(f"template parsing error: {error}", _NO_TEMPLATE) from None


def render(template: Template, shape: Struct) -> str:
    """Return what a template makes of an object.

    Raises:
        Refused: It cannot be applied to it.
    """
    try:
        return template.render(shape)
    except TemplateError as error:
        raise Refused(f"template parsing error: {error}") from None


def inspect(
    names: Sequence[str],
    find: Callable[[str], Struct],
    template: Template | None,
    context: Context,
) -> int:
    """Show objects, and tell those that cannot be found.

    Args:
        names: The objects.
        find: Returns one in its shape; raises ScowError.
        template: What to show of each; None means all.
        context: Where to show it.

    Returns:
        The exit code: 1 when one was not found.
    """
    from scow.contract.errors import ScowError

    shapes: list[Struct] = []
    failures: list[Exception] = []
    for name in names:
        try:
            shape = find(name)
            if template is None:
                shapes.append(shape)
            else:
                context.block(render(template, shape))
        except (ScowError, Refused) as error:
            failures.append(error)
    if template is None:
        context.block(to_json(shapes, indent=4))
    for failure in failures:
        context.fail(failure)
    return 1 if failures else 0
