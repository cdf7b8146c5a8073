"""Computes how much work a schema can need for a document: how often a value is checked, how deep calls go."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from app.catalog.schema_graph import Graph, Node

MAX_WAYS = 1_000
"""Times that one value is checked; the JSON Schema for JSON Schemas stays below 100."""

MAX_STEPS = 2_000_000
"""Steps of this analysis itself; a schema that needs more counts as costly."""

MAX_LEVELS = 1_024
"""Levels of a document (`json_documents.MAX_DEPTH`)."""

SAFE_CALLS = 12_000
"""Schemas inside schemas in one check. A main thread of 8 MB holds some 30,000, measured with the largest frames."""

MAX_CALLS = 400_000
"""The same in a worker, whose thread has a stack of `worker.STACK` bytes."""


@dataclass(frozen=True, slots=True)
class CheckCost:
    """`ways`: how often one value can be checked, None where this grows with the depth of the document or beyond
    `MAX_WAYS`. `calls`: how many schemas can be inside each other in one check; as many as the document has levels, and
    more, where the schema is `recursive`."""

    ways: int | None
    calls: int
    recursive: bool


class Endless(Exception):
    """A subschema refers to itself without going into the document; the text names the keywords on the way."""


def cost_of(graph: Graph, matches: Callable[[str, str], bool]) -> CheckCost:
    """`matches(pattern, name)` is the engine of the patterns. Raises Endless; TooIntricate where it is not known."""
    return _Analysis(graph, matches).cost()


class _Analysis:
    def __init__(self, graph: Graph, matches: Callable[[str, str], bool]) -> None:
        self.nodes = graph.nodes
        self.exact = graph.exact
        self.matches = matches
        self.steps = 0
        self.order: list[int] = []
        self.chain = [1] * len(self.nodes)
        self.endless = False

    def cost(self) -> CheckCost:
        self._sort_same()
        self.closures: list[Counter[int]] = [Counter() for _ in self.nodes]
        try:
            for place in self.order:
                self._close(place)
            return self._judge()
        except _Unknown:
            return CheckCost(None, self._calls(recursive=True), recursive=True)

    def _count(self, steps: int = 1) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise _Unknown

    def _sort_same(self) -> None:
        """The nodes in an order in which nodes that check the same value come first; a circle of these is endless."""
        state = [0] * len(self.nodes)
        for start in range(len(self.nodes)):
            if state[start]:
                continue
            state[start] = 1
            stack = [(start, iter(self.nodes[start].same))]
            while stack:
                place, edges = stack[-1]
                for keyword, _, target in edges:
                    if state[target] == 1:
                        if self.exact:
                            raise Endless(_circle([each for each, _ in stack], target, self.nodes, keyword))
                        self.endless = True  # perhaps: not every edge is one
                    elif state[target] == 0:
                        state[target] = 1
                        stack.append((target, iter(self.nodes[target].same)))
                        break
                else:
                    state[place] = 2
                    self.order.append(place)
                    stack.pop()
        for place in self.order:
            self.chain[place] = 1 + max((self.chain[target] for _, _, target in self.nodes[place].same), default=0)

    def _close(self, place: int) -> None:
        """All nodes that check the same value, with the number of ways."""
        if self.endless:
            raise _Unknown
        node = self.nodes[place]
        found: Counter[int] = Counter()
        for _, _, target in node.same:
            self._count(len(self.closures[target]))
            found.update(self.closures[target])
        if node.unevaluated:  # which properties and items were evaluated is found out by checking again
            again = 1 + self.chain[place]
            found = Counter({each: ways * again for each, ways in found.items()})
        found[place] += 1
        if found.total() > MAX_WAYS:
            raise _Unknown
        self.closures[place] = found

    def _judge(self) -> CheckCost:
        children = self._children()
        components = _components(children)
        within = {place: number for number, members in enumerate(components) for place in members}
        ways: dict[int, int] = {}
        height: dict[int, int] = {}
        again: set[int] = set()
        for number, members in enumerate(components):  # what others refer to comes first
            most, longest, circular = 0, 0, False
            for place in members:
                most = max(most, self.closures[place].total())
                for group in children[place]:
                    others, inside, rest = 0, 0, 0
                    for target, times in group.items():
                        if within[target] == number:
                            inside += times
                        else:
                            others += times * ways[within[target]]
                            rest = max(rest, height[within[target]])
                            circular_other = within[target] in again
                            if inside and circular_other:
                                raise _Unknown
                    if inside > 1 or (inside and any(within[each] in again for each in group)):
                        raise _Unknown
                    circular = circular or inside == 1
                    most = max(most, others * (1 + rest if inside else 1) + self.closures[place].total() * bool(inside))
                    longest = max(longest, rest)
            if circular:
                again.add(number)
            if most > MAX_WAYS:
                raise _Unknown
            ways[number], height[number] = most, longest + 1
            if any(within[each] in again for place in members for group in children[place] for each in group):
                again.add(number)  # it leads to one
        root = within[0]
        recursive = root in again
        return CheckCost(max(ways[root], 1), self._calls(recursive=recursive), recursive)

    def _calls(self, *, recursive: bool) -> int:
        longest = max(self.chain, default=1)
        return longest * (MAX_LEVELS if recursive else min(MAX_LEVELS, len(self.nodes)))

    def _children(self) -> dict[int, list[Counter[int]]]:
        """For each node: the nodes that check each part of its value, with the number of ways."""
        found: dict[int, list[Counter[int]]] = {}
        left = [0]
        while left:
            place = left.pop()
            if place in found:
                continue
            found[place] = [group for group in self._groups(self.closures[place]) if group]
            left.extend(each for group in found[place] for each in group)
        return found

    def _groups(self, closure: Counter[int]) -> Iterator[Counter[int]]:
        members = [(self.nodes[place], times) for place, times in closure.items()]
        names = {name for node, _ in members for name in node.properties}
        longest = max((len(node.prefix) for node, _ in members), default=0)
        self._count(len(members) * (len(names) + longest + 2))
        for name in names:
            yield self._group(members, lambda node, name=name: self._of_member(node, name))  # type: ignore[misc]
        yield self._group(members, lambda node: [target for _, target in node.patterns] or _others(node))
        yield self._group(members, _others)
        for index in range(longest + 1):
            yield self._group(members, lambda node, index=index: _of_item(node, index))  # type: ignore[misc]

    def _group(self, members: list[tuple[Node, int]], targets: Callable[[Node], list[int | None]]) -> Counter[int]:
        group: Counter[int] = Counter()
        for node, times in members:
            for target in targets(node):
                if target is not None and isinstance(self.nodes[target].schema, dict):
                    group[target] += times
        return group

    def _of_member(self, node: Node, name: str) -> list[int | None]:
        found: list[int | None] = [target for pattern, target in node.patterns if self.matches(pattern, name)]
        if name in node.properties:
            found.append(node.properties[name])
        return found or _others(node)


def _others(node: Node) -> list[int | None]:
    return [node.additional, node.unevaluated_properties]


def _of_item(node: Node, index: int) -> list[int | None]:
    item = node.prefix[index] if index < len(node.prefix) else node.items
    return [item, node.contains, node.unevaluated_items]


class _Unknown(Exception):
    """There are too many ways, or too many to count."""


def _circle(way: list[int], target: int, nodes: list[Node], last: str) -> str:
    steps = way[way.index(target) :]
    words = []
    for one, two in pairwise(steps):
        words.append(next(keyword for keyword, _, each in nodes[one].same if each == two))
    return " → ".join([*words, last])


def _components(children: dict[int, list[Counter[int]]]) -> list[list[int]]:
    """Strongly connected components, each after those it leads to (Tarjan, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    found: list[list[int]] = []
    for start in children:
        if start in index:
            continue
        calls = [(start, iter([each for group in children[start] for each in group]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while calls:
            place, edges = calls[-1]
            for target in edges:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    calls.append((target, iter([each for group in children[target] for each in group])))
                    break
                if target in on_stack:
                    low[place] = min(low[place], index[target])
            else:
                calls.pop()
                if calls:
                    low[calls[-1][0]] = min(low[calls[-1][0]], low[place])
                if low[place] == index[place]:
                    members = []
                    while True:
                        each = stack.pop()
                        on_stack.discard(each)
                        members.append(each)
                        if each == place:
                            break
                    found.append(members)
    return found
