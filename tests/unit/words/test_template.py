"""Templates give what Go gives. The cases of GO were taken from `docker version --format` (Docker 28.2)."""

from __future__ import annotations

import pytest

from scow.words.template import (
    Map,
    NilList,
    NilMap,
    ParseError,
    RenderError,
    Row,
    Struct,
    Template,
    to_json,
)

_DATA = Struct({"Client": Struct({"Version": "28.2.2"})})
GO = [
    (
        '{{printf "%d" "x"}}{{printf "%d"}}{{printf "x" 1}}',
        "%!d(string=x)%!d(MISSING)x%!(EXTRA int=1)",
    ),
    ('{{printf "%5.2f|%e|%g|%v" 1.5 1.5 1.5 1e21}}', " 1.50|1.500000e+00|1.5|1e+21"),
    (
        '{{printf "%6v|%-6v|%06d|%x|%X|%q|%c|%U" "a" true 42 255 "hi" 65 66 67}}',
        "     a|true  |000042|ff|6869|'A'|B|U+0043",
    ),
    ('{{printf "%s %d" nil 1.5}}', "%!s(<nil>) %!d(float64=1.5)"),
    ("{{print nil}}", "<nil>"),
    ('{{lt "a" "b"}}', "true"),
    (
        "{{1.0}} {{1e6}} {{100000.0}} {{1e20}} {{1e21}} {{0.0001}} {{0.00001}}",
        "1 1e+06 100000 1e+20 1e+21 0.0001 1e-05",
    ),
    ('{{println 1 2 "a" 3}}|{{print 1 2 "a" 3 4}}', "1 2 a 3\n|1 2a3 4"),
    ('{{title "hello-wORLD it\'s"}}', "Hello-WORLD It'S"),
    ('{{truncate "abc" 2}} {{pad "" 1 1}}|{{pad "x" 1 1}}|', "ab | x |"),
    ('{{slice "abcdef" 1 3}}', "bc"),
    ("{{range 3}}x{{end}}", "xxx"),
    ('{{.Client.Version | upper | printf "%10s|"}}', "    28.2.2|"),
    ('{{json .Client.Version}} {{json "a<b>"}}', '"28.2.2" "a<b>"'),
    ('{{split "abc" ""}}', "[a b c]"),
    ('{{printf "%+d % d %+v" 3 4 "x"}}', "+3  4 x"),
    ('{{printf "%t %v" 1 nil}}', "%!t(int=1) <nil>"),
    ('{{printf "%T %T" 3 "x"}}', "int string"),
    ('{{and 0 1}} {{or 0 "x"}}', "0 x"),
    (
        '{{printf "%v" (split "a,b" ",")}} {{printf "%q" (split "a,b" ",")}} {{printf "%s" (split "a,b" ",")}}',
        '[a b] ["a" "b"] [a b]',
    ),
    ('{{range $i, $e := split "a,b" ","}}{{$i}}{{$e}}{{else}}{{end}}', "0a1b"),
    ('{{with $x := "a"}}{{$x}}{{else with "b"}}{{end}}', "a"),
    ("{{'a'}}", "97"),
    ("{{0x10}} {{1_000}} {{0b11}} {{017}}", "16 1000 3 15"),
    ('{{index "abc" 1}}', "98"),
    (
        '{{printf "%08.3f|%-8s|%8s|%+.2e" 3.14159 "ab" "cd" 12345.678}}',
        "0003.142|ab      |      cd|+1.23e+04",
    ),
    ('{{printf "%x %X %#x" "hello" "hello" 255}}', "68656c6c6f 68656C6C6F 0xff"),
    (
        '{{printf "%s" 5}} {{printf "%d" true}} {{printf "%z" 1}} {{printf "%"}}',
        "%!s(int=5) %!d(bool=true) %!z(int=1) %!(NOVERB)",
    ),
    ('{{printf "%*d|%-*d|" 5 1 4 2}}', "    1|2   |"),
    ('{{printf "%.2s|%.0s|" "abc" "abc"}}', "ab||"),
    ('{{printf "%v %v" true 1.25}}', "true 1.25"),
    ('{{printf "%q" "a\\"b\\n\\t\\x01é"}}', '"a\\"b\\n\\t\\x01é"'),
    ('{{printf "%5t|%-7t|" true false}}', " true|false  |"),
    ('{{printf "%o %b %O" 8 5 8}}', "10 101 0o10"),
    ('{{printf "%3c|%-3c|" 65 66}}', "  A|B  |"),
    ('{{printf "%%"}}', "%"),
    ('{{printf "%d%%" 5}}', "5%"),
    ('{{"quoted \\"x\\""}} {{`raw "x" \\n`}}', 'quoted "x" raw "x" \\n'),
    ('{{len "héé"}} {{len (split "a,b,c" ",")}}', "5 3"),
    (
        '{{eq 1 1}} {{eq 1 2 1}} {{ne "a" "b"}} {{le 1 1}} {{gt 2 1}} {{ge 1 2}}',
        "true true true true true false",
    ),
    ('{{not true}} {{not 0}} {{not ""}}', "false true true"),
    ('{{if eq "a" "a"}}yes{{else}}no{{end}}', "yes"),
    ("{{if 0}}a{{else if 1}}b{{else}}c{{end}}", "b"),
    ('{{with ""}}a{{else}}b{{end}}', "b"),
    ('{{- "x" -}} y', "xy"),
    ('a {{- "x" }} y', "ax y"),
    ("{{/* comment */}}x{{- /* c */ -}} y", "xy"),
    ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
    ("{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1"),
    ('{{range split "a,b,c" ","}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}', "ac"),
    ('{{range split "a,b,c" ","}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"),
    ('{{range $e := split "a,b" ","}}{{$e}};{{end}}', "a;b;"),
    ('{{define "T"}}<{{.}}>{{end}}{{template "T" "a"}}{{template "T"}}', "<a><<no value>>"),
    ('{{block "B" 5}}[{{.}}]{{end}}', "[5]"),
    ('{{(split "a,b" ",") | json}}', '["a","b"]'),
    ('{{split "a,b" "," | printf "%v!"}}', "[a b]!"),
    ('{{join (split "a,b" ",") "-"}}', "a-b"),
    ('{{upper "abc"}}{{lower "ABC"}}', "ABCabc"),
    ('{{print "a" "b" 1 2 "c"}}', "ab1 2c"),
    ("{{print 1 2}} {{print true false}} {{print 1.5 nil}}", "1 2 true false 1.5 <nil>"),
    ('{{println}}|{{println "a"}}', "\n|a\n"),
    (
        '{{json nil}} {{json 1.5}} {{json (split "a" ",")}} {{json "é\\u2028"}}',
        'null 1.5 ["a"] "é\\u2028"',
    ),
    (
        '{{printf "%v" 1e100}} {{1e100}} {{123456789.0}} {{1.5e-7}}',
        "1e+100 1e+100 1.23456789e+08 1.5e-07",
    ),
    ('{{printf "%g %G %e" 1e-7 1e-7 0.0}}', "1e-07 1E-07 0.000000e+00"),
    ('{{printf "%6.2f|%-8.1f|%+.1f" 1.234 2.5 3.5}}', "  1.23|2.5     |+3.5"),
    ('{{-5}} {{+5}} {{printf "%05d" -5}} {{printf "%5d|%-5d|" -5 -5}}', "-5 5 -0005    -5|-5   |"),
    ('{{printf "%x" -255}} {{printf "%c" 0x1F600}}', "-ff 😀"),
    ('{{printf "%s %s" "only"}}', "only %!s(MISSING)"),
    ('{{printf "%d %d" 1 2 3 "x"}}', "1 2%!(EXTRA int=3, string=x)"),
    ('{{printf "%!"}}', "%!!(MISSING)"),
    ('{{slice "abc" 1}} {{slice (split "a,b,c" ",") 1 2}}', "bc [b]"),
    ('{{and true false}} {{and 1 2 3}} {{or false 0 ""}}|', "false 3 |"),
    ('{{or .Client.Version "x"}}', "28.2.2"),
    ("{{false}} {{true}}", "false true"),
    ('{{printf "%v" .Client.Version}}', "28.2.2"),
    ('{{printf "%-10s|%s" .Client.Version "x"}}', "28.2.2    |x"),
    ("{{ 1 }}{{\t2\t}}", "12"),
    ("{{if and (eq 1 1) (or false true)}}ok{{end}}", "ok"),
    ('{{with split "a,b" ","}}{{index . 1}}{{end}}', "b"),
    ('{{range split "" ","}}[{{.}}]{{end}}', "[]"),
    ('{{title "éa b_c d\'e"}}', "Éa B_c D'E"),
    ('{{"\\u00e9\\x41\\101"}}', "éAA"),
    ('{{printf "%q %q" \'a\' "a\'b"}}', "'a' \"a'b\""),
    ('{{printf "%v %d" (split "a" ",") (split "a" ",")}}', "[a] [%!d(string=a)]"),
    ('{{printf "%08b" 5}} {{printf "%+d" 5}} {{printf "%U" 9731}}', "00000101 +5 U+2603"),
    ('{{printf "%6.3d|%.3d" 5 5}}', "   005|005"),
]


@pytest.mark.parametrize(("template", "expected"), GO)
def test_renders_as_go(template: str, expected: str) -> None:
    assert Template(template).render(_DATA) == expected


WEB = Struct(
    Id="0123456789ab",
    Name="/web",
    State=Struct(Pid=5, Running=True),
    Args=["-g", "daemon off;"],
    Labels=Map({"tier": "front", "app.name": "web"}),
    Options=NilMap(),
    ExecIDs=NilList(),
    Ports=Map({"80/tcp": [Struct(HostIp="0.0.0.0", HostPort="8080")], "443/tcp": NilList()}),
    Networks=Map({"bridge": Struct(IPAddress="172.17.0.2")}),
)
DATA = [
    ("{{.Id}} {{.ID}}", "0123456789ab 0123456789ab"),
    ("{{.State.Pid}} {{.State.Running}}", "5 true"),
    ("{{json .State}}", '{"Pid":5,"Running":true}'),
    (
        "{{json .ExecIDs}} {{json .Options}} {{json .Labels}}",
        'null null {"app.name":"web","tier":"front"}',
    ),
    ('{{index .Labels "app.name"}}|{{index .Labels "no"}}|{{.Labels.tier}}', "web||front"),
    ("{{.Labels.no}}", "<no value>"),
    ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "app.name=web;tier=front;"),
    ("{{range .ExecIDs}}x{{else}}none{{end}}", "none"),
    ('{{join .Args " "}}', "-g daemon off;"),
    ("{{len .Args}} {{len .Labels}} {{len .Options}}", "2 2 0"),
    ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
    (
        "{{range $p, $c := .Ports}}{{$p}} -> {{if $c}}{{(index $c 0).HostPort}}{{end}};{{end}}",
        "443/tcp -> ;80/tcp -> 8080;",
    ),
    ("{{range .Networks}}{{.IPAddress}}{{end}}", "172.17.0.2"),
    ("{{.State}} {{.Labels}} {{.Args}}", "{5 true} map[app.name:web tier:front] [-g daemon off;]"),
    ('{{printf "%+v" .State}}', "{Pid:5 Running:true}"),
    ("{{with .State}}{{.Pid}} {{$.Name}}{{end}}", "5 /web"),
    ("{{if and .State.Running (gt .State.Pid 1)}}up{{end}}", "up"),
    ("{{println .Name}}", "/web\n"),
    ('{{.Name | printf "%s-%s" .Id}}', "0123456789ab-/web"),
]


