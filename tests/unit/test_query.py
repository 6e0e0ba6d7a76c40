"""The query language: what is read, and that whatever is written is a query or one clear line."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.errors import QueryError
from celeriac.selectors import query
from celeriac.selectors.query import KEYS, Kind, Query, Term, parse
from celeriac.selectors.query_values import STATES, Ago, At, Span, State, Text


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  state:failed ", (Term("state", (State("failed"),)),)),
        ("state:FAILURE,Retry", (Term("state", (State("FAILURE"), State("RETRY"))),)),
        ("state:PROGRESS", (Term("state", (State("PROGRESS"),)),)),
        ("TYPE:mail.*", (Term("type", (Text("mail.*"),)),)),
        ('exc:"connection refused"', (Term("exc", (Text("connection refused", True),)),)),
        (r'args:"say \"no\", twice",42', (Term("args", (Text('say "no", twice', True), Text("42"))),)),
        ("NOT queue:slow", (Term("queue", (Text("slow"),), True),)),
        ("-queue:slow", (Term("queue", (Text("slow"),), True),)),
        ("NOT NOT queue:slow", (Term("queue", (Text("slow"),)),)),
        ("since:2h", (Term("since", (Ago(timedelta(hours=2)),)),)),
        ("until:2026-11-26T12:30", (Term("until", (At(datetime(2026, 11, 26, 12, 30)),)),)),  # noqa: DTZ001 - of the project's zone
        ("since:2026-11-26", (Term("since", (At(datetime(2026, 11, 26)),)),)),  # noqa: DTZ001 - as above
        ("ran:>1.5m", (Term("ran", (Span(">", timedelta(seconds=90)),)),)),
        (
            "kwargs:user_id=7 waited:<=500ms",
            (
                Term("kwargs", (Text("user_id=7"),)),
                Term("waited", (Span("<=", timedelta(milliseconds=500)),)),
            ),
        ),
    ],
)
def test_a_query_is_read(text, terms):
    assert parse(text) == Query(terms)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stat:failed", "The query has no key 'stat'. Did you mean state:?"),
        ("exception:Timeout", "The query has no key 'exception'. Did you mean exc:?"),
        ("colour:red", "The query has no key 'colour'. The keys are: id, state, "),
        ("state:faild", "There is no state 'faild'. Did you mean failed?"),
        ("mail.send", "'mail.send' has no key. For example: type:mail.send or state:failed"),
        ("state:failed AND type:x", "Words are joined by AND already"),
        ("state:failed NOT", "NOT stands before a word"),
        ("state:", "state: a value is missing. For example: state:failed"),
        ("state: failed", "state: a value is missing."),
        ("type:a,", "type: a value is missing."),
        ('exc:"never closed', "exc: the quote is not closed."),
        ('exc:"a"b', "exc: quotes stand around a whole value"),
        ('exc:""', "exc: the value is empty."),
        ("exc:a\x00b", "exc: the value has a character that no database can store."),
        ("since:yesterday", "since: 'yesterday' is no moment. Write how long ago, as 30m, 2h or 7d"),
        ("since:2026-13-45", "since: '2026-13-45' is no moment."),
        ("since:0001-01-01", "since: '0001-01-01' is no moment."),
        ("since:99999999999d", "since: '99999999999d' is no moment."),
        ("type:*a*b*c*", "type: '*a*b*c*' has more than 3 asterisks."),
        ("since:1h,2h", "since: takes one moment, not 2."),
        ("ran:30s", "ran: longer or shorter? Write ran:>30s or ran:<30s."),
        ("ran:>long", "ran: '>long' is no length of time. For example: ran:>30s"),
        ("id:" + "x" * 5000, "The query has 5,003 characters, and 4,000 are possible."),
        ("id:a " * 51, "The query has more than 50 words."),
    ],
)
def test_a_slip_is_one_line_that_helps(text, said):
    with pytest.raises(QueryError) as error:
        parse(text)

    assert str(error.value).startswith(said)
    assert str(error.value).isprintable()


def test_an_options_values_are_those_of_its_key():
    assert query.term("state", "failed,revoked") == parse("state:failed,revoked").terms[0]

    with pytest.raises(QueryError, match="has a space"):
        query.term("queue", "slow type:x")


#: What is written about queries, put together at random, and anything else.
PIECES = st.sampled_from(
    [*(f"{key}:" for key in KEYS), *STATES, "NOT ", "-", ",", '"', "\\", " ", "*", ">", "2h", "30s", "a"]
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=20).map("".join)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_whatever_is_written_is_a_query_or_one_line(text):
    found = read(text)

    assert found.isprintable() if isinstance(found, str) else parse(str(found)) == found


def read(text):
    """The query, or what is said of it."""
    try:
        return parse(text)
    except QueryError as error:
        return str(error)


WORDS = st.text(min_size=1, max_size=20).filter(lambda text: "\x00" not in text and text.isascii())
MICROSECONDS = st.integers(0, 10**15).map(lambda count: timedelta(microseconds=count))
VALUES = {
    Kind.TEXT: WORDS.map(lambda text: Text(text, True)),
    Kind.STATE: st.sampled_from(STATES).map(State),
    Kind.MOMENT: MICROSECONDS.map(Ago) | st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1)).map(At),  # noqa: DTZ001 - of the project's zone
    Kind.SPAN: st.builds(Span, st.sampled_from([">", "<", ">=", "<="]), MICROSECONDS),
}


@st.composite
def terms(draw):
    key = draw(st.sampled_from(list(KEYS)))
    most = 1 if KEYS[key] is Kind.MOMENT else 3
    values = draw(st.lists(VALUES[KEYS[key]], min_size=1, max_size=most))
    return Term(key, tuple(values), draw(st.booleans()))


@settings(max_examples=100, deadline=None)
@given(st.lists(terms(), max_size=5).map(tuple).map(Query))
def test_a_query_as_text_is_the_same_query(made):
    assert parse(str(made)) == made
