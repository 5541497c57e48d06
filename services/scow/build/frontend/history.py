"""What an image's history says of instructions, in the words that BuildKit's Dockerfile frontend uses.

Tools that show how an image was made read these texts, so they are the same to the letter.
"""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.image.v1 import image_pb2 as pb
from scow.words.dockerfile import configuration, syntax
from scow.words.dockerfile.syntax import Instruction, Pair

# Of what RUN, COPY and ADD made.
_MARK = " # buildkit"
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_UNITS = ((3600 * 10**9, "h"), (60 * 10**9, "m"))


def created_by(instruction: Instruction, config: pb.ImageConfig) -> str | None:
    """Return the text for an instruction that changes the configuration alone, None where there is no entry.

    Args:
        instruction: Its words are replaced.
        config: As it is after the instruction.
    """
    match instruction:
        case syntax.Env():
            return f"ENV {_pairs(instruction.pairs)}"
        case syntax.Label():
            return f"LABEL {_pairs(instruction.pairs)}"
        case syntax.Maintainer():
            return f"MAINTAINER {instruction.name}"
        case syntax.Cmd():
            return f"CMD {_quoted_list(config.cmd)}"
        case syntax.Entrypoint():
            return f"ENTRYPOINT {_quoted_list(config.entrypoint)}"
        case syntax.Expose():
            return f"EXPOSE [{' '.join(configuration.ports(instruction.ports))}]"
        case syntax.User():
            return f"USER {instruction.user}"
        case syntax.Volume():
            return f"VOLUME [{' '.join(instruction.paths)}]"
        case syntax.StopSignal():
            return f"STOPSIGNAL {instruction.signal}"
        case syntax.Shell():
            return f"SHELL [{' '.join(instruction.args)}]"
        case syntax.Healthcheck():
            return f"HEALTHCHECK {_healthcheck(instruction)}"
    return None


def run(args: Sequence[str], build_args: Sequence[tuple[str, str]]) -> str:
    """Return the text of a RUN; `build_args` are the variables of ARG with what they hold."""
    before = [f"|{len(build_args)}"] if build_args else []
    values = [f"{key}={value}" for key, value in build_args]
    return "RUN " + " ".join([*before, *values, *args]) + _MARK


def transfer(instruction: syntax.Transfer) -> str:
    """Return the text of a COPY or ADD, its words replaced."""
    words = ["ADD" if isinstance(instruction, syntax.Add) else "COPY"]
    if isinstance(instruction, syntax.Copy) and instruction.keeps_parents:
        words.append("--parents")
    if instruction.chown:
        words.append(f"--chown={instruction.chown}")
    if instruction.chmod:
        words.append(f"--chmod={instruction.chmod}")
    words += instruction.sources
    words += [f"<<{document.name}" for document in instruction.documents]
    return " ".join([*words, instruction.destination]) + _MARK


def _pairs(pairs: Sequence[Pair]) -> str:
    return " ".join(f"{pair.key}={pair.value or ''}" for pair in pairs)


def _quoted_list(texts: Sequence[str]) -> str:
    return f"[{' '.join(map(quoted, texts))}]"


def quoted(text: str) -> str:
    """Return a text in quotes as Go's `%q` writes it."""
    return '"' + "".join(_ESCAPES.get(char) or _shown(char) for char in text) + '"'


def _shown(char: str) -> str:
    if char == " " or (char.isprintable() and not char.isspace()):
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _healthcheck(check: syntax.Healthcheck) -> str:
    fields = (
        f"Test:[{' '.join(configuration.health_test(check))}]",
        f"Interval:{duration(check.interval)}",
        f"Timeout:{duration(check.timeout)}",
        f"StartPeriod:{duration(check.start_period)}",
        f"StartInterval:{duration(check.start_interval)}",
        f"Retries:{check.retries}",
    )
    return "{" + " ".join(fields) + "}"


def duration(nanoseconds: int) -> str:
    """Return a duration as Go prints it: "1m30s", "1.5ms", "0s"."""
    if nanoseconds < 10**9:
        for factor, unit in ((10**6, "ms"), (10**3, "µs"), (1, "ns")):
            if nanoseconds >= factor:
                return _decimal(nanoseconds, factor) + unit
        return "0s"
    text = ""
    for factor, unit in _UNITS:
        if nanoseconds >= factor or text:
            text += f"{nanoseconds // factor}{unit}"
            nanoseconds %= factor
    return text + _decimal(nanoseconds, 10**9) + "s"


def _decimal(number: int, factor: int) -> str:
    whole, fraction = divmod(number, factor)
    digits = str(fraction).rjust(len(str(factor)) - 1, "0").rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
