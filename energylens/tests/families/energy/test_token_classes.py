import ast
import tokenize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.families.energy.token_classes import (
    CLASSES,
    NUMBER,
    REGEX,
    UNLABELLED,
    WORD,
    byte_labels,
    document_labels,
    spans,
    token_labels,
)
from energylens.models.corpus import Corpus
from energylens.models.documents import python_documents


@pytest.fixture(scope="module")
def corpus(python_text):
    return Corpus.from_artifact(python_text)


def found(source):
    """(class, text) of every span."""
    return [(CLASSES[label], source[start:end]) for start, end, label in spans(source)]


def of(source, name):
    return [text for label, text in found(source) if label == name]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("if x is None: pass\n", ["if", "x", "is", "None", "pass"]),
        ("x = 'a word' # and a comment\n", ["x"]),
        ("größe = ärger_2\n", ["größe", "ärger_2"]),
        ("变量 = µ\n", ["变量", "µ"]),
        ("x = f'{name} is {1} {other!r:>{width}}'\n", ["x"]),
        ("x = f'{d[\"key\"]}' + name\n", ["x", "name"]),
        ("x = f'a' f'{b}' 'c'\n", ["x"]),
        ("x = '''two\nlines''' + y\n", ["x", "y"]),
        ("x = 1 + \\\n    y\n", ["x", "y"]),
        ("x", ["x"]),
        ("\f\nx = y\n", ["x", "y"]),
    ],
)
def test_words(source, words):
    assert of(source, "word") == words


@pytest.mark.parametrize(
    "number", ["0", "0x1F", "1e-5", "1_000", "0b101", "0o17", "3.14", "1.", ".5", "2j", "1E+3"]
)
def test_numbers_are_whole(number):
    assert found(f"x = -{number} + name2\n") == [("word", "x"), ("number", number), ("word", "name2")]


def test_a_number_in_a_string_or_a_name_is_none():
    assert of("x1 = '12' + f'{34}'  # 56\n", "number") == []


@pytest.mark.parametrize(
    "pattern",
    [
        "re.compile('abc')",
        "re.match('a', text)",
        're.sub("x", y, z)',
        "re.split(  # why\n    '-', text)",
        "re.compile('a'\n   'b')",
        "re.compile(f'{a}')",
        "re.compile(b'a')",
        "f(r'\\d+')",
        "x = R'(a|b)'",
        "x = rb'[a-z]'",
        "x = Rb'''\n  a+  # one\n'''",
        "x = {s: r'\\s'}",
    ],
)
def test_patterns(pattern):
    source = f"x = y\n{pattern}\n"
    strings = [
        token.string
        for token in tokenize.generate_tokens(iter(source.splitlines(True)).__next__)
        if token.type == tokenize.STRING
    ]
    if strings:  # from Python 3.12 on an f-string is several tokens
        assert of(source, "regex") == strings
    assert len(of(source, "regex")) == max(1, len(strings))


@pytest.mark.parametrize(
    "other",
    [
        "x = 'a+'",
        "x = r'plain'",
        "x = r'c:/a.b'",
        "re.escape('a+')",
        "re.sub(x, 'a+', z)",
        "self.re.match('a')",
        "core.compile('a')",
        "rex.match('a')",
        "re.compile",
        "x = re.compile, 'a'",
        "# re.compile('a')",
        "'''re.compile(\"a\")'''",
    ],
)
def test_other_strings_are_no_patterns(other):
    assert of(f"x = y\n{other}\n", "regex") == []


@pytest.mark.parametrize(
    "source",
    [
        'r"""Docstring \\d with (metacharacters)."""\n',
        '# comment\n\nr"""(a)"""\nx = 1\n',
        'def f():\n    r"""(a)"""\n    return 1\n',
        'class A:\n\n    # why\n    r"""(a)"""\n',
        'x = 1\nr"""(a)""" r"[b]"\n',
    ],
)
def test_docstrings_are_no_patterns(source):
    assert of(source, "regex") == []


def test_strings_within_strings():
    source = 'x = re.compile(r\'"[^"]*"\') + "re.compile(r\'a+\')"\n'
    assert of(source, "regex") == ['r\'"[^"]*"\'']


def test_what_follows_a_multi_line_string_is_in_its_place():
    source = 'x = """ä\n\n  β""" + 0x1F; y = r"(\\w)"\n'
    assert found(source) == [("word", "x"), ("number", "0x1F"), ("word", "y"), ("regex", 'r"(\\w)"')]


@pytest.mark.parametrize("source", ["", " \n\t\n"])
def test_empty_documents_are_errors(source):
    with pytest.raises(InputError, match="without code"):
        spans(source)


