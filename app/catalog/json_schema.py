"""JSON Schemas, compiled once: whether a document matches its schema, and if not, why."""

from collections.abc import Callable
from typing import Any

import jsonschema_rs
from jsonschema import FormatChecker, validators
from jsonschema.exceptions import SchemaError

from app.catalog.exact_rules import EXACT_RULES
from app.catalog.explain import Explainer
from app.catalog.json_documents import MAX_DEPTH, NotKept, read
from app.catalog.lanes import LARGE_DOCUMENT, Lane, Later
from app.catalog.mismatch import NO_RULE, TOO_DEEP, property_names, text_of
from app.catalog.patterns import (
    BOUNDED,
    LIGHT,
    LINEAR,
    Matcher,
    Options,
    WrongPattern,
    check_pattern,
    patterns_of,
    with_engine_patterns,
)
from app.catalog.schema_cost import MAX_CALLS, SAFE_CALLS, CheckCost, Endless, cost_of
from app.catalog.schema_graph import Graph, Retrieve, TooIntricate, read_graph

MAX_WORK = 4 * 1024 * 1024
"""Bytes of a document times the ways in which one value is checked, up to which the event loop waits for a check."""

MAX_TEXT_WORK = 32 * 1024
"""The same for the text of a mismatch as jsonschema-rs makes it: it collects what is wrong in every branch."""

MAX_TEXT_LEVELS = 64
"""Objects and arrays of a document up to which it does so for a schema that refers to itself: 240 take 0.3 s."""

MAX_EXACT = 8 * 1024
"""Bytes of a document with long numbers, or of one whose mismatch has to be looked for, up to which the event loop
waits: 400 numbers take some 3 ms."""

MAX_BOUNDED = 2 * 1024
"""Bytes of a document whose texts meet a pattern that goes back, 0.5 ms each at most."""

MAX_HEAVY = 16 * 1024
"""Bytes of a document whose texts meet a large pattern, some 10 microseconds a character at most."""

MAX_LARGE_WAYS = 64
"""Ways in which one value is checked, above which a large document is costly."""


class JsonCheck:
    """`check(document)` is None for a valid document, else `<path>: <rule>` without any value of it.

    `where` names the place in which the check runs: None is the event loop, where Later is raised for a check that
    would block it; the lane of large documents also raises Later for a costly check. `on_mismatch` is called once it is
    certain that the document does not match.
    """

    def __init__(self, schema: Any, base_uri: str, retrieve: Retrieve) -> None:
        self._files = _Files(schema, base_uri, retrieve)
        self._engine, self._validator = self._files.compile()
        try:
            self._graph: Graph | None = read_graph(self._files.schema, base_uri, self._files.retrieve)
            self._cost = cost_of(self._graph, Matcher())
        except TooIntricate:
            self._graph, self._cost = None, CheckCost(None, SAFE_CALLS + 1, recursive=True)
        except Endless as endless:
            raise ValueError(f"refers to itself without going into the document ({endless})") from None
        if self._cost.calls > MAX_CALLS:
            most = MAX_CALLS // MAX_DEPTH
            raise ValueError(f"more than {most:,} subschemas refer to each other for the same value")
        self._names = frozenset(name for each in self._files.all for name in property_names(each))
        self._exact: jsonschema_rs.Validator | None = None
        self._explainers: dict[bool, Explainer] = {}

    @property
    def costly(self) -> bool:
        """Whether even small documents can need much work."""
        return self._cost.ways is None or self._cost.calls > SAFE_CALLS

    def more_seconds(self, document: bytes) -> float:
        return 0.0  # 32 MiB take 2 s

    def lane(self, document: bytes) -> Lane | None:
        """The lane that must check the document, None for the event loop."""
        size, ways = len(document), self._cost.ways
        if self.costly or ways is None:
            return Lane.COSTLY
        if size > LARGE_DOCUMENT:
            return Lane.COSTLY if ways > MAX_LARGE_WAYS else Lane.LARGE
        slow_patterns = size > self._engine.document
        return Lane.COSTLY if slow_patterns or size * ways > MAX_WORK else None

    def __call__(
        self, document: bytes, where: Lane | None = Lane.COSTLY, on_mismatch: Callable[[], None] | None = None
    ) -> str | None:
        try:
            value, ordinary = read(document)
        except NotKept as problem:
            return str(problem)
        if not ordinary and where is None and len(document) > MAX_EXACT:
            raise Later(Lane.LARGE)
        validator = self._validator if ordinary else self._exact_validator()
        try:
            if validator.is_valid(value):
                return None
        except ValueError:  # values are compared that are nested more than 255 levels
            return f"$: {TOO_DEEP}"
        if on_mismatch is not None:
            on_mismatch()
        return self._text(document, value, where, ordinary=ordinary)

    def _text(self, document: bytes, value: Any, where: Lane | None, *, ordinary: bool) -> str:
        if ordinary and self._is_easy_to_explain(document):
            try:
                self._validator.validate(value)
            except jsonschema_rs.ValidationError as error:
                return text_of(error, value, self._names, self._files.written_as)
            except ValueError:
                pass  # it shows values, of at most 255 levels
        if where is None and (self.costly or len(document) > MAX_EXACT):
            raise Later(Lane.COSTLY if self.costly else Lane.LARGE)
        if self._graph is None or not self._graph.exact:
            return f"$: {NO_RULE}"
        return self._explainer(self._graph, ordinary=ordinary).text(value)

    def _is_easy_to_explain(self, document: bytes) -> bool:
        """Whether jsonschema-rs may find the mismatch: each of its mismatches has a copy of the value, and each branch
        of the schema makes mismatches of its own."""
        ways = self._cost.ways
        if self.costly or ways is None or len(document) * ways > MAX_TEXT_WORK:
            return False
        return not self._cost.recursive or document.count(b"{") + document.count(b"[") <= MAX_TEXT_LEVELS

    def _exact_validator(self) -> jsonschema_rs.Validator:
        if self._exact is None:
            self._exact = self._files.validator(self._engine.options, exact=True)
        return self._exact

    def _explainer(self, graph: Graph, *, ordinary: bool) -> Explainer:
        if ordinary not in self._explainers:
            self._explainers[ordinary] = Explainer(
                graph,
                self._engine.options,
                {} if ordinary else EXACT_RULES,
                self._names,
                self._files.written_as,
            )
        return self._explainers[ordinary]


