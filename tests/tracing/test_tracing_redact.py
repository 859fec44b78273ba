"""Secrets: which are found, in which spellings, and that nothing else is touched."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.tracing import Redactor

# Put together here, so that scanners of this repository find no token.
TOKENS = {
    "sk": "sk-" + "proj-" + "Ab1" * 12,
    "github": "gh" + "p_" + "Ab1" * 12,
    "github fine": "github" + "_pat_" + "Ab1_" * 12,
    "slack": "xo" + "xb-" + "123-456-abcDEF",
    "aws": "AK" + "IA" + "ABCDEFGH12345678",
    "google": "AI" + "za" + "b" * 35,
    "jwt": "ey" + "JhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxIn0" + ".c2lnbmF0dXJl",
}
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nabc\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("before", ["", "key=", "\n", "é", '"', "(", "/", ":"])
def test_tokens_are_found_wherever_they_stand(name: str, before: str) -> None:
    redactor, shape = Redactor(), name.split()[0]
    text = f"start {before}{TOKENS[name]} end"
    clean = redactor.redact(text)
    assert TOKENS[name] not in clean
    assert clean.startswith(f"start {before}[secret:{shape}:")
    assert clean.endswith("] end")
    for level in range(3):  # as it is, in JSON, in JSON inside JSON
        assert redactor.finds(text), level
        assert TOKENS[name] not in redactor.redact(text)
        text = json.dumps({"text": text})


@pytest.mark.parametrize(
    "text",
    [
        "task-0123456789012345678901234567",
        "disk-usage-of-the-whole-machine-now",
        "https://host/a:b@c",
        "sk-short",
        "http://host:8080/x",
        "PRIVATE KEY",
        "keyJabcdefgh.abcdefgh.abc",
        "ENDAKIAABCDEFGH12345678",
        "a://b",
        "eyJ",
        "",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert Redactor().redact(text) == text
    assert not Redactor().finds(text)


def test_equal_secrets_get_equal_placeholders() -> None:
    redactor, token = Redactor(), TOKENS["sk"]
    first, second = redactor.redact(f"{token} {token}").split()
    assert first == second == redactor.redact(token)
    assert redactor.redact(TOKENS["sk"] + "x") != first


def test_private_keys_go_whole_and_cut_off_ones_too() -> None:
    redactor = Redactor()
    for text in (PEM, PEM.replace("\n", "\\n"), PEM.replace("\n", "\r\n")):
        assert redactor.redact(f"a {text} b").startswith("a [secret:pem:")
        assert redactor.redact(f"a {text} b").endswith("] b")
    assert "MIIEow" not in redactor.redact(PEM[:50])
    body = json.dumps({"key": PEM[:50], "next": 1})
    assert redactor.finds(body)
    assert "MIIEow" not in json.dumps(redactor.redact_json(json.loads(body)))


def test_passwords_in_addresses() -> None:
    redactor = Redactor()
    clean = redactor.redact("git clone https://me:hunter2@host.example/x.git postgres://:pw@db/1")
    assert "hunter2" not in clean
    assert ":pw@" not in clean
    assert "@host.example/x.git" in clean
    assert redactor.redact(clean) == clean


@pytest.mark.parametrize(
    "secret", ["plain-value-1", 'quo"te\\back', "new\nline\ttab", "ünï/cödé+ /", "\u2028\ud83d\ude00xyz"]
)
def test_a_secret_is_found_in_every_spelling(secret: str) -> None:
    redactor = Redactor({"SOME_TOKEN": secret})
    spellings = [
        secret,
        quote(secret, safe="", errors="replace"),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
    ]
    spellings += [json.dumps({"inner": json.dumps({"deep": secret})}), json.dumps(json.dumps(json.dumps([secret])))]
    for text in spellings:
        assert redactor.finds(text)
        clean = redactor.redact(text)
        assert "[secret:SOME_TOKEN]" in clean
        assert not redactor.finds(clean)


def test_the_longer_secret_goes_first() -> None:
    redactor = Redactor({"A_KEY": "abcdefgh", "B_KEY": "abcdefghijkl"})
    assert redactor.redact("abcdefghijkl abcdefgh") == "[secret:B_KEY] [secret:A_KEY]"


def test_a_placeholder_is_no_hiding_place() -> None:
    token = TOKENS["sk"]
    assert token not in Redactor().redact(f"[secret:{token}]")


def test_which_variables_are_secret(tmp_path: Path) -> None:
    base = base64.b64encode(bytes(range(200, 230))).decode()
    secret = {
        "OPENAI_API_KEY": "abcdefgh1",
        "GITHUB_TOKEN": "abcdefgh2",
        "PGPASSWORD": "abcdefgh3",
        "AWS_SECRET_ACCESS_KEY": base,
        "DB_PASSWORD_PROD": "abcdefgh4",
        "client_secret": "abcdefgh5",
        "SIGNING_KEY_2": "abcdefgh6",
        "HMAC_KEYS": "abcdefgh7",
    }
    plain = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "SHORT_TOKEN": "abc",
        "MAX_TOKENS": "100000000",
        "KEYBOARD": "us-intl-layout",
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "not-yet.json"),
        "SSH_KEY": "~/.ssh/id_ed25519",
        "EDITOR": "a-long-editor",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "TOKEN_BUDGET_SECRET": "12,345,678.00",
    }
    redactor = Redactor.from_environment({**secret, **plain})
    for name, value in secret.items():
        assert redactor.redact(value) == f"[secret:{name}]"
    for value in plain.values():
        assert redactor.redact(value) == value


def test_a_key_that_begins_like_a_path_is_a_key() -> None:
    value = "/9j4AAQSkZJRgABAQ/EAYABgAAD"
    assert Redactor.from_environment({"STORAGE_KEY": value}).redact(value) == "[secret:STORAGE_KEY]"


pieces = st.sampled_from(
    [*TOKENS.values(), PEM, "://a:b@", "[secret:sk:", "12345678]", "[secret:K]", "secret", "\\n", '"', " ", "k"]
)
texts = st.lists(pieces | st.text(max_size=4), max_size=8).map("".join)


@settings(deadline=None)
@given(texts, st.dictionaries(st.sampled_from(["K", "A KEY]", "[secret:"]), texts.filter(lambda text: len(text) > 7)))
@example("x", {"K": "[secret:K]"})
@example("[secret:K]", {"K": "secret:K", "A KEY]": "[secret:"})
def test_redacting_twice_changes_nothing_more(text: str, secrets: dict[str, str]) -> None:
    redactor = Redactor(secrets)
    clean = redactor.redact(text)
    assert redactor.redact(clean) == clean


@settings(deadline=None)
@given(texts)
def test_what_is_found_in_text_is_found_in_its_json(text: str) -> None:
    redactor = Redactor({"K": 'a"b\\c\nd'})
    text += 'a"b\\c\nd'
    for ascii_only in (True, False):
        body = json.dumps({"t": text}, ensure_ascii=ascii_only)
        assert redactor.finds(body)
    assert redactor.redact_json({text: [text, 1, None]}) == {redactor.redact(text): [redactor.redact(text), 1, None]}
