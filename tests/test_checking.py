"""Answers held against the JSON schema that their caller demanded."""

import json
from typing import Any

import pytest

from learnedrouter.chat import Completion, Usage
from learnedrouter.checking import shortcoming
from learnedrouter.dialects.openai_chat import read_request


def problem(answer: str, schema: dict[str, Any]) -> str | None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    request = read_request({"messages": [{"role": "user", "content": "2 + 2?"}], "response_format": form})
    return shortcoming(request, Completion(answer, (), "stop", Usage(1, output_tokens=1), {}))


@pytest.mark.parametrize(
    ("answer", "schema"),
    [
        ('{"n": "seven"}', {"type": "object", "properties": {"n": {"type": "integer"}}}),
        ("seven", {"type": "integer"}),
        ('"12a"', {"type": "string", "pattern": r"^\d+$"}),
        ('{"a": 1}', {"$defs": {"n": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}),
        ("[" * 100_000, {"type": "array"}),
    ],
)
def test_an_answer_that_does_not_fit_is_told(answer: str, schema: dict[str, Any]) -> None:
    """Whether it is no JSON at all, or other JSON than was demanded."""
    assert problem(answer, schema) == "invalid_structure"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "no such type"},
        {"$ref": "https://example.invalid/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/missing"},
        {"$schema": "urn:unknown"},
        {"pattern": "("},
        {"pattern": "(?=looks)ahead"},
        {"enum": ["\ud800"]},
    ],
)
def test_a_schema_that_cannot_be_judged_by_fits_everything(schema: dict[str, Any]) -> None:
    """A model's answer is not at fault for it; and nothing is fetched."""
    assert problem('"text"', schema) is None


@pytest.mark.parametrize("keyword", ["pattern", "patternProperties"])
def test_a_pattern_that_doubles_with_every_sign_is_matched_all_the_same(keyword: str) -> None:
    """By going back and trying again, this would take longer than the universe has."""
    endless = r"^(a+)+$"
    text = "a" * 200 + "!"
    answer, schema = (text, {"pattern": endless}) if keyword == "pattern" else ({text: 1}, {"patternProperties": {endless: {}}})

    assert problem(json.dumps(answer), schema) == ("invalid_structure" if keyword == "pattern" else None)
