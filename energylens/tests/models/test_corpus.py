import dataclasses
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.models import corpus as corpus_module
from energylens.models import documents
from energylens.models.corpus import BOS, HELD_OUT, Corpus, PythonText, train_bpe
from energylens.models.documents import (
    RELATED,
    SHARES,
    SPLITS,
    families,
    fingerprint_of,
    overlaps,
    python_documents,
    quoted_in,
    split_of,
)
from energylens.store import Store, key_of, no_progress


def words(start: int, stop: int) -> str:
    return " ".join(f"w{i}" for i in range(start, stop))


@pytest.fixture(scope="module")
def corpus(python_text):
    return Corpus.from_artifact(python_text)


# Documents


def test_documents_are_topics_and_modules_and_nothing_of_one_installation():
    texts = python_documents()
    assert list(texts) == sorted(texts)
    assert {name.partition(":")[0] for name in texts} == {"topic", "module"}
    assert texts["module:this"].startswith('s = """Gur Mra bs Clguba')
    assert "lambda" in texts["topic:lambda"]
    assert not [name for name in texts if "sysconfigdata" in name or "sitecustomize" in name]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"x = '\xff'", "'abc' can't be read from .*abc.py"),
        (b"# -*- coding: klingon -*-\n", "'abc' can't be read"),
        (None, "no sources"),
    ],
)
def test_sources_that_cannot_be_read_are_named(content, complaint, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("")
    if content is not None:
        (tmp_path / "abc.py").write_bytes(content)
    monkeypatch.setattr(documents.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(InputError, match=complaint):
        python_documents.__wrapped__()


def test_a_python_without_help_topics_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(InputError, match="ships without its help topics"):
        python_documents.__wrapped__()


def test_line_ends_do_not_enter_the_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setattr(documents.sysconfig, "get_path", lambda _: str(tmp_path))
    found = []
    for line_end in (b"\n", b"\r\n"):
        (tmp_path / "abc.py").write_bytes(b"a = 1" + line_end)
        found.append(fingerprint_of(python_documents.__wrapped__()))
    assert found[0] == found[1]


def test_the_fingerprint_is_the_documented_hash():
    def digest(text):
        return hashlib.sha256(text.encode()).digest()

    expected = hashlib.sha256(digest("a") + digest("1") + digest("b") + digest("2")).hexdigest()
    assert fingerprint_of({"b": "2", "a": "1"}) == expected
    others = [{"a": "1", "b": "3"}, {"a": "1", "c": "2"}, {"a": "1b2"}, {"a": "1", "b": "2", "c": ""}]
    assert expected not in {fingerprint_of(texts) for texts in others}


# Repetition and split


def test_a_quoted_text_and_relatives_are_found():
    texts = {
        "whole": words(0, 200),
        "part": words(50, 100),
        "half": words(150, 400),
        "other": words(500, 700),
    }
    found = overlaps(texts)
    assert found == {("part", "whole"): (1.0, 38 / 188), ("half", "whole"): (38 / 238, 38 / 188)}
    assert quoted_in(texts, found) == {"part": "whole"}
    assert families(texts, found) == dict.fromkeys(("half", "part", "whole"), "half") | {"other": "other"}
    without = families(["half", "part", "other"], found)
    assert without == {name: name for name in ("half", "part", "other")}


def test_of_equal_texts_the_first_by_name_stays():
    texts = {"if": words(0, 40), "else": words(0, 40)}
    assert quoted_in(texts, overlaps(texts)) == {"if": "else"}


texts_of_few_words = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.lists(st.sampled_from("xy"), max_size=40).map(" ".join),
    max_size=6,
)


@given(texts_of_few_words)
def test_overlaps_equal_a_slow_count(texts):
    def runs(text):
        parts = text.split()
        return {tuple(parts[i : i + 13]) for i in range(max(1, len(parts) - 12))}

    found = overlaps(texts)
    for a in texts:
        for b in texts:
            common = len(runs(texts[a]) & runs(texts[b]))
            if a < b and common:
                assert found.pop((a, b)) == (common / len(runs(texts[a])), common / len(runs(texts[b])))
    assert not found


@given(texts_of_few_words)
def test_families_depend_on_no_order_and_on_no_stranger(texts):
    family = families(texts, overlaps(texts))
    backwards = dict(reversed(texts.items()))
    assert families(backwards, overlaps(backwards)) == family
    for label in set(family.values()):
        members = {name: texts[name] for name in family if family[name] == label}
        assert families(members, overlaps(members)) == dict.fromkeys(members, min(members))


def test_names_decide_the_split_in_the_announced_shares():
    names = ("topic:unary", "module:ast", "topic:lambda")
    assert [split_of(name) for name in names] == ["discovery", "confirmation", "train"]
    drawn = [split_of(f"document {i}") for i in range(20_000)]
    for split, share in SHARES.items():
        assert drawn.count(split) / len(drawn) == pytest.approx(share, abs=0.01)


@pytest.fixture(scope="module")
def real_overlaps():
    return overlaps(python_documents())


def leaks(splits, found):
    """Pairs of documents in different splits that have RELATED or more of either one's shingles in common."""
    related = [pair for pair, shares in found.items() if max(shares) >= RELATED]
    return [(a, b) for a, b in related if a in splits and b in splits and splits[a] != splits[b]]


def test_no_two_splits_share_text(corpus, real_overlaps):
    assert leaks(dict(zip(corpus.names, corpus.splits, strict=True)), real_overlaps) == []


def test_a_split_by_name_alone_would_leak(real_overlaps):
    assert len(leaks({name: split_of(name) for name in python_documents()}, real_overlaps)) >= 5


# The artifact


def test_every_document_is_in_one_split_and_comes_back_byte_by_byte(corpus, python_text):
    assert set(corpus.splits) == set(SPLITS)
    assert sorted(i for split in SPLITS for i in corpus.indices(split)) == list(range(len(corpus.names)))
    assert sorted(corpus.indices(HELD_OUT)) == sorted(
        corpus.indices("discovery") + corpus.indices("confirmation")
    )
    texts = python_documents()
    for index, name in enumerate(corpus.names):
        assert corpus.decode(corpus.document(index)) == texts[name]
        assert corpus.n_bytes[index] == len(texts[name].encode())
        assert corpus.token_bytes[corpus.document(index)].sum() == corpus.n_bytes[index]
    assert python_text.meta["bytes"] == corpus.n_bytes.sum() > 3e6
    assert set(texts) == set(corpus.names) | set(python_text.meta["quoted"])


@pytest.mark.parametrize("split", SHARES)
def test_held_out_splits_have_documents_and_bytes_of_both_kinds(corpus, split):
    for kind in ("topic", "module"):
        of_kind = [i for i, name in enumerate(corpus.names) if name.startswith(kind)]
        chosen = [i for i in of_kind if corpus.splits[i] == split]
        assert 0.05 < corpus.n_bytes[chosen].sum() / corpus.n_bytes[of_kind].sum() < 0.16
        assert 0.05 < len(chosen) / len(of_kind) < 0.16


def test_bytes_per_token_are_those_of_the_documents(corpus):
    for split in (*SPLITS, HELD_OUT):
        found = corpus.documents(split)
        n_bytes = sum(len(python_documents()[name].encode()) for name, _ in found)
        assert corpus.bytes_per_token(split) == pytest.approx(n_bytes / sum(len(ids) for _, ids in found))
        assert 2.8 < corpus.bytes_per_token(split) < 3.8


def test_the_tokeniser_has_seen_the_training_documents_alone(corpus, python_text):
    texts = python_documents()
    again = train_bpe((texts[name] for name, _ in corpus.documents("train")), corpus.d_vocab)
    assert again.to_str() == python_text.meta["tokenizer"]
    leaky = train_bpe((texts[name] for name in corpus.names), corpus.d_vocab)
    assert leaky.to_str() != python_text.meta["tokenizer"]


def test_another_process_with_one_thread_and_other_hashes_makes_the_same_artifact(python_text):
    code = (
        "import hashlib, json\n"
        "from energylens.models.corpus import PythonText\n"
        "from energylens.store import no_progress\n"
        "made = PythonText().build([], no_progress)\n"
        "digests = [hashlib.sha256(made.tensors[name].tobytes()).hexdigest() for name in sorted(made.tensors)]\n"
        "print(json.dumps([dict(made.meta), digests]))\n"
    )
    changed = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    out = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | changed, capture_output=True, text=True, check=True
    ).stdout
    digests = [
        hashlib.sha256(python_text.tensors[name].tobytes()).hexdigest()
        for name in sorted(python_text.tensors)
    ]
    assert json.loads(out) == [json.loads(json.dumps(dict(python_text.meta))), digests]


