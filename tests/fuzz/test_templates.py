"""Whatever the template and the data: a text, or an error of the template's own kind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scow.words.template import Template, TemplateError

_WORDS = (
    ".", ".Name", ".Labels", ".Ports", "$", "$x", ":=", "=", "|", "(", ")", "range", "if", "else", "end",
    "with", "index", "len", "printf", '"%d %s %v"', "json", "join", "eq", "not", "and", "1", "-1", "0x7f",
    "nil", "true", '"text"', "`raw`", ",", "define", '"t"', "template", "break", "println", "slice", "'a'",
)  # fmt: skip
_TEXT = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.one_of(
            st.lists(st.sampled_from(_WORDS), max_size=6).map(
                lambda words: "{{" + " ".join(words) + "}}"
            ),
            st.sampled_from(["text", "{{", "}}", "{{-", "-}}", "{{/*", "*/}}", "\n"]),
        ),
        max_size=8,
    ).map("".join),
)
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Name", "Labels", "Ports", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=2000)
@given(_TEXT, _DATA)
def test_templates(text: str, data: object) -> None:
    try:
        result = Template(text).render(data)
    except TemplateError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert isinstance(result, str)
