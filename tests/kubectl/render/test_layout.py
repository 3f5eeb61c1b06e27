"""Tables in little room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace_kubectl.render.layout import Column, Span, Table, cut, lines, plain, wrapped

pytestmark = pytest.mark.unit

COLUMNS = (Column("NAME", least=6), Column("SIZE", rank=2, right=True), Column("NOTE", rank=1, least=4))


def table(*rows: tuple[str, str, str]) -> Table:
    return Table(COLUMNS, [tuple(Span(text) for text in row) for row in rows])


def drawn(width: int | None, *rows: tuple[str, str, str]) -> list[str]:
    return [plain(line) for line in lines(table(*rows), width)]


def test_columns_line_up_and_numbers_stand_on_the_right() -> None:
    assert drawn(None, ("web", "1 B", "new"), ("database", "12 MB", "x")) == [
        "NAME       SIZE  NOTE",
        "web         1 B  new",
        "database  12 MB  x",
    ]


def test_the_least_important_column_is_left_out_first() -> None:
    assert drawn(14, ("database", "12 MB", "new"))[0] == "NAME      NOTE"


def test_a_long_name_is_cut_in_the_middle() -> None:
    assert drawn(17, ("a-name-that-is-too-long", "12 MB", "new"))[1] == "a-na…o-long  new"
    assert cut("registry.example/app:1", 12, ascii_only=True) == "regi../app:1"


def test_a_column_that_nobody_knows_anything_of_is_left_out() -> None:
    assert drawn(None, ("web", "-", "new"))[0] == "NAME  NOTE"


@given(
    st.lists(st.tuples(*[st.text("abc", max_size=30)] * 3), min_size=1, max_size=5),
    st.integers(min_value=20, max_value=100),
)
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, str, str]], width: int) -> None:
    assert all(len(line) <= width for line in drawn(width, *rows))


def test_a_sentence_is_wrapped_at_words_and_loses_none() -> None:
    spans = (Span("queue", "x"), Span(": another image is ahead of it in the line"))
    found = [plain(line) for line in wrapped(spans, 20, 2)]
    assert found == ["queue: another image", "  is ahead of it in", "  the line"]
    assert wrapped(spans, None, 2) == [spans]


@pytest.mark.parametrize("width", [20, 80])
def test_white_space_of_any_kind_separates_words(width: int) -> None:
    told = " ".join(plain(line).strip() for line in wrapped((Span("back-off\npulling \n\t image"),), width, 2))
    assert told == "back-off pulling image"