def test_the_store_keeps_it(python_text, tmp_path):
    store = Store(tmp_path / "store")
    store.put(PythonText(), python_text)
    found = Corpus.from_artifact(store.find(PythonText()))
    made = Corpus.from_artifact(python_text)
    assert (found.names, found.splits, found.token_strings) == (made.names, made.splits, made.token_strings)
    assert np.array_equal(found.tokens, made.tokens)


# Reading it


@given(st.text(max_size=60))
def test_any_text_comes_back_with_its_bytes_counted(python_text, text):
    corpus = Corpus.from_artifact(python_text)
    ids = corpus.encode(text)
    assert corpus.decode(ids) == text
    assert corpus.token_bytes[ids].sum() == len(text.encode())
    assert BOS not in ids


def test_bos_is_no_text(corpus):
    assert corpus.token_strings[BOS] == "<bos>"
    assert corpus.token_bytes[BOS] == 0
    assert BOS not in corpus.encode("<bos>")
    assert BOS not in corpus.tokens
    assert corpus.decode(np.array([BOS, *corpus.encode("def f():")])) == "def f():"


def test_tokens_have_readable_strings(corpus):
    assert corpus.d_vocab == len(corpus.token_strings) == len(corpus.token_bytes) == 2048
    assert [corpus.token_strings[token] for token in corpus.encode("    return self")] == [
        "   ",
        " return",
        " self",
    ]