class _Engine:
    """How patterns run, and up to which size of a document the event loop runs them."""

    def __init__(self, options: Options, document: int) -> None:
        self.options = options
        self.document = document


_ENGINES = (_Engine(LIGHT, LARGE_DOCUMENT), _Engine(LINEAR, MAX_HEAVY), _Engine(BOUNDED, MAX_BOUNDED))
"""The first that knows all patterns of a schema is taken."""


class _Files:
    """A schema and the files it refers to, with patterns for the engines; each file is fetched once."""

    def __init__(self, schema: Any, base_uri: str, retrieve: Retrieve) -> None:
        self._base_uri = base_uri
        self._retrieve = retrieve
        self._fetched: dict[str, Any] = {}
        self._written: dict[str, str] = {}
        self.schema = self._prepared(schema)

    @property
    def all(self) -> list[Any]:
        return [self.schema, *self._fetched.values()]

    def written_as(self, pattern: str) -> str:
        return self._written.get(pattern, pattern)

    def retrieve(self, uri: str) -> Any:
        if uri not in self._fetched:
            self._fetched[uri] = self._prepared(self._retrieve(uri))
        return self._fetched[uri]

    def _prepared(self, schema: Any) -> Any:
        check_patterns(schema)
        return with_engine_patterns(schema, self._written)

    def compile(self) -> tuple[_Engine, jsonschema_rs.Validator]:
        for engine in _ENGINES[:-1]:
            try:
                return engine, self.validator(engine.options)
            except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
                continue  # perhaps a pattern that this engine does not know
        try:
            return _ENGINES[-1], self.validator(_ENGINES[-1].options)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise ValueError(error.message.split("\n")[0][:400]) from None

    def validator(self, patterns: Options, *, exact: bool = False) -> jsonschema_rs.Validator:
        return jsonschema_rs.validator_for(
            self.schema,
            base_uri=self._base_uri,
            retriever=self.retrieve,
            pattern_options=patterns,
            keywords=EXACT_RULES if exact else None,
        )


def compile_json_schema(schema: Any, base_uri: str, retrieve: Retrieve) -> JsonCheck:
    """References are resolved by `retrieve(uri)` only, which raises LookupError for what the registry does not have.

    Numbers of the schema are ints, floats where that prints as the same number, and Decimals. Raises ValueError with
    the reason when the schema is not valid.
    """
    check_schema(schema)
    return JsonCheck(schema, base_uri, retrieve)


_FORMATS = FormatChecker([name for name in FormatChecker.checkers if name != "regex"])
"""Patterns are checked by the engine that runs them, `regex` would ask Python's."""


def check_schema(schema: Any) -> None:
    """The schema against its metaschema (2020-12 unless `$schema` says otherwise). Raises ValueError."""
    if not isinstance(schema, dict | bool):
        raise ValueError("a JSON Schema must be an object")
    dialect = schema.get("$schema") if isinstance(schema, dict) else None
    kind: Any = validators.Draft202012Validator
    if dialect is not None:
        kind = validators.validator_for(schema, default=validators.Draft3Validator)
    if kind is validators.Draft3Validator:  # older than anything here compiles, so it serves as "not found"
        raise ValueError(f"$schema names an unknown dialect: {dialect}")
    own, others = _by_dialect(schema, dialect)
    for other in others:
        check_schema(other)
    try:
        kind.check_schema(own, format_checker=_FORMATS)
    except SchemaError as error:
        raise ValueError(f"not a valid JSON Schema: {error.json_path}: {error.message[:300]}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _by_dialect(schema: Any, dialect: Any) -> tuple[Any, list[Any]]:
    """The schema without embedded files of other dialects, and these files: each has its own metaschema."""
    others: list[Any] = []
    for container in ("$defs", "definitions"):
        embedded = schema.get(container) if isinstance(schema, dict) else None
        if isinstance(embedded, dict):
            foreign = {
                name
                for name, each in embedded.items()
                if isinstance(each, dict)
                and each.get("$schema", dialect) != dialect
                and ("$id" in each or "id" in each)
            }
            others += [embedded[name] for name in foreign]
            schema = {**schema, container: {name: each for name, each in embedded.items() if name not in foreign}}
    return schema, others


def check_patterns(schema: Any) -> None:
    """Raises ValueError with the place of a pattern that no engine can run."""
    for path, pattern in patterns_of(schema):
        try:
            check_pattern(pattern)
        except WrongPattern as wrong:
            raise ValueError(f"not a valid JSON Schema: {path[:300]}: {wrong}") from None