@pytest.mark.parametrize("source", ["x = (\n", "if x:\n    y\n  z\n", "x = '''\n"])
def test_what_python_cannot_read_is_an_error(source):
    with pytest.raises(InputError, match="no Python"):
        spans(source)


def test_bytes_of_wide_characters_and_blanks():
    label = byte_labels("é = 12\n")
    assert label.tolist() == [WORD, WORD, -2, UNLABELLED, -2, NUMBER, NUMBER, -2]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([2, 3, 4], [WORD, UNLABELLED, NUMBER]),
        ([9], [NUMBER]),
        ([1, 1, 7], [WORD, WORD, NUMBER]),
        ([2, 1, 1, 5], [WORD, UNLABELLED, UNLABELLED, NUMBER]),
        ([0, 2, 7], [UNLABELLED, WORD, NUMBER]),
    ],
)
def test_most_of_what_is_not_blank_decides(sizes, expected):
    assert token_labels("ab=  1234", np.array(sizes)).tolist() == expected


def test_half_is_not_most():
    assert token_labels("a+b=1 ", np.array([2, 2, 2])).tolist() == [UNLABELLED, UNLABELLED, NUMBER]
    assert token_labels("a  =1 ", np.array([1, 2, 3])).tolist() == [WORD, UNLABELLED, UNLABELLED]


def test_tokens_must_be_the_text():
    with pytest.raises(InputError, match="7 bytes can't be a text of 8"):
        token_labels("é = 12\n", np.array([7]))


SOURCE = 'größe = 0x1F  # größe 12\nx = re.compile(r"""\n  ä+ # β\n""", 1e-5)\n'


@given(st.lists(st.integers(0, 5), max_size=200), st.integers(1, 6))
def test_offsets_by_brute_force(cuts, rest):
    """Tokens of any size, cut within characters as well, against a loop over bytes."""
    data = SOURCE.encode()
    sizes, left = [], len(data)
    for size in [*cuts, *[rest] * len(data)]:
        sizes.append(min(size, left))
        left -= sizes[-1]
    of_byte, found = [], spans(SOURCE)
    for place, character in enumerate(SOURCE):
        classes = [label for start, end, label in found if start <= place < end]
        of_byte += [classes[0] if classes else None] * len(character.encode())
    blank = [character.isspace() for character in SOURCE for _ in character.encode()]
    expected, start = [], 0
    for size in sizes:
        inside = [of_byte[i] for i in range(start, start + size) if not blank[i]]
        best = max(range(3), key=inside.count)
        expected.append(best if 2 * inside.count(best) > len(inside) else UNLABELLED)
        start += size
    assert token_labels(SOURCE, np.array(sizes)).tolist() == expected


def test_spans_of_real_modules_are_what_they_say(corpus):
    """Against `ast`: names and numbers that the parser sees stand in the spans, at their places."""
    source = python_documents()["module:fractions"]
    lines = source.split("\n")
    starts = {start: (CLASSES[label], source[start:end]) for start, end, label in spans(source)}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Name) or not lines[node.lineno - 1].isascii():
            continue
        at = sum(len(line) + 1 for line in lines[: node.lineno - 1]) + node.col_offset
        assert starts.get(at, ("word", node.id)) == ("word", node.id)
        assert at in starts or "f'" in lines[node.lineno - 1] or 'f"' in lines[node.lineno - 1]


def test_labels_of_a_module_read_back_as_their_class(corpus):
    index = corpus.names.index("module:fractions")
    labels, tokens = document_labels(corpus, index), corpus.document(index)
    pieces = [corpus.token_strings[token].strip() for token in tokens]
    assert len(labels) == len(tokens)
    for piece, label in zip(pieces, labels.tolist(), strict=True):
        assert label != WORD or any(character.isalnum() or character == "_" for character in piece)
        assert label != NUMBER or any(character.isdigit() or character == "." for character in piece)
    assert min((labels == label).sum() for label in range(len(CLASSES))) >= 20
    with pytest.raises(ValueError, match="read-only"):
        labels[0] = 0


def test_only_modules_have_classes(corpus):
    index = next(i for i, name in enumerate(corpus.names) if name.startswith("topic:"))
    with pytest.raises(InputError, match=corpus.names[index]):
        document_labels(corpus, index)


def test_another_pythons_module_is_an_error(python_text):
    names = ["module:no_such_module", *python_text.meta["names"][1:]]
    other = Corpus.from_artifact(type(python_text)(python_text.tensors, {**python_text.meta, "names": names}))
    with pytest.raises(InputError, match="no_such_module"):
        document_labels(other, 0)


def test_regex_is_the_third_class():
    assert CLASSES[REGEX] == "regex"
