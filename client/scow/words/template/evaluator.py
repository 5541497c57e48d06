"""Applies a parsed template to data, by walking its tree."""

from __future__ import annotations

from scow.words.template import nodes, values
from scow.words.template.errors import CallError, RenderError
from scow.words.template.functions import Function
from scow.words.template.values import Map, Row, Struct, text, truth, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

# What a template may take: nodes visited, templates inside templates, characters written, and characters that its
# functions are given and make: what doubles a variable in a loop would take all memory.
MAX_STEPS = 2_000_000
MAX_DEPTH = 100
MAX_OUTPUT = 64 << 20
MAX_HANDLED = 128 << 20
# Functions whose results are there already.
_CHOOSE = frozenset({"index", "and", "or"})

_ABSENT = object()


class _Jump(Exception):
    """`break` or `continue` on its way to the loop."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


class Evaluator:
    """One application of a template.

    Args:
        source: Its text, for the place of an error.
        templates: Bodies of named templates.
        functions: The functions that there are.
        data: The first dot.
    """

    def __init__(
        self,
        source: str,
        templates: Mapping[str, Sequence[nodes.Node]],
        functions: Mapping[str, Function],
        data: object,
    ) -> None:
        self._source = source
        self._templates = templates
        self._functions = functions
        self._data = data
        self._out: list[str] = []
        self._size = 0
        self._steps = 0
        self._handled = 0
        self._names = [""]
        self._variables: list[tuple[str, object]] = []

    def run(self, body: Sequence[nodes.Node]) -> str:
        """Return the text.

        Raises:
            RenderError: The template cannot be applied to the data.
        """
        self._variables = [("$", self._data)]
        try:
            self._walk(self._data, body)
        except RecursionError:
            # Templates that call each other within branches, or data of many levels.
            raise RenderError(1, 0, "", self._source[:20], "nested too deeply") from None
        return "".join(self._out)

    def _error(self, node: nodes.Node, reason: str) -> RenderError:
        line = self._source.count("\n", 0, node.position) + 1
        column = node.position - (self._source.rfind("\n", 0, node.position) + 1)
        context = str(node)
        if len(context) > 20:
            context = context[:20] + "..."
        return RenderError(line, column, self._names[-1], context, reason)

    def _write(self, node: nodes.Node, written: str) -> None:
        self._size += len(written)
        if self._size > MAX_OUTPUT:
            raise self._error(node, f"more than {MAX_OUTPUT} characters of output")
        self._out.append(written)

    # Statements.

    def _walk(self, dot: object, body: Iterable[nodes.Node]) -> None:
        for node in body:
            self._step(node)
            if isinstance(node, nodes.Text):
                self._write(node, node.text)
            elif isinstance(node, nodes.Action):
                value = self._pipe(dot, node.pipe)
                if not node.pipe.variables:
                    self._write(node.pipe, "<no value>" if value is None else text(value))
            elif isinstance(node, nodes.Branch):
                self._branch(dot, node)
            elif isinstance(node, nodes.Jump):
                raise _Jump(node.keyword)
            elif isinstance(node, nodes.Call):
                self._call(dot, node)

    def _step(self, node: nodes.Node) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise self._error(node, f"more than {MAX_STEPS} steps")

    def _branch(self, dot: object, node: nodes.Branch) -> None:
        known = len(self._variables)
        if node.keyword == "range":
            self._range(dot, node)
        else:
            value = self._pipe(dot, node.pipe)
            inner = value if node.keyword == "with" else dot
            if truth(value):
                self._walk(inner, node.body)
            else:
                self._walk(dot, node.otherwise)
        del self._variables[known:]

    def _range(self, dot: object, node: nodes.Branch) -> None:
        known = len(self._variables)
        empty = True
        for key, item in self._items(node.pipe, self._commands(dot, node.pipe)):
            empty = False
            self._step(node.pipe)
            self._bind(node.pipe, [key, item][-len(node.pipe.variables) :])
            try:
                self._walk(item, node.body)
            except _Jump as jump:
                if jump.keyword == "break":
                    break
            finally:
                del self._variables[known:]
        if empty:
            self._walk(dot, node.otherwise)

    def _items(self, node: nodes.Node, value: object) -> Iterable[tuple[Any, Any]]:
        if isinstance(value, list):
            return enumerate(value)
        if isinstance(value, dict) and not isinstance(value, Struct):
            return values.pairs(value)
        if isinstance(value, int) and not isinstance(value, bool):
            if value > MAX_STEPS:
                raise self._error(node, f"more than {MAX_STEPS} steps")
            return ((number, number) for number in range(value))
        if value is None or value is values.NIL or value is values.MISSING:
            return []
        raise self._error(node, f"range can't iterate over {text(value)}")

    def _bind(self, pipe: nodes.Pipe, bound: Sequence[object]) -> None:
        for name, value in zip(pipe.variables, bound, strict=False):
            if not pipe.assigns:
                self._variables.append((name, value))
                continue
            for number in range(len(self._variables) - 1, -1, -1):
                if self._variables[number][0] == name:
                    self._variables[number] = (name, value)
                    break

    def _call(self, dot: object, node: nodes.Call) -> None:
        body = self._templates.get(node.name)
        if body is None:
            raise self._error(node, f"template {node.name!r} not defined".replace("'", '"'))
        if len(self._names) >= MAX_DEPTH:
            raise self._error(node, f"exceeded maximum template depth ({MAX_DEPTH})")
        data = self._pipe(dot, node.pipe) if node.pipe else None
        outside, self._variables = self._variables, [("$", data)]
        self._names.append(node.name)
        self._walk(data, body)
        self._names.pop()
        self._variables = outside

    # Expressions.

    def _pipe(self, dot: object, pipe: nodes.Pipe) -> object:
        value = self._commands(dot, pipe)
        self._bind(pipe, [value])
        return value

    def _commands(self, dot: object, pipe: nodes.Pipe) -> object:
        value: object = _ABSENT
        for command in pipe.commands:
            self._step(command)
            value = self._command(dot, command, value)
        return value

    def _command(self, dot: object, command: nodes.Command, final: object) -> object:
        head, *rest = command.operands
        if isinstance(head, nodes.Field):
            return self._fields(dot, head, dot, head.names, rest, final)
        if isinstance(head, nodes.Chain):
            receiver = self._operand(dot, head.operand)
            return self._fields(dot, head, receiver, head.names, rest, final)
        if isinstance(head, nodes.Variable):
            receiver = self._variable(head)
            return self._fields(dot, head, receiver, head.names, rest, final)
        if isinstance(head, nodes.Identifier):
            return self._function(dot, head, command, rest, final)
        if rest or final is not _ABSENT:
            raise self._error(head, f"can't give argument to non-function {head}")
        if isinstance(head, nodes.Nil):
            raise self._error(head, "nil is not a command")
        return self._operand(dot, head)

    def _operand(self, dot: object, node: nodes.Node) -> object:
        """Return the value of an operand that is not a command."""
        self._step(node)
        if isinstance(node, nodes.Literal):
            return node.value
        if isinstance(node, nodes.Dot):
            return dot
        if isinstance(node, nodes.Nil):
            return None
        if isinstance(node, nodes.Pipe):
            return self._pipe(dot, node)
        return self._command(dot, nodes.Command(node.position, [node]), _ABSENT)

    def _variable(self, node: nodes.Variable) -> object:
        for known, value in reversed(self._variables):
            if known == node.name:
                return value
        # The pipe that declares it uses it.
        raise self._error(node, f"undefined variable: {node.name}")

    def _fields(
        self,
        dot: object,
        node: nodes.Node,
        receiver: object,
        names: Sequence[str],
        rest: Sequence[nodes.Node],
        final: object,
    ) -> object:
        """Return a field of a field ...; the last one may be a method that takes arguments."""
        if not names and (rest or final is not _ABSENT):
            raise self._error(node, f"can't give argument to non-function {node}")
        for number, name in enumerate(names, 1):
            is_last = number == len(names)
            arguments = self._arguments(dot, rest, final) if is_last else []
            receiver = self._field(node, receiver, name, arguments)
        return receiver

    def _arguments(self, dot: object, rest: Sequence[nodes.Node], final: object) -> list[object]:
        arguments = [self._operand(dot, node) for node in rest]
        return arguments if final is _ABSENT else [*arguments, final]

    def _field(
        self, node: nodes.Node, receiver: object, name: str, arguments: list[object]
    ) -> object:
        if receiver is values.MISSING:
            return values.MISSING
        if receiver is None or receiver is values.NIL:
            raise self._error(node, f"nil pointer evaluating interface {{}}.{name}")
        if not isinstance(receiver, dict):
            raise self._error(node, f"can't evaluate field {name} in type {type_name(receiver)}")
        value = self._member(node, receiver, name)
        if callable(value):
            return self._method(node, value, name, arguments)
        if arguments:
            reason = f"{name} has arguments but cannot be invoked as function"
            raise self._error(node, reason)
        return value

    def _member(self, node: nodes.Node, receiver: dict[str, Any], name: str) -> object:
        if name in receiver:
            return receiver[name]
        if isinstance(receiver, Map):
            return values.MISSING
        if isinstance(receiver, Struct):
            # Docker knows `.ID` of its structs and `.Id` of their JSON.
            folded = name.casefold()
            for key in receiver:
                if key.casefold() == folded:
                    return receiver[key]
        if isinstance(receiver, Row):
            raise self._error(node, f"can't evaluate field {name}")
        raise self._error(node, f'map has no entry for key "{name}"')

    def _method(self, node: nodes.Node, method: Any, name: str, arguments: list[object]) -> object:
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise self._error(
                node, f"wrong number of args for {name}: want 1 string got {len(arguments)}"
            )
        return method(*arguments)

    def _function(
        self,
        dot: object,
        node: nodes.Identifier,
        command: nodes.Command,
        rest: Sequence[nodes.Node],
        final: object,
    ) -> object:
        function = self._functions[node.name]
        if node.name in ("and", "or"):
            return self._decide(dot, node, rest, final)
        arguments = self._arguments(dot, rest, final)
        try:
            function.check(node.name, arguments)
            self._handle(command, arguments)
            result = function.call(*arguments)
        except CallError as error:
            raise self._error(command, f"error calling {node.name}: {error}") from None
        if node.name not in _CHOOSE:
            self._handle(command, result if isinstance(result, list) else [result])
        return result

    def _handle(self, node: nodes.Node, texts: Sequence[object]) -> None:
        """Count the characters of texts, and one for each."""
        self._handled += len(texts) + sum(len(text) for text in texts if isinstance(text, str))
        if self._handled > MAX_HANDLED:
            raise self._error(node, f"more than {MAX_HANDLED} characters in functions")

    def _decide(
        self, dot: object, node: nodes.Identifier, rest: Sequence[nodes.Node], final: object
    ) -> object:
        """Return the first argument that decides `and` or `or`; those after it are not looked at."""
        value: object = _ABSENT
        for operand in rest:
            value = self._operand(dot, operand)
            if truth(value) == (node.name == "or"):
                return value
        value = value if final is _ABSENT else final
        if value is _ABSENT:
            raise self._error(node, f"wrong number of args for {node.name}: want at least 1 got 0")
        return value
