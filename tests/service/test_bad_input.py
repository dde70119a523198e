import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t"}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "system", "content": "only this"}]}, "messages"),
        ({"prompt": "a", "tier": "huge"}, "tier"),
        ({"prompt": "a", "min_tier": "huge"}, "min_tier"),
        ({"prompt": "a", "min_tier": "complex", "max_tier": "bulk"}, "min_tier"),
        ({"prompt": "a", "tier": "complex", "max_tier": "bulk"}, "tier"),
        ({"prompt": "a", "threshold": 1.5}, "threshold"),
        ({"prompt": "a", "threshold": -1}, "threshold"),
        ({"prompt": "a", "threshold": "high"}, "threshold"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "a", "max_tokens": 1.5}, "max_tokens"),
        ({"prompt": "a", "max_cost_usd": 0}, "max_cost_usd"),
        ({"prompt": "a", "dry_run": "yes"}, "dry_run"),
        ({"prompt": "a", "tools": {}}, "tools"),
        ({"prompt": "a", "promt": "b"}, "promt"),
    ],
)
def test_a_wrong_field_is_named(client: TestClient, body: dict[str, Any], field: str) -> None:
    """The answer is a 400 in the native shape that names the field."""
    response = client.post("/route", json=body)

    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["type"] == "invalid_request"
    assert error["field"].startswith(field)
    assert client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"[]",
        b'"text"',
        b'{"prompt": "a",}',
        b"[" * 1_000 + b"]" * 1_000,
        b'{"prompt": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "caf\xe9"}',
        b'{"prompt": "a", "threshold": NaN}',
        b'{"prompt": "a", "temperature": 1e999}',
        b"\x00\x01\x02",
    ],
)
def test_what_is_no_json_object_is_refused(client: TestClient, content: bytes) -> None:
    """Bad JSON, deep nesting, lone surrogates and bad UTF-8 each get a 400, and the service goes on."""
    response = client.post("/route", content=content, headers=JSON)

    assert response.status_code == 400, response.text
    assert response.json()["error"]["message"]
    assert client.post("/route", json={"prompt": "still there?"}).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b'{"prompt": "nul \\u0000 byte"}',
        '{"prompt": "\U0001f600 العربية 中文 \\ud83d\\ude00"}'.encode(),
        json.dumps({"prompt": "{" * 5_000}).encode(),
        json.dumps({"prompt": "A" * 200_000}).encode(),
        json.dumps({"prompt": "\u202e\u200b\ufeff"}).encode(),
    ],
)
def test_odd_text_is_routed(client: TestClient, content: bytes) -> None:
    """NUL, emoji, brackets, base64-like runs and invisible signs are text like any other."""
    assert client.post("/route", content=content, headers=JSON).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type_is_refused(client: TestClient, kind: str) -> None:
    """What does not say that it is JSON is not read as JSON."""
    response = client.post("/route", content=b'{"prompt": "a"}', headers={"content-type": kind})

    assert response.status_code == 415
    assert "application/json" in response.json()["error"]["message"]


def test_a_body_over_the_limit_is_refused(client: TestClient) -> None:
    """12 MB are more than the default limit; the error says which setting to raise."""
    response = client.post("/route", content=b'{"prompt": "' + b"a" * 12_000_000 + b'"}', headers=JSON)

    assert response.status_code == 413
    assert "max_body_bytes" in response.json()["error"]["message"]


def test_the_articles_average_payload_is_routed(client: TestClient) -> None:
    """75,000 tokens, as prose, are a right answer."""
    answer = client.post("/route", json={"prompt": "The quarterly report shows steady growth. " * 9_500 + "Translate the last line."})

    assert answer.status_code == 200
    assert answer.json()["decision"]["truncated"] is True
    assert answer.json()["usage"]["input_tokens"] > 70_000


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/route", 405), ("POST", "/nowhere", 404)])
def test_wrong_paths_and_methods(client: TestClient, method: str, path: str, status: int) -> None:
    """They get what HTTP has for them."""
    assert client.request(method, path).status_code == status