@pytest.mark.parametrize(("template", "expected"), DATA)
def test_renders_objects(template: str, expected: str) -> None:
    assert Template(template).render(WEB) == expected


@pytest.mark.parametrize(
    ("template", "line", "reason"),
    [
        ("{{.Id", 1, "unclosed action"),
        ("a\nb{{foo}}", 2, 'function "foo" not defined'),
        ("{{if}}{{end}}", 1, "missing value for if"),
        ("{{end}}", 1, "unexpected {{end}}"),
        ("{{if true}}", 1, "unexpected EOF"),
        ("{{1 | 2}}", 1, "non executable command in pipeline stage 2"),
        ("{{$x}}", 1, 'undefined variable "$x"'),
        ("{{$x = 1}}", 1, 'undefined variable "$x"'),
        ("{{break}}", 1, "{{break}} outside {{range}}"),
        ("{{(1}}", 1, "unclosed left paren"),
        ("{{)}}", 1, "unexpected right paren"),
        ('{{"a}}', 1, "unterminated quoted string"),
        ("{{/* x}}", 1, "unclosed comment"),
        ("{{9999999999999999999}}", 1, 'integer overflow: "9999999999999999999"'),
    ],
)
def test_refuses_what_is_no_template(template: str, line: int, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        Template(template)
    assert (caught.value.line, caught.value.reason) == (line, reason)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{.Nope}}",
            'template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"',
        ),
        (
            "{{.State.Pid.X}}",
            'template: :1:8: executing "" at <.State.Pid.X>: can\'t evaluate field X in type int',
        ),
        (
            "a\n {{len 3}}",
            'template: :2:3: executing "" at <len 3>: error calling len: len of type int',
        ),
    ],
)
def test_says_where_data_does_not_fit(template: str, message: str) -> None:
    with pytest.raises(RenderError) as caught:
        Template(template).render(WEB)
    # The column is that of the operand; Go counts from the last field of a chain.
    assert str(caught.value).split(": executing")[1] == message.split(": executing")[1]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{index .Args 5}}", "index out of range: 5"),
        ('{{index .Args "x"}}', "cannot index slice/array with type string"),
        ("{{upper 5}}", "wrong type for value; expected string; got int"),
        ('{{join .Name ","}}', "wrong type for value; expected []string; got string"),
        ('{{eq 1 "a"}}', "incompatible types for comparison"),
        ('{{split "a"}}', "wrong number of args for split: want 2 got 1"),
        ("{{.Name 1}}", "Name has arguments but cannot be invoked as function"),
        ("{{range .State}}{{end}}", "range can't iterate over {5 true}"),
        ("{{nil}}", "nil is not a command"),
        ("{{$x := print $x}}", "undefined variable: $x"),
        ('{{template "x"}}', 'template "x" not defined'),
    ],
)
def test_refuses_wrong_arguments(template: str, reason: str) -> None:
    with pytest.raises(RenderError) as caught:
        Template(template).render(WEB)
    assert caught.value.reason.endswith(reason)


