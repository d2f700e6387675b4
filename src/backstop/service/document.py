"""The OpenAPI document: what FastAPI derives, corrected where it would tell of another service than this one."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from backstop.service.access import Access, Asker
from backstop.service.answers import JSON

_SCHEMAS: Final = "#/components/schemas/{model}"
_THEIRS: Final = ("HTTPValidationError", "ValidationError")
_HERE: Final = Asker("127.0.0.1", {"host": "127.0.0.1"})


def body(kind: type[BaseModel]) -> dict[str, Any]:
    """For `openapi_extra`: what is to be sent where the service reads it itself."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": kind.model_json_schema(ref_template=_SCHEMAS)}}}}


def describe(app: FastAPI, access: Access) -> None:
    """From now on this is the app's document."""
    derive = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            _correct(derive(), access)
        return derive()  # which keeps what it derived once

    app.openapi = document  # type: ignore[method-assign]


def _correct(found: dict[str, Any], access: Access) -> None:
    """What is malformed is answered with 400, never with FastAPI's 422; and who asks needs a token where `access` says so."""
    schemas = found["components"]["schemas"]
    for name in _THEIRS:
        schemas.pop(name, None)
    for path, operations in found["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["security"] = [{"token": []}] if access.refusal(path, _HERE) else []
            sent = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {})
            schemas.update(sent.pop("$defs", {}))  # where its references lead
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
