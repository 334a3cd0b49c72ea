"""Reading audience files: what a line may be, and that pieces of any size give the same."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admin.audience_lines import MAX_LINE_BYTES, MAX_PROBLEMS, AudienceLines
from api.users import user_id_problem


def read(data: bytes, *cuts: int) -> tuple[AudienceLines, str]:
    """The file, given in pieces cut at `cuts`."""
    lines = AudienceLines()
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [lines.feed(data[start:end]) for start, end in pairwise(bounds) if start < end]
    return lines, b"".join([*pieces, lines.close()]).decode()


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\nb\nc", ["a", "b", "c"]),
        (b"\n\r\n  \n\t\na\n\n", ["a"]),
        (b"user_id\na\n", ["a"]),
        (b"\xef\xbb\xbfuser_id\r\na\r\n", ["a"]),
        (b'\xef\xbb\xbf"User_ID"\na\n', ["a"]),
        (b"\n\nuser_id\na\n", ["a"]),
        (b"a\nuser_id\n", ["a", "user_id"]),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
        (b'"a,b"\n"say ""hi"""\n" x "\n', ["a,b", 'say "hi"', " x "]),
        (b' "a" \n', ["a"]),
        (b"a b\na;b\na'b\n", ["a b", "a;b", "a'b"]),
        (b"a\\b\n\\.\n\\N\n", ["a\\\\b", "\\\\.", "\\\\N"]),
        ("é🎉\nключ\n".encode(), ["é🎉", "ключ"]),
        (b"x" * 128 + b"\n", ["x" * 128]),
        (b"a\na\n", ["a", "a"]),
    ],
)
def test_good_files(data: bytes, ids: list[str]) -> None:
    lines, text = read(data)
    assert (lines.bad_lines, lines.problems) == (0, [])
    assert text == "".join(f"{user_id}\n" for user_id in ids)
    assert lines.lines == len(ids)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"x" * 129, "129 characters"),
        (b"x" * 5000, "longer than 1024 bytes"),
        ("é".encode() * 100, "200 bytes"),
        (b"a\0b", "U+0000"),
        (b"a\tb", "U+0009"),
        (b"a\rb", "U+000D"),
        (b"a\x7f", "U+007F"),
        ("a\x85b".encode(), "U+0085"),
        (b"\xff\xfea\0", "UTF-8"),
        (b"\xed\xa0\x80", "UTF-8"),
        (b"a,b", "more than one column"),
        (b" a", "blank"),
        (b"a ", "blank"),
        (b'"a', "quote"),
        (b'a"b', "quote"),
        (b'"a","b"', "quote"),
        (b'"a"b"', "quote"),
        (b'""', "empty"),
    ],
)
@pytest.mark.parametrize("ending", [b"\n", b""])
def test_a_bad_line_is_named_and_reading_goes_on(line: bytes, said: str, ending: bytes) -> None:
    before = b"user_id\na\n\nb\n"
    lines, text = read(before + line + ending + (b"c\n" if ending else b""))
    assert [problem.line for problem in lines.problems] == [5]
    assert said in lines.problems[0].detail
    assert text == ("a\nb\nc\n" if ending else "a\nb\n")
    assert lines.bad_lines == 1


def test_the_first_problems_are_kept_and_all_are_counted() -> None:
    lines, _ = read(b"a\n" + b"x,y\n" * 1000)
    assert lines.bad_lines == 1000
    assert [problem.line for problem in lines.problems] == list(range(2, MAX_PROBLEMS + 2))


def test_a_line_without_end_takes_no_memory_and_one_message() -> None:
    lines = AudienceLines()
    for _ in range(200):
        assert lines.feed(b"x" * 1000) == b""
        assert len(lines._rest) <= MAX_LINE_BYTES
    assert lines.feed(b"tail\nb\n") == b"b\n"
    assert [(problem.line, lines.bad_lines) for problem in lines.problems] == [(1, 1)]


_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"", b"a", b"b\r", b'"q""q"', b"x,y", b"x" * 128, b"y" * 129, b"z" * 1025, b"\xff", b"back\\"]
        ),
        st.binary(max_size=12),
    ),
    max_size=20,
)


@given(_LINES, st.lists(st.integers(0, 10_000), max_size=8))
def test_pieces_of_any_size_give_the_same(raw: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join(raw)
    whole, text = read(data)
    cut, cut_text = read(data, *cuts)
    assert cut_text == text
    assert (cut.lines, cut.bad_lines, cut.problems) == (whole.lines, whole.bad_lines, whole.problems)


@given(st.lists(st.from_regex(rb"[!-~]{1,130}\r?", fullmatch=True), min_size=1, max_size=20))
def test_plain_pieces_read_at_once_as_line_by_line(raw: list[bytes]) -> None:
    data = b"first\n" + b"\n".join(raw) + b"\n"
    at_once, text = read(data, 6)
    by_line, line_text = read(data, *range(len(data)))
    assert (text, at_once.lines, at_once.bad_lines) == (line_text, by_line.lines, by_line.bad_lines)


@given(st.text(max_size=200))
def test_a_user_id_without_problem_can_be_stored(text: str) -> None:
    if user_id_problem(text) is None:
        assert 1 <= len(text) <= 128
        assert len(text.encode()) <= 160
        assert "\0" not in text
        assert "\n" not in text


def test_lone_surrogates_are_no_user_id() -> None:
    assert "U+D800" in (user_id_problem("a\ud800") or "")
