"""GET: one object, a list in pages, or a watch."""

from __future__ import annotations

from collections.abc import Mapping

from backstop.sandbox.http_answer import Answer, Presenter, Shape
from backstop.sandbox.http_request import Asked, list_options, version_of, whole_number
from backstop.sandbox.listing import Chosen, choose, continue_token, read_continue
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import bad_request, gone, version_too_large
from backstop.sandbox.store import Forgotten, Object
from backstop.sandbox.watch import Watch, wanted

TOO_OLD_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "
    "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class Reads:
    """Answers reads from the registry's stored objects, without copying them."""

    def __init__(self, registry: Registry, presenter: Presenter) -> None:
        self._registry = registry
        self._presenter = presenter

    def get(self, resource: Resource, asked: Asked, shape: Shape, query: Mapping[str, str]) -> Answer:
        """One object. Raises 404."""
        return self._presenter.one(resource, self._registry.view(resource, asked.namespace, asked.name), shape, query)

    def page(self, resource: Resource, asked: Asked, shape: Shape, query: Mapping[str, str]) -> Answer:
        """A list, or a page of one. Raises 400, 410, 422, 500, 504."""
        list_options(query)
        chosen = self.chosen(resource, asked, query)
        objects, version, after = self._snapshot(resource, chosen, query)
        found = [obj for obj in objects if chosen.matches(obj) and (after is None or _key(obj) > after)]
        meta: Object = {"resourceVersion": str(version)}
        limit = whole_number(query, "limit")
        if limit and len(found) > limit:
            meta["continue"] = continue_token(version, _key(found[limit - 1]))
            if chosen.everything:
                meta["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        return self._presenter.many(resource, found, meta, shape, query)

    def watch(self, resource: Resource, asked: Asked, query: Mapping[str, str]) -> Watch:
        """A watch that has begun to listen. Raises 400, 422, 500, 504."""
        list_options(query)
        chosen = self.chosen(resource, asked, query)
        return Watch(self._registry, resource, chosen, wanted(query, self._registry.store.version))

    @staticmethod
    def chosen(resource: Resource, asked: Asked, query: Mapping[str, str]) -> Chosen:
        """What the query selects. Raises 400 for selectors that cannot be read."""
        namespace = asked.namespace or None if resource.namespaced else None
        return choose(resource, namespace, query.get("labelSelector"), query.get("fieldSelector"))

    def _snapshot(
        self, resource: Resource, chosen: Chosen, query: Mapping[str, str]
    ) -> tuple[list[Object], int, tuple[str, str] | None]:
        """All objects at the version that is asked for, that version, and the key a page begins after."""
        store = self._registry.store
        version = version_of(query.get("resourceVersion", ""))
        if token := query.get("continue"):
            if version:
                raise bad_request("specifying resource version is not allowed when using continue")
            version, after = read_continue(token)
            try:
                return store.at(resource, version), version, after
            except Forgotten:
                raise gone(TOO_OLD_PAGE) from None
        if version > store.version:
            raise version_too_large(version, store.version)
        if query.get("resourceVersionMatch") == "Exact":
            try:
                return store.at(resource, version), version, None
            except Forgotten:
                raise gone() from None
        return store.every(resource, chosen.namespace), store.version, None


def _key(obj: Object) -> tuple[str, str]:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]
