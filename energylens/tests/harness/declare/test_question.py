"""Questions: what can be declared, where they are found, how they reach results.json."""

import pytest

from energylens import Question
from energylens.errors import DeclarationError
from energylens.harness.declare.catalogue import load_claims
from energylens.harness.declare.question import OUTCOMES, check_answers, questions_beside
from energylens.harness.json_values import plain
from energylens.harness.results import assemble
from energylens.harness.run_folder import RunFolder

FILE = """
from energylens import AtLeast, Measurement, Null, Question, claim

LARGE = Question(
    "Is the mean large?", answered_by=["toy.mean", "toy.other"], words={"toy.mean": {"REFUTED": "It is small."}}
)
SECOND = Question("And the other?", answered_by=("toy.other",))

@claim("toy.mean", says="x", source="y", holds_when=AtLeast(0), models=["dice"], seeds=[0],
       controls=[Null("n", "why", swap={"a": "b"})])
def test_mean(seed):
    return Measurement(1.0)
"""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(asks=" ", answered_by=("a",)), "asks nothing"),
        (dict(answered_by=()), "needs claims"),
        (dict(answered_by="toy.mean"), "a sequence, got 'toy.mean'"),
        (dict(answered_by=("a", "a")), "twice"),
        (dict(words={"toy.lost": {"HOLDS": "x"}}), "toy.lost"),
        (dict(words={"toy.mean": {"holds": "x"}}), r"\['holds'\]; outcomes are HOLDS"),
    ],
)
def test_a_question_without_an_answer_is_refused_by_name(fields, message):
    with pytest.raises(DeclarationError, match=message):
        Question(**(dict(asks="Is it?", answered_by=("toy.mean",)) | fields))


def test_every_outcome_may_have_words():
    words = {"a": dict.fromkeys(OUTCOMES, "So it is.")}
    assert Question("Is it?", ("a",), words).words == words
    assert "HOLDS, by chance too" in OUTCOMES


def test_questions_are_found_beside_the_claims_of_a_file_in_order(tmp_path):
    (tmp_path / "test_toy.py").write_text(FILE)
    (declared,) = load_claims(tmp_path).values()
    found = questions_beside(declared.body)
    assert [question.asks for question in found] == ["Is the mean large?", "And the other?"]
    assert found[0].answered_by == ("toy.mean", "toy.other")


def test_an_answer_that_nobody_declares_is_named_once_the_catalogue_is_whole():
    question = Question("Is it?", ("toy.mean", "toy.lost"))
    check_answers([question], {"toy.mean", "toy.lost", "toy.more"})
    with pytest.raises(DeclarationError, match=r"'Is it\?'.*'toy\.lost'"):
        check_answers([question], {"toy.mean"})


def test_results_hold_every_question_once_in_the_order_of_files(tmp_path):
    first, second = Question("A?", ("a",), {"a": {"HOLDS": "Yes."}}), Question("B?", ("b",))
    run = RunFolder(tmp_path)
    for file, questions in (("b.py", [first]), ("a.py", [second, first]), ("a.py", [second, first])):
        run.record_note("questions", file, questions)
    assert assemble(run)["questions"] == plain([second, first])
    assert assemble(RunFolder(tmp_path / "other"))["questions"] == []