@pytest.mark.parametrize(
    "template",
    [
        '{{define "x"}}{{template "x"}}{{end}}{{template "x"}}',
        "{{range 3000000}}{{end}}",
        "{{range 100000}}{{range 100000}}{{end}}{{end}}",
        "{{" + "(" * 1000 + "1" + ")" * 1000 + "}}",
    ],
)
def test_rendering_ends(template: str) -> None:
    with pytest.raises((RenderError, ParseError)):
        Template(template).render(WEB)


def test_rows_have_methods_and_json_by_key() -> None:
    row = Row(Names="web", ID="1", Label=lambda key: f"<{key}>")
    assert Template('{{.Label "a"}} {{json .}}').render(row) == '<a> {"ID":"1","Names":"web"}'


def test_tells_which_fields_occur() -> None:
    template = Template("{{.ID}} {{range .Mounts}}{{.Name}}{{end}}{{if .Size}}{{end}}")
    assert template.fields == {"ID", "Mounts", "Name", "Size"}


def test_json_is_docker_s() -> None:
    value = Struct(B=1, A=Map({"z": 1, "a": NilMap()}), C="<é>", D=1.0)
    assert to_json(value) == '{"B":1,"A":{"a":null,"z":1},"C":"<é>","D":1}'
    assert to_json([Struct(A=1)], indent=4) == '[\n    {\n        "A": 1\n    }\n]'


