"""The page `/schema`: the OpenAPI schema as plain HTML that loads nothing from anywhere, so that it works offline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { margin: 2.5rem 0 .5rem; border-bottom: 1px solid #ccc; }
h3 { margin: 1.5rem 0 .2rem; font: 600 15px/1.5 ui-monospace, monospace; }
p { margin: .2rem 0; }
table { border-collapse: collapse; margin: .4rem 0; }
th, td { border: 1px solid #ddd; padding: .15rem .6rem; text-align: left; vertical-align: top; }
"""

Schema = Mapping[str, Any]
Row = tuple[str, ...]


class SchemaPage(OpenAPIRenderPlugin):
    """Renders the page at the root of the schema's path."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        return page(openapi_schema, self.get_openapi_json_route(request)).encode()


def page(schema: Schema, json_path: str) -> str:
    """Return an OpenAPI schema as HTML. json_path: where it is served as JSON."""
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    by_tag: dict[str, list[str]] = {}
    for path, methods in sorted(schema["paths"].items()):
        for method, operation in sorted(methods.items()):
            by_tag.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    parts = [f"<h2>{escape(tag)}</h2>{''.join(operations)}" for tag, operations in by_tag.items()]
    bodies = (_body(name, each) for name, each in sorted(schema["components"]["schemas"].items()))
    return (
        '<!doctype html><html lang="en">'
        f'<head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>'
        f'<body><h1>{title}</h1><p>For programs: <a href="{escape(json_path)}">{escape(json_path)}</a></p>'
        f"{''.join(parts)}<h2>bodies and answers</h2>{''.join(bodies)}</body></html>"
    )


def _operation(method: str, path: str, operation: Schema) -> str:
    rows: list[Row] = [
        (each["name"], each["in"], _type(each["schema"]), _default(each), each.get("description", ""))
        for each in operation.get("parameters", ())
    ]
    body = operation.get("requestBody")
    if body is not None:
        rows.append(("", "body", _type(body["content"]["application/json"]["schema"]), "", ""))
    text = escape(operation.get("description", ""))
    return f"<h3>{method.upper()} {escape(path)}</h3><p>{text}</p>{_table(rows)}"


def _body(name: str, schema: Schema) -> str:
    required = schema["required"]
    rows: list[Row] = [
        (key, _type(each), _default({"required": key in required, "schema": each}))
        for key, each in schema["properties"].items()
    ]
    return f'<h3 id="{escape(name)}">{escape(name)}</h3>{_table(rows)}'


def _default(value: Schema) -> str:
    if value["required"]:
        return "required"
    schema = value["schema"]
    return f"default {json.dumps(schema['default'])}" if "default" in schema else "optional"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    if "oneOf" in schema:
        return " | ".join(map(_type, schema["oneOf"]))
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "anything"))


def _table(rows: Iterable[Row]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    lines = "".join(f"<tr>{each}</tr>" for each in cells)
    return f"<table>{lines}</table>" if lines else ""