def test_part_of_a_character_is_shown_as_such(corpus):
    ids = corpus.encode("\U0001f40d")
    assert len(ids) > 1
    assert corpus.decode(ids[:-1]) == "\ufffd"


@pytest.mark.parametrize("ids", [[-1], [5, 2048]])
def test_ids_outside_the_vocabulary_are_refused(corpus, ids):
    with pytest.raises(InputError, match=str(ids[-1])):
        corpus.decode(ids)


@pytest.mark.parametrize("split", ["test", "", "topic"])
def test_an_unknown_split_is_refused(corpus, split):
    with pytest.raises(InputError, match="train, discovery, confirmation, held-out"):
        corpus.indices(split)


# The recipe


def test_another_pythons_text_is_another_key_and_is_not_built_here():
    other = dataclasses.replace(PythonText(), fingerprint="f" * 64)
    assert len({key_of(PythonText()), key_of(other), key_of(PythonText(d_vocab=1024))}) == 3
    with pytest.raises(InputError, match=f"{PythonText().fingerprint}.*{'f' * 64}"):
        other.build([], no_progress)


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(InputError, match="got 256"):
        PythonText(d_vocab=256)


def test_texts_too_few_for_the_vocabulary_are_refused():
    with pytest.raises(InputError, match="not d_vocab 400"):
        train_bpe(["only a few words"], 400)


def test_a_small_vocabulary_is_built_from_the_documents_it_is_given(monkeypatch):
    texts = {f"topic:{i}": words(1000 * i, 1000 * i + 300) for i in range(40)}
    texts["topic:quote"] = words(0, 60)
    monkeypatch.setattr(corpus_module, "python_documents", lambda: texts)
    made = Corpus.from_artifact(PythonText(d_vocab=300).build([], no_progress))
    assert made.d_vocab == 300
    assert set(made.names) == {f"topic:{i}" for i in range(40)}
    assert [made.splits[i] for i in range(len(made.names))] == [split_of(name) for name in made.names]


def test_importing_the_recipe_imports_neither_torch_nor_the_tokeniser():
    code = "import sys, energylens.models.corpus; print('torch' in sys.modules, 'tokenizers' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
