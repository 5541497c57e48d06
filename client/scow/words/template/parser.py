"""Makes a tree of a template, by recursive descent."""

from __future__ import annotations

from scow.words.template import lexer, literals, nodes
from scow.words.template.errors import ParseError
from scow.words.template.lexer import Lexer, Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from typing import Any

# How deep actions and parentheses nest; the interpreter's stack allows several times that.
MAX_DEPTH = 64

_OPERANDS = frozenset(
    {
        lexer.BOOL,
        lexer.CHARACTER,
        lexer.DOT,
        lexer.FIELD,
        lexer.IDENTIFIER,
        lexer.NIL,
        lexer.NUMBER,
        lexer.RAW_STRING,
        lexer.STRING,
        lexer.VARIABLE,
        lexer.LEFT_PAREN,
    }
)


class Parser:
    """Parses one text.

    Args:
        text: The template.
        functions: Names of the functions that there are.
    """

    def __init__(self, text: str, functions: Container[str]) -> None:
        self._text = text
        self._functions = functions
        self._tokens: Iterator[Token] = Lexer(text).tokens()
        self._ahead: list[Token] = []
        self._line_at = 0
        self._variables = ["$"]
        self._depth = 0
        self._range_depth = 0
        # Bodies of `define` and `block` by name.
        self.templates: dict[str, list[nodes.Node]] = {}
        # Names of all fields that occur.
        self.fields: set[str] = set()

    def parse(self) -> list[nodes.Node]:
        """Return the body of the template.

        Raises:
            ParseError: The text is not a template.
        """
        body: list[nodes.Node] = []
        while (token := self._peek()).kind != lexer.END:
            if token.kind == lexer.OPEN:
                self._next()
                if self._peek_solid().text == "define":
                    self._define()
                    continue
                self._ahead.insert(0, token)
            node = self._text_or_action()
            if isinstance(node, Token):
                raise self._error(f"unexpected {{{{{node.text}}}}}")
            body.append(node)
        return body

    # Tokens.

    def _next(self) -> Token:
        token = self._ahead.pop(0) if self._ahead else next(self._tokens)
        self._line_at = token.position
        return token

    def _peek(self) -> Token:
        if not self._ahead:
            self._ahead.append(next(self._tokens))
        return self._ahead[0]

    def _next_solid(self) -> Token:
        """Return the next token that is not a space."""
        while (token := self._next()).kind == lexer.SPACE:
            pass
        return token

    def _peek_solid(self) -> Token:
        while self._peek().kind == lexer.SPACE:
            self._next()
        return self._peek()

    def _error(self, reason: str) -> ParseError:
        return ParseError(self._text.count("\n", 0, self._line_at) + 1, reason)

    def _unexpected(self, token: Token, context: str) -> ParseError:
        if token.kind == lexer.END:
            return self._error("unexpected EOF")
        return self._error(f"unexpected {token} in {context}")

    def _expect(self, kind: str, context: str) -> Token:
        token = self._next_solid()
        if token.kind != kind:
            raise self._unexpected(token, context)
        return token

    # Lists and actions.

    def _text_or_action(self) -> nodes.Node | Token:
        """Return the next node, or the keyword `else` or `end` if that is next."""
        token = self._next()
        if token.kind == lexer.TEXT:
            return nodes.Text(token.position, token.text)
        token = self._peek_solid()
        if token.kind != lexer.KEYWORD:
            pipe = self._pipe("command", lexer.CLOSE)
            return nodes.Action(pipe.position, pipe)
        self._next()
        if token.text == "else":
            # `else if` and `else with` leave their second word to _branch.
            if self._peek_solid().text not in ("if", "with"):
                self._expect(lexer.CLOSE, "else")
            return token
        if token.text == "end":
            self._expect(lexer.CLOSE, "end")
            return token
        if token.text in ("if", "with", "range"):
            return self._branch(token)
        if token.text in ("break", "continue"):
            return self._jump(token)
        if token.text == "template":
            return self._call(token)
        if token.text == "block":
            return self._block(token)
        raise self._unexpected(token, "command")

    def _list(self) -> tuple[list[nodes.Node], Token]:
        """Return the nodes up to `else` or `end`, and that keyword."""
        self._descend()
        found: list[nodes.Node] = []
        while self._peek().kind != lexer.END:
            node = self._text_or_action()
            if isinstance(node, Token):
                self._depth -= 1
                return found, node
            found.append(node)
        self._next()
        raise self._error("unexpected EOF")

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} levels deep")

    def _branch(self, keyword: Token) -> nodes.Branch:
        context = keyword.text
        known = len(self._variables)
        pipe = self._pipe(context, lexer.CLOSE)
        self._range_depth += context == "range"
        body, closing = self._list()
        self._range_depth -= context == "range"
        otherwise: list[nodes.Node] = []
        if closing.text == "else":
            following = self._peek_solid()
            if following.text in ("if", "with") and following.kind == lexer.KEYWORD:
                otherwise = [self._else_branch(context, self._next())]
            else:
                otherwise, closing = self._list()
                if closing.text != "end":
                    raise self._error("expected end; found {{else}}")
        del self._variables[known:]
        return nodes.Branch(keyword.position, context, pipe, body, otherwise)

    def _else_branch(self, context: str, keyword: Token) -> nodes.Branch:
        if keyword.text != context:
            raise self._unexpected(keyword, "else")
        self._descend()
        branch = self._branch(keyword)
        self._depth -= 1
        return branch

    def _jump(self, token: Token) -> nodes.Jump:
        self._expect(lexer.CLOSE, f"{{{{{token.text}}}}}")
        if not self._range_depth:
            raise self._error(f"{{{{{token.text}}}}} outside {{{{range}}}}")
        return nodes.Jump(token.position, token.text)

    def _call(self, keyword: Token) -> nodes.Call:
        name, position = self._name("template clause")
        pipe = None
        if self._peek_solid().kind == lexer.CLOSE:
            self._next()
        else:
            pipe = self._pipe("template clause", lexer.CLOSE)
        return nodes.Call(position, name, pipe)

    def _block(self, keyword: Token) -> nodes.Call:
        name, position = self._name("block clause")
        pipe = self._pipe("block clause", lexer.CLOSE)
        self._body_of(name, "block clause")
        return nodes.Call(position, name, pipe)

    def _define(self) -> None:
        self._next_solid()
        name, _ = self._name("define clause")
        self._expect(lexer.CLOSE, "define clause")
        self._body_of(name, "define clause")

    def _body_of(self, name: str, context: str) -> None:
        """Parse the body of a template of its own: it sees no variable and no range of what is around it."""
        outside = self._variables, self._range_depth
        self._variables, self._range_depth = ["$"], 0
        body, closing = self._list()
        if closing.text != "end":
            raise self._error(f"unexpected {{{{else}}}} in {context}")
        self._variables, self._range_depth = outside
        self.templates[name] = body

    def _name(self, context: str) -> tuple[str, int]:
        token = self._next_solid()
        if token.kind == lexer.STRING:
            return self._literal(token), token.position
        if token.kind == lexer.RAW_STRING:
            return token.text[1:-1], token.position
        raise self._unexpected(token, context)

    # Pipes.

    def _pipe(self, context: str, closing: str) -> nodes.Pipe:
        self._descend()
        position = self._peek_solid().position
        variables, assigns = self._declarations(context)
        commands: list[nodes.Command] = []
        while (token := self._next_solid()).kind != closing:
            if token.kind not in _OPERANDS:
                raise self._unexpected(token, context)
            self._ahead.insert(0, token)
            commands.append(self._command())
        self._check_pipe(commands, context)
        self._depth -= 1
        return nodes.Pipe(position, variables, assigns, commands)

    def _check_pipe(self, commands: list[nodes.Command], context: str) -> None:
        if not commands:
            raise self._error(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], nodes.Literal | nodes.Nil | nodes.Dot):
                raise self._error(f"non executable command in pipeline stage {stage}")

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        """Return the variables before `:=` or `=`, and whether they are there already."""
        names: list[str] = []
        while self._peek_solid().kind == lexer.VARIABLE:
            variable = self._next()
            space = self._peek()
            following = self._peek_solid()
            if following.kind in (lexer.DECLARE, lexer.ASSIGN):
                self._next()
                names.append(variable.text)
                self._declare(names, is_there=following.kind == lexer.ASSIGN)
                return names, following.kind == lexer.ASSIGN
            if following.text == ",":
                self._next()
                names.append(variable.text)
                self._check_declarations(context, names)
                continue
            if space.kind == lexer.SPACE:
                self._ahead.insert(0, space)
            self._ahead.insert(0, variable)
            break
        return names, False

    def _declare(self, names: list[str], *, is_there: bool) -> None:
        for name in names:
            if not is_there:
                self._variables.append(name)
            elif name not in self._variables:
                raise self._error(f"undefined variable {lexer.quote(name)}")

    def _check_declarations(self, context: str, names: list[str]) -> None:
        if context != "range" or len(names) > 1:
            raise self._error(f"too many declarations in {context}")
        if self._peek_solid().kind not in (lexer.VARIABLE, lexer.CLOSE, lexer.RIGHT_PAREN):
            raise self._error("range can only initialize variables")

    def _command(self) -> nodes.Command:
        position = self._peek_solid().position
        operands: list[nodes.Node] = []
        while True:
            self._peek_solid()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = self._next()
            if token.kind == lexer.SPACE:
                continue
            if token.kind in (lexer.CLOSE, lexer.RIGHT_PAREN):
                self._ahead.insert(0, token)
            elif token.kind != lexer.PIPE:
                raise self._unexpected(token, "operand")
            return nodes.Command(position, operands)

    def _operand(self) -> nodes.Node | None:
        term = self._term()
        if term is None or self._peek().kind != lexer.FIELD:
            return term
        position = self._peek().position
        names = []
        while self._peek().kind == lexer.FIELD:
            names.append(self._field(self._next()))
        if isinstance(term, nodes.Field):
            return nodes.Field(position, (*term.names, *names))
        if isinstance(term, nodes.Variable):
            return nodes.Variable(position, term.name, names)
        if isinstance(term, nodes.Literal | nodes.Nil | nodes.Dot):
            raise self._error(f"unexpected . after term {lexer.quote(str(term))}")
        return nodes.Chain(position, term, names)

    def _field(self, token: Token) -> str:
        self.fields.add(token.text[1:])
        return token.text[1:]

    def _term(self) -> nodes.Node | None:
        token = self._peek_solid()
        if token.kind not in _OPERANDS:
            return None
        self._next()
        if token.kind == lexer.LEFT_PAREN:
            return self._pipe("parenthesized pipeline", lexer.RIGHT_PAREN)
        if token.kind == lexer.FIELD:
            return nodes.Field(token.position, [self._field(token)])
        if token.kind == lexer.IDENTIFIER:
            if token.text not in self._functions:
                raise self._error(f"function {lexer.quote(token.text)} not defined")
            return nodes.Identifier(token.position, token.text)
        if token.kind == lexer.VARIABLE:
            if token.text not in self._variables:
                raise self._error(f"undefined variable {lexer.quote(token.text)}")
            return nodes.Variable(token.position, token.text)
        if token.kind == lexer.DOT:
            return nodes.Dot(token.position)
        if token.kind == lexer.NIL:
            return nodes.Nil(token.position)
        return nodes.Literal(token.position, self._literal(token), token.text)

    def _literal(self, token: Token) -> Any:
        if token.kind == lexer.BOOL:
            return token.text == "true"
        if token.kind == lexer.RAW_STRING:
            return token.text[1:-1]
        read = {
            lexer.NUMBER: literals.number,
            lexer.CHARACTER: literals.character,
            lexer.STRING: literals.string,
        }[token.kind]
        try:
            return read(token.text)
        except ValueError as error:
            raise self._error(str(error)) from None
