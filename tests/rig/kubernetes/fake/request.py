"""What is asked of the fake, and who may ask it."""

from dataclasses import dataclass, field

from rig.kubernetes.api import Rule
from rig.kubernetes.fake.resources import Place
from rig.kubernetes.fake.selectors import UnsupportedSelector, matcher
from rig.kubernetes.fake.store import Matcher


class Denied(Exception):
    """A request is answered with an error of the API."""

    def __init__(self, code: int, message: str = "") -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Asked:
    verb: str
    where: Place
    query: dict[str, str] = field(default_factory=dict)

    @property
    def matcher(self) -> Matcher:
        """Whether its selectors take an object; raises Denied."""
        fields, labels = self.query.get("fieldSelector", ""), self.query.get("labelSelector", "")
        try:
            return matcher(self.where.resource, fields, labels)
        except UnsupportedSelector as error:
            raise Denied(400, str(error)) from error


def verb(method: str, where: Place, query: dict[str, str]) -> str:
    """The verb of a request, as RBAC names it."""
    if method == "GET" and not where.name:
        return "watch" if query.get("watch") in ("true", "1") else "list"
    return {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[method]


def authorize(user: str, rules: tuple[Rule, ...] | None, asked: Asked) -> None:
    """Raise Denied, in the real server's words, unless a rule allows it; None allows everything."""
    where = asked.where
    if rules is None or any(_allows(rule, asked) for rule in rules):
        return
    scope = f'in the namespace "{where.namespace}"' if where.namespace else "at the cluster scope"
    bare = where.resource.partition("/")[0]
    subject = f'{bare} "{where.name}" is' if where.name else f"{bare} is"
    request = f'cannot {asked.verb} resource "{where.resource}" in API group "{where.group}" {scope}'
    raise Denied(403, f'{subject} forbidden: User "{user}" {request}')


def _allows(rule: Rule, asked: Asked) -> bool:
    where = asked.where
    same = (rule.resource, rule.group) == (where.resource, where.group) and asked.verb in rule.verbs
    return same and rule.namespace in (None, where.namespace) and (not rule.names or where.name in rule.names)
