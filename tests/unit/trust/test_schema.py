"""The JSON Schema: legal, closed, and written for people who complete from it."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from sallyport.trust.schema import SCHEMA


def objects(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema that lists properties, with where it stands."""
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict) and "type" in schema:
            yield path, schema
        for key, value in schema.items():
            yield from objects(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from objects(value, f"{path}/{index}")


def test_the_schema_is_one() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)


def test_no_mapping_takes_keys_that_are_not_declared() -> None:
    found = list(objects(SCHEMA))
    assert len(found) > 5
    assert [path for path, schema in found if schema.get("additionalProperties") is not False] == []


def test_editors_have_a_title_and_a_description_for_every_field() -> None:
    for name in ("oidc", "x509", "profile"):
        for field, schema in SCHEMA["$defs"][name]["properties"].items():
            assert schema.get("title"), (name, field)
            assert schema.get("description"), (name, field)
