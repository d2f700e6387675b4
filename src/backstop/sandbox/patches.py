"""The three kinds of PATCH that are served: JSON patch (RFC 6902), merge patch (RFC 7386) and Kubernetes' strategic merge.

All are pure: they answer a new object and leave what they were given alone. Server-side apply is not served (415).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from backstop.sandbox import schema
from backstop.sandbox.status import StatusError, bad_request, rejected_patch
from backstop.sandbox.store import Object, clone

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
SERVED = (JSON, MERGE, STRATEGIC)
_ORDER = "$setElementOrder/"
_REMOVE = "$deleteFromPrimitiveList/"


def apply(content_type: str, obj: Object, patch: Any) -> Object:
    """`obj` as changed by `patch`. Raises 400 for a patch that is none, 422 for one that does not fit, 415 for other types."""
    if content_type == JSON:
        return json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request(f"json: cannot unmarshal {_kind(patch)} into Go value of type map[string]interface {{}}")
    if content_type == MERGE:
        return dict(merge(obj, patch))
    if content_type == STRATEGIC:
        return strategic(obj, patch, schema.type_name(obj["apiVersion"], obj["kind"]))
    raise unsupported()


def unsupported() -> StatusError:
    return StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def _kind(value: Any) -> str:
    return {list: "array", str: "string", bool: "bool", int: "number", float: "number"}.get(type(value), "null")


def json_patch(obj: Object, patch: Any) -> Object:
    """RFC 6902. All operations or none: a failed `test` or a missing path is a 422."""
    if not isinstance(patch, list):
        raise bad_request(f"json: cannot unmarshal {_kind(patch)} into Go value of type jsonpatch.Patch")
    try:
        result: Any = jsonpatch.JsonPatch(patch).apply(clone(obj))
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError):
        raise rejected_patch() from None
    if not isinstance(result, dict):
        raise rejected_patch()
    return result


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: maps merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    out = clone(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out


def strategic(obj: Object, patch: Object, type_name: str | None) -> Object:
    """Kubernetes' strategic merge: lists with a merge key merge by it, others are replaced; `$` directives are obeyed.

    Raises 400 for a directive that is unknown or a list item without its merge key.
    """
    return _merge_map(clone(obj), clone(patch), type_name)


def _fields(type_name: str | None) -> dict[str, schema.Field]:
    return dict(schema.fields(type_name)) if type_name else {}


def _merge_map(original: Object, patch: Object, type_name: str | None) -> Object:
    match patch.pop("$patch", None):
        case "replace":
            return dict(_without_directives(patch))
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise bad_request(f"Unknown patch type {other!r}".replace("'", '"'))
    if (kept := patch.pop("$retainKeys", None)) is not None:
        original = {key: value for key, value in original.items() if key in kept}
    fields = _fields(type_name)
    _ordered_lists(original, patch, fields)
    for key, value in patch.items():
        if key.startswith(_REMOVE):
            name = key.removeprefix(_REMOVE)
            if name in original:
                original[name] = [item for item in original[name] if item not in value]
        elif value is None:
            original.pop(key, None)
        else:
            original[key] = _merge_value(original.get(key), value, fields.get(key))
    return original


def _merge_value(original: Any, value: Any, field: schema.Field | None) -> Any:
    if isinstance(value, dict) and isinstance(original, dict) and not (field and field.replace):
        inside = field.type if field and field.is_object and field.shape == "one" else None
        return _merge_map(original, value, inside)
    if isinstance(value, list) and isinstance(original, list) and field and field.merge_key:
        merged, order = _merge_list(original, value, field)
        return _arrange(merged, order, original, _identity(field))
    return _without_directives(value)


def _identity(field: schema.Field) -> Callable[[Any], Any]:
    """What makes two items of a list the same one: the item itself, or the value of its merge key."""
    if field.merge_key == "-":
        return lambda item: item

    def key_of(item: Any) -> Any:
        if not isinstance(item, dict) or field.merge_key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {field.merge_key}")
        return item[field.merge_key]

    return key_of


def _merge_list(original: list[Any], patch: list[Any], field: schema.Field) -> tuple[list[Any], list[Any]]:
    """The merged items in no particular order, and the patch's items without its directives."""
    if field.merge_key == "-":
        return original + [item for item in dict.fromkeys(patch) if item not in original], patch
    same = _identity(field)
    merged, plain = list(original), []
    replaced = False
    for item in patch:
        directive = item.get("$patch") if isinstance(item, dict) else None
        if directive == "replace":
            replaced = True
        elif directive == "delete":
            merged = [kept for kept in merged if same(kept) != same(item)]
        else:
            plain.append(item)
    if replaced:
        return plain, plain
    inside = field.type if field.is_object else None
    for item in plain:
        at = next((i for i, kept in enumerate(merged) if same(kept) == same(item)), None)
        if at is None:
            merged.append(_without_directives(item))
        else:
            merged[at] = _merge_map(merged[at], dict(item), inside)
    return merged, plain


def _arrange(merged: list[Any], order: list[Any], server: list[Any], same: Callable[[Any], Any]) -> list[Any]:
    """Items of the patch in the patch's order, woven into the others as they stood on the server."""
    wanted, stood = [same(item) for item in order], [same(item) for item in server]
    ours = sorted((item for item in merged if same(item) in wanted), key=lambda item: wanted.index(same(item)))
    rest = [item for item in merged if same(item) not in wanted]
    rest.sort(key=lambda item: stood.index(same(item)) if same(item) in stood else len(stood))
    out: list[Any] = []
    while rest and ours:
        left, right = same(rest[0]), same(ours[0])
        first = left in stood and right in stood and stood.index(left) < stood.index(right)
        out.append((rest if first else ours).pop(0))
    return out + rest + ours


def _ordered_lists(original: Object, patch: Object, fields: dict[str, schema.Field]) -> None:
    """Obeys `$setElementOrder/NAME`: merges the lists it speaks of into `original` and takes them out of the patch."""
    for directive in [key for key in patch if key.startswith(_ORDER)]:
        order = patch.pop(directive)
        name = directive.removeprefix(_ORDER)
        field = fields.get(name)
        if field is None or not field.merge_key or not isinstance(original.get(name), list):
            continue
        before = original[name]
        given = patch.pop(name, [])
        if given is None:
            original.pop(name)
            continue
        merged, _ = _merge_list(before, given, field)
        original[name] = _arrange(merged, order, before, _identity(field))


def _without_directives(value: Any) -> Any:
    """A patch value that meets nothing to merge with: taken as it is, without nulls and directives."""
    if isinstance(value, dict):
        return {k: _without_directives(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        kept = [item for item in value if not (isinstance(item, dict) and item.get("$patch") == "delete")]
        return [_without_directives(item) for item in kept]
    return value
