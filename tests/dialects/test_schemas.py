"""Schemas of answers, as each dialect's models take them."""

import pytest

from learnedrouter.dialects.crossing.schemas import close, is_strict


def shut(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


TEXT = {"type": "string"}
HALF = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (TEXT, True),
        (shut(a=TEXT), True),
        (shut(a={"type": "array", "items": shut(b=TEXT)}), True),
        (HALF, False),
        ({**shut(a=TEXT), "additionalProperties": True}, False),
        ({"type": "object"}, False),
        (shut(a={"type": "array", "items": HALF}), False),
        (shut(a={"anyOf": [TEXT, HALF]}), False),
        ({**shut(a={"$ref": "#/$defs/b"}), "$defs": {"b": HALF}}, False),
        ({"allOf": [shut(a=TEXT)]}, False),
    ],
)
def test_strict_is_a_schema_whose_every_object_is_closed_and_requires_all(schema, strict):
    """OpenAI refuses any other in strict mode, so that it is asked for only where it can be had."""
    assert is_strict(schema) is strict


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        (shut(a=TEXT), shut(a=TEXT)),
        ({"properties": {"a": TEXT}}, {"properties": {"a": TEXT}, "additionalProperties": False}),
        ({"properties": {"a": TEXT}, "additionalProperties": TEXT}, {"properties": {"a": TEXT}, "additionalProperties": TEXT}),
        ({"anyOf": [{"properties": {}}, True]}, {"anyOf": [{"properties": {}, "additionalProperties": False}, True]}),
        ({"allOf": [{"properties": {}}]}, {"allOf": [{"properties": {}}]}),
        ({"$defs": {"b": {"properties": {}}}}, {"$defs": {"b": {"properties": {}, "additionalProperties": False}}}),
    ],
)
def test_an_open_object_is_closed_where_it_did_not_say(schema, closed):
    """Anthropic takes closed objects only; parts of an ``allOf`` would exclude each other."""
    assert close(schema) == closed
