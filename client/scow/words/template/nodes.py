"""The tree that a template is parsed into. `str` of a node is its source, as Go shows it in messages."""

from __future__ import annotations

from scow.words.template.lexer import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Node:
    """A part of a template.

    Attributes:
        position: Where it begins.
    """

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


class Text(Node):
    """What stands outside of actions."""

    __slots__ = ("text",)

    def __init__(self, position: int, text: str) -> None:
        super().__init__(position)
        self.text = text


class Literal(Node):
    """A constant: bool, int, float or str."""

    __slots__ = ("source", "value")

    def __init__(self, position: int, value: Any, source: str) -> None:
        super().__init__(position)
        self.value = value
        self.source = source

    def __str__(self) -> str:
        return self.source


class Nil(Node):
    """The constant nil."""

    __slots__ = ()

    def __str__(self) -> str:
        return "nil"


class Dot(Node):
    """The current value."""

    __slots__ = ()

    def __str__(self) -> str:
        return "."


class Identifier(Node):
    """The name of a function."""

    __slots__ = ("name",)

    def __init__(self, position: int, name: str) -> None:
        super().__init__(position)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Field(Node):
    """`.A.B`: fields of the current value."""

    __slots__ = ("names",)

    def __init__(self, position: int, names: Sequence[str]) -> None:
        super().__init__(position)
        self.names = tuple(names)

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


class Variable(Node):
    """`$x.A.B`: a variable, or fields of it."""

    __slots__ = ("name", "names")

    def __init__(self, position: int, name: str, names: Sequence[str] = ()) -> None:
        super().__init__(position)
        self.name = name
        self.names = tuple(names)

    def __str__(self) -> str:
        return ".".join((self.name, *self.names))


class Chain(Node):
    """`(...).A.B`: fields of what something else yields."""

    __slots__ = ("names", "operand")

    def __init__(self, position: int, operand: Node, names: Sequence[str]) -> None:
        super().__init__(position)
        self.operand = operand
        self.names = tuple(names)

    def __str__(self) -> str:
        head = f"({self.operand})" if isinstance(self.operand, Pipe) else str(self.operand)
        return head + "".join(f".{name}" for name in self.names)


class Command(Node):
    """An operand, or a function or method with its arguments."""

    __slots__ = ("operands",)

    def __init__(self, position: int, operands: list[Node]) -> None:
        super().__init__(position)
        self.operands = operands

    def __str__(self) -> str:
        return " ".join(f"({o})" if isinstance(o, Pipe) else str(o) for o in self.operands)


class Pipe(Node):
    """Commands, each one's result the last argument of the next; perhaps assigned to variables."""

    __slots__ = ("assigns", "commands", "variables")

    def __init__(
        self, position: int, variables: list[str], assigns: bool, commands: list[Command]
    ) -> None:
        super().__init__(position)
        self.variables = variables
        self.assigns = assigns
        self.commands = commands

    def __str__(self) -> str:
        sign = " = " if self.assigns else " := "
        head = ", ".join(self.variables) + sign if self.variables else ""
        return head + " | ".join(map(str, self.commands))


class Action(Node):
    """A pipe whose result is printed."""

    __slots__ = ("pipe",)

    def __init__(self, position: int, pipe: Pipe) -> None:
        super().__init__(position)
        self.pipe = pipe


class Branch(Node):
    """`if`, `with` or `range`, with its two bodies."""

    __slots__ = ("body", "keyword", "otherwise", "pipe")

    def __init__(
        self, position: int, keyword: str, pipe: Pipe, body: list[Node], otherwise: list[Node]
    ) -> None:
        super().__init__(position)
        self.keyword = keyword
        self.pipe = pipe
        self.body = body
        self.otherwise = otherwise


class Jump(Node):
    """`break` or `continue`."""

    __slots__ = ("keyword",)

    def __init__(self, position: int, keyword: str) -> None:
        super().__init__(position)
        self.keyword = keyword


class Call(Node):
    """`template "name" pipe`."""

    __slots__ = ("name", "pipe")

    def __init__(self, position: int, name: str, pipe: Pipe | None) -> None:
        super().__init__(position)
        self.name = name
        self.pipe = pipe

    def __str__(self) -> str:
        argument = f" {self.pipe}" if self.pipe else ""
        return f"{{{{template {quote(self.name)}{argument}}}}}"
