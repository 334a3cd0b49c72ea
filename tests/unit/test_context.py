"""The query string of `GET /v1/popups`: what it may say, and what is told about what it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import errors
from api.errors import ProblemError
from api.http.context import LIMIT_DEFAULT, LIMIT_MAX, context_parser, parse_context


def refused(query: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        parse_context(query)
    assert caught.value.code is errors.BAD_PARAMETER
    assert caught.value.code.status == 400
    return caught.value


def test_everything_that_can_be_said() -> None:
    context = parse_context(
        "placement=home&limit=3&platform=android&app_version=5.2.1&locale=id-ID&country=ID"
        "&attr.tier=gold&attr.city=Jakarta%20Selatan&unknown=ignored"
    )
    assert context.placement == "home"
    assert context.limit == 3
    assert context.attributes == {
        "platform": "android",
        "app_version": "5.2.1",
        "locale": "id-ID",
        "country": "ID",
        "attr.tier": "gold",
        "attr.city": "Jakarta Selatan",
    }


def test_the_placement_alone_is_enough() -> None:
    context = parse_context("placement=home")
    assert (context.limit, context.attributes) == (LIMIT_DEFAULT, {})


@pytest.mark.parametrize("query", ["", "placement", "placement=", "limit=3", "Placement=home"])
def test_a_missing_placement(query: str) -> None:
    problem = refused(query)
    assert problem.members == {"parameter": "placement"}
    assert "placement=home" in problem.detail


@pytest.mark.parametrize("limit", ["1", "20", "05", str(LIMIT_MAX)])
def test_limits(limit: str) -> None:
    assert parse_context(f"placement=home&limit={limit}").limit == int(limit)


@pytest.mark.parametrize(
    "limit", ["", "0", "21", "-1", "1.5", "five", "+5", "%205", "%D9%A1", "%C2%B2", "9" * 200, "1_0"]
)
def test_wrong_limits(limit: str) -> None:
    problem = refused(f"placement=home&limit={limit}")
    assert problem.members == {"parameter": "limit"}
    assert "1 to 20" in problem.detail


def test_what_is_given_twice_has_no_meaning() -> None:
    assert refused("placement=home&placement=cart").members == {"parameter": "placement"}
    assert refused("placement=home&attr.tier=a&attr.tier=a").members == {"parameter": "attr.tier"}


def test_bounds() -> None:
    longest = "x" * 256
    assert parse_context(f"placement=home&attr.a={longest}").attributes["attr.a"] == longest
    assert refused(f"placement=home&attr.a={longest}x").members == {"parameter": "attr.a"}
    most = "&".join(f"attr.{number}=1" for number in range(32))
    assert len(parse_context(f"placement=home&{most}").attributes) == 32
    assert "at most 32" in refused(f"placement=home&{most}&platform=ios").detail
    many = "&".join(f"x{number}=1" for number in range(64))
    assert "64 parameters" in refused(f"placement=home&{many}").detail


def test_text_that_is_no_utf8() -> None:
    assert "UTF-8" in refused("placement=home&attr.a=%ff").detail


def test_equal_queries_share_a_context_and_mistakes_are_not_remembered() -> None:
    parse = context_parser()
    assert parse("placement=home") is parse("placement=home")
    assert parse("placement=home") is not parse("placement=cart")
    for _ in range(2):
        with pytest.raises(ProblemError):
            parse("placement=")


@given(st.text())
def test_no_query_is_a_failure_of_ours(query: str) -> None:
    try:
        context = parse_context(query)
    except ProblemError as error:
        assert error.code is errors.BAD_PARAMETER  # noqa: PT017  (a context is fine as well)
    else:
        assert context.placement


@pytest.mark.parametrize("parameter", ["attr.session=1", "mysession=x", "q=preview=1", "attr.preview="])
def test_a_name_that_ends_like_an_own_parameter_is_none(parameter: str) -> None:
    query = context_parser()(f"placement=home&{parameter}&session=s1")
    assert (query.session, query.preview) == ("s1", "")
    assert context_parser()(f"placement=home&{parameter}").session == ""
