"""What build checks found: in full after `--check`, in a line each after a build."""

from __future__ import annotations

from scow.cli.io.terminal_text import visible
from scow.cli.output.build_progress import excerpt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.api.build.v1 import build_pb2 as pb


def _counted(count: int) -> str:
    return "1 warning" if count == 1 else f"{count} warnings"


def report(found: Sequence[pb.Warning], text: str) -> list[str]:
    """Return the lines of `--check`.

    Args:
        found: What was found.
        text: The Dockerfile; empty where it is not here.
    """
    if not found:
        return ["Check complete, no warnings found."]
    verb = "has" if len(found) == 1 else "have"
    lines = [f"Check complete, {_counted(len(found))} {verb} been found!"]
    for each in found:
        lines += ["", f"WARNING: {each.rule} - {each.url}", visible(each.message)]
        if text:
            lines += excerpt(text, each.file, each.line, each.line)
        else:
            lines.append(f"{visible(each.file)}:{each.line}")
    return lines


def summary(found: Sequence[pb.Warning]) -> list[str]:
    """Return the lines after a build; none where nothing was found."""
    if not found:
        return []
    lines = ["", f" {_counted(len(found))} found (use --check to see more):"]
    return lines + [f" - {each.rule}: {visible(each.message)} (line {each.line})" for each in found]
