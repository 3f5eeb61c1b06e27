"""Creating, changing and deleting objects, and reading one."""

from rig.kubernetes.fake.request import Asked, Denied
from rig.kubernetes.fake.resources import Place, created, merged, terminating
from rig.kubernetes.fake.store import Key, Object, Store


def do(store: Store, asked: Asked, given: Object) -> Object:
    """The object after the request; raises Denied."""
    where = asked.where
    with store.changed:
        if asked.verb == "create":
            return _create(store, where, given)
        item = store.get(where.key)
        if item is None:
            raise Denied(404, f'{where.resource} "{where.name}" not found')
        if asked.verb == "patch":
            return _patch(store, where, item, given)
        if asked.verb == "delete":
            return _delete(store, where, item, given.get("gracePeriodSeconds"))
        return item


def _create(store: Store, where: Place, given: Object) -> Object:
    if where.namespace and not store.get(Key("namespaces", "", where.namespace)):
        raise Denied(404, f'namespaces "{where.namespace}" not found')
    item = created(given, where)
    key = Key(where.resource, where.namespace, item["metadata"]["name"])
    if store.get(key):
        raise Denied(409, f'{where.resource} "{key.name}" already exists')
    return store.put(key, item)


def _patch(store: Store, where: Place, item: Object, change: Object) -> Object:
    # The status is a part of its own, which kubelets write.
    allowed = {"status"} if where.part == "status" else change.keys() - {"status"}
    return store.put(where.key, merged(item, {key: change[key] for key in change if key in allowed}))


def _delete(store: Store, where: Place, item: Object, grace: int | None) -> Object:
    if where.resource == "pods":
        marked, at_once = terminating(item, grace)
        kept = store.put(where.key, marked)
        if not at_once:
            return kept
    return store.remove(where.key)
