"""Ids, logs and the count of answers: whatever a request comes to, its caller, the log and the metrics agree about it."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from fastapi.testclient import TestClient
from pydantic import SecretStr

from learnedrouter.config import Settings
from learnedrouter.service.app import create_app
from learnedrouter.service.logs import REDACTED, Redaction, configure_logging
from tests.service.running import fail, wait_until_ready

KEY = "the-callers-own-key"
AUTHORISED = {"authorization": f"Bearer {KEY}"}
JSON = {"content-type": "application/json"}


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[TestClient]:
    guarded = settings.model_copy(update={"client_keys": (SecretStr(KEY),), "max_body_bytes": 1_000})
    with TestClient(create_app(guarded, fail), raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "endpoint"),
    [
        ("POST", "/route", AUTHORISED, '{"prompt": "hi"}', 200, "/route"),
        ("POST", "/route", AUTHORISED, '{"prompt": "hi", "dry_run": true}', 200, "/route"),
        ("POST", "/route", AUTHORISED, "{", 400, "/route"),
        ("POST", "/route", {}, '{"prompt": "hi"}', 401, "/route"),
        ("POST", "/v1/messages", {"x-api-key": "wrong"}, "{}", 401, "/v1/messages"),
        ("POST", "/v1/chat/completions", AUTHORISED, "[]", 400, "/v1/chat/completions"),
        ("POST", "/v1/chat/completions", AUTHORISED, " " * 1_001, 413, "/v1/chat/completions"),
        ("POST", "/v1/chat/completions", {**AUTHORISED, "content-type": "text/plain"}, "hi", 415, "/v1/chat/completions"),
        ("POST", "/v1/chat/completions", AUTHORISED, '{"model": "x", "messages": [{"role": "user", "content": "a"}]}', 404, None),
        ("GET", "/route/rt_unknown", AUTHORISED, "", 404, "/route/{identity}"),
        ("GET", "/made/up/by/the/caller", {}, "", 404, "other"),
        ("GET", "/livez", {}, "", 200, "/livez"),
    ],
)
def test_every_answer_has_its_ids_and_is_counted(
    client: TestClient, method: str, path: str, headers: dict[str, str], content: str, status: int, endpoint: str | None
) -> None:
    """Errors before any decision included; paths that callers make up are counted as one."""

    def counted() -> float:
        wanted = f'learnedrouter_http_responses_total{{path="{endpoint or path}",status="{status}"}} '
        lines = client.get("/metrics").text.splitlines()
        return float(next((line.removeprefix(wanted) for line in lines if line.startswith(wanted)), 0))

    before = counted()
    answer = client.request(method, path, headers={**JSON, **headers, "x-request-id": "order-66"}, content=content)

    assert answer.status_code == status, answer.text
    assert answer.headers["x-learnedrouter-id"].startswith("rt_")
    assert answer.headers["x-request-id"] == "order-66"
    assert counted() == before + 1


@pytest.mark.parametrize(
    ("sent", "returned"),
    [("abc-123_4.5:6/7=8@9+", "abc-123_4.5:6/7=8@9+"), ('a"b\\c d\x7f', "abcd"), ("x" * 300, "x" * 128), ("\xe9 \xff", None), ("", None)],
)
def test_the_callers_request_id_is_cleaned_and_returned(client: TestClient, sent: str, returned: str | None) -> None:
    """It is cut, loses what could break a header or a log line, and where nothing is left of it ours stands in."""
    answer = client.get("/livez", headers={"x-request-id": sent.encode("latin-1")})

    assert answer.headers["x-request-id"] == (returned or answer.headers["x-learnedrouter-id"])


def test_the_decision_has_the_id_of_its_request(client: TestClient) -> None:
    """One id from the first byte on: the header's, the body's, and the one that is explained later."""
    answer = client.post("/route", json={"prompt": "hello"}, headers=AUTHORISED)
    explained = client.get(f"/route/{answer.json()['id']}", headers=AUTHORISED)

    assert answer.headers["x-learnedrouter-id"] == answer.json()["id"] == explained.json()["id"] == explained.headers["x-learnedrouter-id"]


def test_lines_of_ours_and_of_libraries_are_alike(settings: Settings, capsys: pytest.CaptureFixture[str], logging_restored: None) -> None:
    """One JSON object a line, with the request's ids; a library's error with its traceback, and no key in any of them."""
    secret, asked = "upstream-key-7", "the launch code is swordfish"
    keys = {"openai": SecretStr(secret)}
    offline = settings.model_copy(update={"provider_keys": keys, "client_keys": (SecretStr(KEY),), "offline": True})
    with TestClient(create_app(offline, fail)) as client:
        configure_logging(offline)
        wait_until_ready(client)
        answer = client.post("/route", json={"prompt": asked}, headers={**AUTHORISED, "x-request-id": "order-66"})
        client.post("/v1/messages", json={"x": asked}, headers={"x-api-key": "sk-somebody-elses"})
        try:
            raise RuntimeError(f"{secret}, {KEY}, Authorization: Bearer abcdefgh, sk-ant-api03-0123456789, postgresql://me:pw7@db/x")
        except RuntimeError:
            logging.getLogger("some.library").exception("it broke")
    captured = capsys.readouterr().err
    lines = [json.loads(line) for line in captured.splitlines()]
    routed = next(line for line in lines if line["event"] == "routed")
    refused = next(line for line in lines if line["event"] == "refused")
    broken = next(line for line in lines if line.get("logger") == "some.library")

    assert (routed["id"], routed["request_id"]) == (answer.json()["id"], "order-66")
    assert (refused["status"], refused["path"], refused["level"]) == (401, "/v1/messages", "info")
    assert refused["id"].startswith("rt_")
    assert broken["exception"].splitlines()[-1].count(REDACTED) == 5
    for hidden in (secret, KEY, "abcdefgh", "sk-ant", "pw7", "sk-somebody", "swordfish"):
        assert hidden not in captured


def test_keys_with_odd_characters_are_redacted_too() -> None:
    """JSON writes quotes and backslashes otherwise than they are; a longer key is not left half by a shorter one."""
    redact = Redaction(['a"b\\c', "key", "key-longer", ""])

    line = redact(None, "info", json.dumps({"x": 'a"b\\c', "y": "key-longer", "z": "fine"}))

    assert json.loads(line) == {"x": REDACTED, "y": REDACTED, "z": "fine"}


@pytest.mark.parametrize("switched_on", [True, False])
def test_prompts_are_logged_only_where_that_is_switched_on(
    settings: Settings, capsys: pytest.CaptureFixture[str], logging_restored: None, switched_on: bool
) -> None:
    """In every endpoint that routes."""
    chosen = settings.model_copy(update={"logging": settings.logging.model_copy(update={"prompts": switched_on})})
    with TestClient(create_app(chosen, fail)) as client:
        configure_logging(chosen)
        wait_until_ready(client)
        client.post("/route", json={"prompt": "native swordfish"})
        client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "compatible swordfish"}]})
    logged = capsys.readouterr().err

    assert ("native swordfish" in logged) is ("compatible swordfish" in logged) is switched_on


def test_a_terminal_gets_colours_and_a_file_gets_json(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logging_restored: None
) -> None:
    """Unless the configuration says which."""
    for format_, terminal, is_json in (("auto", True, False), ("auto", False, True), ("json", True, True), ("console", False, False)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        configure_logging(settings.model_copy(update={"logging": settings.logging.model_copy(update={"format": format_})}))
        structlog.get_logger("learnedrouter").info("hello", number=1)
        assert capsys.readouterr().err.startswith("{") is is_json
