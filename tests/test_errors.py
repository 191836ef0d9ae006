"""Messages answer four questions and survive the journey between processes."""

import pickle

from tesela.errors import BadInput, Duplicate, TeselaError


def test_message_names_object_finding_expectation_and_remedy() -> None:
    error = BadInput("a.fits", found="12x10 pixels", expected="1296x1170", do="check the window")
    assert str(error) == "a.fits: 12x10 pixels; expected 1296x1170; check the window"


def test_pickling_keeps_class_and_parts() -> None:
    error = pickle.loads(pickle.dumps(Duplicate("a", found="b", expected="c", do="d")))  # noqa: S301
    assert type(error) is Duplicate
    assert (error.what, error.found, error.expected, error.do) == ("a", "b", "c", "d")


def test_a_plain_sentence_stays_as_it_is() -> None:
    assert str(TeselaError("nothing to do")) == "nothing to do"
