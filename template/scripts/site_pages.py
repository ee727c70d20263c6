"""Generate the pages of the site that are not files in the documentation folder.

    python scripts/site_pages.py COMMAND FOLDER

COMMAND is the service's command: its `openapi` prints the document from which the API
reference is generated. README.md, CONTRIBUTING.md and CHANGELOG.md become pages too. The
pages are generated for each build and not committed.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

BASE = "http://127.0.0.1:8000"

LIMITS = {
    "minimum": "{} or more",
    "maximum": "up to {}",
    "minLength": "{} characters or more",
    "maxLength": "up to {} characters",
    "minItems": "{} or more",
    "maxItems": "up to {}",
    "default": "by default `{}`",
}

COPIED = {
    "README.md": "start.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
"""Files of the repository, and the pages they become."""

SAMPLES = {"string": "…", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def cell(text: str) -> str:
    """Escape a text for a table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Format a table, if it has rows."""
    if rows:
        yield f"| {' | '.join(head)} |"
        yield f"|{' --- |' * len(head)}"
        yield from (f"| {' | '.join(map(cell, row))} |" for row in rows)
        yield ""


def reference_name(schema: Json) -> str:
    """Return the name of the schema that a reference points to."""
    return str(schema["$ref"]).rpartition("/")[2]


def kind(schema: Json) -> str:
    """Describe the type of a schema, with links."""
    if "$ref" in schema:
        name = reference_name(schema)
        return f"[{name}](#schema-{name})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    choices = alternatives(schema)
    if choices:
        return " or ".join(kind(choice) for choice in choices)
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    name = str(schema.get("type", "anything"))
    return f"{name} ({schema['format']})" if "format" in schema else name


def limits(schema: Json) -> str:
    """Describe which values a schema accepts."""
    words = [kind(schema)]
    for choice in [schema, *schema.get("anyOf", [])]:
        for name, phrase in LIMITS.items():
            limit = choice.get(name)
            if isinstance(limit, (bool, int, float)) or (limit and name == "default"):
                words.append(phrase.format(json.dumps(limit)))
    return ", ".join(words)


def alternatives(schema: Json) -> list[Json]:
    """List the alternatives of a schema, if it has any."""
    words = ("anyOf", "oneOf", "allOf")
    return [choice for word in words for choice in schema.get(word, [])]


def given(schema: Json) -> list[object]:
    """List the values that a schema names: examples first."""
    named = [*schema.get("examples", []), *schema.get("enum", [])]
    names = ("example", "default", "const")
    return named + [schema[name] for name in names if name in schema]


def sample(schema: Json, schemas: Json) -> object:
    """Generate a valid value for a schema."""
    if "$ref" in schema:
        return sample(schemas[reference_name(schema)], schemas)
    values = given(schema)
    if values:
        return values[0]
    choices = alternatives(schema)
    if choices:
        return sample(choices[0], schemas)
    if "items" in schema:
        return [sample(schema["items"], schemas)]
    fields: Json = schema.get("properties", {})
    needed: list[str] = schema.get("required", list(fields))
    if fields:
        return {name: sample(fields[name], schemas) for name in needed}
    return SAMPLES.get(str(schema.get("type")), "…")


def call(method: str, path: str, operation: Json, document: Json) -> Iterator[str]:
    """Format a curl command that calls an operation."""
    lines = [f"curl -X {method.upper()} '{BASE}{path}'"]
    schemes = document["components"].get("securitySchemes", {})
    used = [name for choice in operation.get("security", []) for name in choice]
    if used:
        scheme = schemes[used[0]]
        header = scheme["name"] if scheme["type"] == "apiKey" else "Authorization"
        value = "KEY" if scheme["type"] == "apiKey" else "Bearer TOKEN"
        lines.append(f"-H '{header}: {value}'")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        body = sample(content["schema"], document["components"]["schemas"])
        if media == "application/json":
            text = json.dumps(body, ensure_ascii=False)
            lines += [f"-H 'Content-Type: {media}'", f"-d {shlex.quote(text)}"]
        elif isinstance(body, dict):
            lines += [f"-d '{name}={value}'" for name, value in body.items()]
    yield from ("```sh", " \\\n  ".join(lines), "```", "")


def described(method: str, path: str, operation: Json, document: Json) -> Iterator[str]:
    """Describe one operation."""
    yield from (f"### `{method.upper()} {path}`", "")
    yield from (str(operation.get("description", operation.get("summary"))), "")
    schemes = [" and ".join(choice) for choice in operation.get("security", [])]
    if schemes:
        yield from (f"Signed in by {' or '.join(schemes)}.", "")
    yield from call(method, path, operation, document)
    yield from table(
        ["Parameter", "In", "Takes", "What it is"],
        [
            [
                f"`{parameter['name']}`{' (required)' if parameter.get('required') else ''}",
                parameter["in"],
                limits(parameter["schema"]),
                parameter.get("description", ""),
            ]
            for parameter in operation.get("parameters", [])
        ],
    )
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from (f"Body: {kind(content['schema'])}, as `{media}`.", "")
    yield from table(
        ["Status", "Meaning", "Content"],
        [
            [
                status,
                response["description"],
                ", ".join(
                    kind(content.get("schema", {}))
                    for content in response.get("content", {}).values()
                ),
            ]
            for status, response in operation["responses"].items()
        ],
    )


def schema_described(name: str, schema: Json) -> Iterator[str]:
    """Describe one schema."""
    yield from (f"### {name} " + "{" + f"#schema-{name}" + "}", "")
    yield from (str(schema.get("description", "")), "")
    required = schema.get("required", [])
    if "properties" not in schema:
        yield from (limits(schema), "")
    yield from table(
        ["Field", "Takes", "What it is"],
        [
            [
                f"`{field}`{' (required)' if field in required else ''}",
                limits(about),
                about.get("description", ""),
            ]
            for field, about in schema.get("properties", {}).items()
        ],
    )


def page(document: Json) -> Iterator[str]:
    """Describe the whole API."""
    yield from ("# API", "", f"Version {document['info']['version']}.", "")
    yield from ("[The OpenAPI document](openapi.json) is the source of this page.", "")
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tag = operation.get("tags", ["other"])[0]
            described_here = described(method, path, operation, document)
            by_tag.setdefault(tag, []).extend(described_here)
    for tag, lines in by_tag.items():
        yield from (f"## {tag}", "", *lines)
    yield from ("## Schemas", "")
    for name, schema in document["components"]["schemas"].items():
        yield from schema_described(name, schema)


def on_the_site(link: re.Match[str]) -> str:
    """Point a link to the same page on the site; without such a page, keep the text only."""
    words, target = link.groups()
    name, mark, anchor = target.partition("#")
    if not name or ":" in name:
        return link[0]
    if name in COPIED:
        return f"[{words}]({COPIED[name]}{mark}{anchor})"
    if name.startswith("docs/"):
        return f"[{words}]({target.removeprefix('docs/')})"
    return words


def copy_pages(folder: Path) -> None:
    """Copy files of the repository and adapt their links."""
    for name, page_name in COPIED.items():
        text = Path(name).read_text("utf-8")
        text = re.sub(r"\[([^]]*)\]\(([^)\s]+)\)", on_the_site, text)
        (folder / page_name).write_text(text, "utf-8")


def main() -> None:
    """Write the pages and the OpenAPI document."""
    command, folder = sys.argv[1], Path(sys.argv[2])
    printed = subprocess.run([command, "openapi"], stdout=subprocess.PIPE, check=True)
    text = "\n".join(page(json.loads(printed.stdout)))
    reference = folder / "reference"
    (reference / "openapi.json").write_bytes(printed.stdout)
    (reference / "api.md").write_text(f"{text.rstrip()}\n", "utf-8")
    copy_pages(folder)


if __name__ == "__main__":
    main()
