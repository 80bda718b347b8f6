"""A small reader of JSON schemas, as far as `assay.core.schema` writes them, after the words of the
JSON Schema specification."""

from collections.abc import Iterator, Mapping
from typing import Any

KINDS = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
    "null": type(None),
    "array": list,
    "object": dict,
}


def problems(value: Any, schema: Mapping[str, Any], at: str = "$") -> Iterator[str]:
    """Where a value of JSON is not what the schema says."""
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if "anyOf" in schema and all(list(problems(value, part, at)) for part in schema["anyOf"]):
        yield f"{at}: {value!r} fits no alternative"
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(
            isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))
            for kind in kinds
        ):
            yield f"{at}: {value!r} is no {' or '.join(kinds)}"
            return
    if isinstance(value, dict):
        yield from (f"{at}: no {name}" for name in schema.get("required", ()) if name not in value)
        for name, part in value.items():
            inside = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            if inside is False:
                yield f"{at}: {name} is not told of"
            else:
                yield from problems(part, inside, f"{at}.{name}")
    if isinstance(value, list):
        first = schema.get("prefixItems", ())
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{at}: {len(value)} entries"
        for i, part in enumerate(value):
            yield from problems(
                part, first[i] if i < len(first) else schema.get("items", {}), f"{at}[{i}]"
            )
