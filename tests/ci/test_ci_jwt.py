"""What is read from a token that nobody has verified, and which of its claims may be kept or shown."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from id_tokens import encoded, made
from token_endpoint import NOW

from stepcreds.ci.claims import claims_for_ledger, claims_for_messages
from stepcreds.ci.jwt import LIMIT, TokenShapeError, audiences, read, seconds
from stepcreds.ci.wording import quoted, scalar, without_tokens
from stepcreds.printable import one_line
from stepcreds.secret import Secret

HEADER, CLAIMS, SIGNATURE = made().split(".")


def test_header_and_claims() -> None:
    token = read(Secret(made(sub="zoë")))
    assert token.header == {"alg": "RS256", "typ": "JWT"}
    assert token.claims["sub"] == "zoë"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "it is empty"),
        ("x" * (LIMIT + 1), "it has more than 65536 characters"),
        ("garbage", "it has 1 part where a dot divides 3"),
        (f"{HEADER}.{CLAIMS}", "it has 2 parts where a dot divides 3"),
        ("a.b.c.d.e", "it has 5 parts where a dot divides 3"),
        (f".{CLAIMS}.{SIGNATURE}", "its header is not base64url"),
        (f"{HEADER}.{CLAIMS}.", "its signature is not base64url"),
        (f"{HEADER}.{CLAIMS}\n.{SIGNATURE}", "its payload is not base64url"),
        (f"{HEADER}.{CLAIMS}=.{SIGNATURE}", "its payload is not base64url"),
        (f"{HEADER}.abcde.{SIGNATURE}", "its payload is not base64url"),
        (f"{HEADER}.{encoded([1])}.{SIGNATURE}", "its payload is not a JSON object"),
        (f"{encoded('alg')}.{CLAIMS}.{SIGNATURE}", "its header is not a JSON object"),
        (
            f"{HEADER}.{base64.urlsafe_b64encode(b'[' * 30_000).decode()}.{SIGNATURE}",
            "its payload is not a JSON object",
        ),
        (f"{HEADER}._w.{SIGNATURE}", "its payload is not a JSON object"),
    ],
)
def test_what_is_no_token(text: str, rule: str) -> None:
    with pytest.raises(TokenShapeError) as error:
        read(Secret(text))
    assert str(error.value) == rule
    assert error.value.__context__ is None


@given(st.text(max_size=200) | st.lists(st.text("eyJAZaz09-_=.", max_size=40), max_size=5).map(".".join))
def test_any_text_is_read_or_refused_without_quoting_it(text: str) -> None:
    try:
        token = read(Secret(text))
    except TokenShapeError as error:
        assert error.__context__ is None
        assert not text or len(text) < 4 or text not in str(error)
    else:
        assert isinstance(token.claims, dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "repository", "kubernetes.io", "user_email"])


@given(st.dictionaries(NAMES, JSON))
def test_any_claims_can_be_kept_and_shown(claims: dict[str, Any]) -> None:
    kept = claims_for_ledger(claims)
    assert "user_email" not in kept
    # The canonical form of the ledger: ASCII keys, no fractions, bounded integers, valid Unicode.
    text = json.dumps(kept, ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode("utf-8")) == kept
    assert not any(isinstance(value, float) for value in kept.values())
    for name in ("iss", "sub", "jti", "repository"):
        if name in kept:
            assert kept[name] == claims[name]
    shown = claims_for_messages(claims)
    assert "user_email" not in shown
    assert "jti" not in shown
    assert all(value == one_line(value) for value in shown.values())


def test_the_subset_for_the_ledger_is_verbatim() -> None:
    claims: dict[str, object] = {
        "iss": "https://token.actions.githubusercontent.com",
        "sub": "repo:acme/shop:environment:production",
        "aud": ["a", "b"],
        "jti": "5",
        "iat": NOW,
        "exp": int(NOW) + 300,
        "nbf": True,
        "repository_id": "71",
        "environment": "production",
        "user_email": "zoe@example.com",
        "unheard_of": "x",
        "oidc.circleci.com/ssh-rerun": False,
        "google": {"compute_engine": {"instance_id": 2**60}},
        "kubernetes.io": {"namespace": "ci", "pod": {"name": "p"}},
        "ref": "x" * 3000,
        "sha": "\ud800",
    }
    assert claims_for_ledger(claims) == {
        "iss": "https://token.actions.githubusercontent.com",
        "sub": "repo:acme/shop:environment:production",
        "aud": ["a", "b"],
        "jti": "5",
        "iat": 1_790_000_000,
        "exp": 1_790_000_300,
        "repository_id": "71",
        "environment": "production",
        "oidc.circleci.com/ssh-rerun": False,
        "kubernetes.io": {"namespace": "ci", "pod": {"name": "p"}},
    }


def test_the_subset_for_messages_is_printable() -> None:
    claims: dict[str, object] = {
        "sub": "a\n::add-mask::b\x1b[2J",
        "aud": ["a", "b"],
        "iat": int(NOW),
        "exp": "soon",
        "jti": "5",
        "user_email": "zoe@example.com",
        "ref_protected": True,
    }
    assert claims_for_messages(claims) == {
        "sub": "a ::add-mask::b\\x1b[2J",
        "aud": '["a", "b"]',
        "iat": "2026-09-21T14:13:20.000Z",
        "exp": "soon",
        "ref_protected": "true",
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", ("a",)), (["a", "b"], ("a", "b")), ([], ()), (["a", 1], ()), (None, ()), ({"a": 1}, ())],
)
def test_audiences(value: object, expected: tuple[str, ...]) -> None:
    assert audiences({"aud": value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (NOW, NOW),
        (True, None),
        ("5", None),
        (-1, None),
        (float("inf"), None),
        (float("nan"), None),
        (10**12, None),
    ],
)
def test_a_time_is_a_number_of_a_year_that_can_be_written(value: object, expected: float | None) -> None:
    assert seconds({"exp": value}, "exp") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://vault.example.com:8200", "https://vault.example.com:8200"),
        ("api://AzureADTokenExchange", "api://AzureADTokenExchange"),
        ("ari:cloud:bitbucket::workspace/1", '"ari:cloud:bitbucket::workspace/1"'),
        ("no", '"no"'),
        ("NULL", '"NULL"'),
        ("12:30", '"12:30"'),
        ("a #b", '"a #b"'),
        ("ends:", '"ends:"'),
        ("", '""'),
    ],
)
def test_a_yaml_scalar_is_quoted_where_it_has_to_be(value: str, expected: str) -> None:
    assert scalar(value) == expected


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_a_yaml_scalar_says_what_it_should(value: str) -> None:
    import yaml

    assert yaml.safe_load(f"aud: {scalar(value)}") == {"aud": value}


def test_quotes_are_closed() -> None:
    assert quoted('a"b\n c') == '"a\\"b c"'


@pytest.mark.parametrize("token", [made(), made()[:-3], made().rsplit(".", 1)[0], "eyJhbGciOi"])
def test_what_looks_like_a_token_is_taken_out(token: str) -> None:
    assert without_tokens(f"sent {token}; done") == "sent ***; done"