_DOUBLING = '{{{{$x := "{0}"}}}}{{{{range 60}}}}{{{{$x = {1}}}}}{{{{end}}}}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_DOUBLING.format("aaaa", 'printf "%s%s" $x $x'), "16777216 characters"),
        (_DOUBLING.format("aaaa", "print $x $x"), "16777216 characters"),
        (_DOUBLING.format("aaaa", "println $x $x"), "16777216 characters"),
        (_DOUBLING.format('\\"', "json $x"), "characters in functions"),
        (_DOUBLING.format('\\"', 'printf "%q" $x'), "16777216 characters"),
        ('{{pad "a" 99999999999 1}}', "16777216 characters"),
        ('{{$x := split "aaaaaaaa" ""}}{{$y := "a"}}{{range 60}}{{$y = join $x $y}}{{end}}', "16777216"),
        ('{{printf "' + "%65536d" * 300 + '"' + " 1" * 300 + "}}", "16777216 characters"),
        ('{{$x := printf "%65536s" "a"}}{{range 5000}}{{$y := title $x}}{{end}}', "in functions"),
        ("{{range 2000000}}{{range 2000000}}{{end}}{{end}}", "2000000 steps"),
        (
            '{{define "a"}}' + "{{if 1}}" * 60 + '{{template "a"}}' + "{{end}}" * 61 + '{{template "a"}}',
            "nested too deeply",
        ),
    ],
)  # fmt: skip
def test_what_grows_without_end_is_one_line(text: str, reason: str) -> None:
    """Found by attack: such templates took all memory, or ended in a traceback."""
    with pytest.raises(RenderError, match=reason) as caught:
        Template(text).render({})
    assert len(caught.value.message.splitlines()) == 1


@pytest.mark.parametrize(
    ("layout", "length"),
    [("%" + "9" * 5000 + "d", 65536), ("%." + "9" * 5000 + "d", 65536), ("%" + "0" * 9000 + "3d", 3)],
)  # fmt: skip
def test_widths_of_any_number_of_digits(layout: str, length: int) -> None:
    assert len(Template(f'{{{{printf "{layout}" 1}}}}').render({})) == length


@pytest.mark.parametrize(
    "number", ["9" * 5000, "1e" + "9" * 5000, "0x" + "f" * 5000, "0x1p" + "9" * 5000]
)
def test_numbers_of_any_number_of_digits_are_one_short_line(number: str) -> None:
    with pytest.raises(ParseError) as caught:
        Template(f"{{{{{number}}}}}")
    assert len(caught.value.message) <= 500


def test_what_inspect_shows_fits() -> None:
    labels = {f"key{number}": "v" * 100_000 for number in range(40)}
    assert len(Template("{{json .}}").render({"Labels": labels})) > 4_000_000
