"""Joins the YAML file and the environment into one text for each property."""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.settings.values import AROUND, stray
from app.settings.variables import Variables, is_link, uniform
from app.settings.variables import variable_of as variable_of  # asked for here by others

MAX_DEPTH = 32
"""Nesting of a settings file; more is a mistake (and aliases that contain themselves end here)."""

MAX_SECRET = 64 * 1024
"""Bytes of a file that holds the value of one property: private keys have some thousand."""

TAGS = "tag:yaml.org,2002:"
NULL_TAG = f"{TAGS}null"


@dataclass(frozen=True, slots=True)
class Given:
    """The text given for a property, and its place: `application.yml line 3`, `variable JEAP_…`."""

    text: str = field(repr=False)
    origin: str


@dataclass(slots=True)
class Source:
    """The properties of the file and the environment. `mistakes` collects mistakes, `known` the names that were read.

    Properties are written as in the file with nested keys joined by dots and list entries as `issuers[0]`. `maps` are
    properties whose next part is a name chosen by the user, kept as it is; elsewhere `_` stands for `-`.
    """

    file: Path | None
    environ: Mapping[str, str] = field(repr=False)
    maps: tuple[str, ...] = ()
    given: dict[str, Given] = field(default_factory=dict, repr=False)
    is_read: bool = True
    """False where nothing can be said of the properties of the file: it cannot be read, or is not YAML."""
    is_empty: bool = False
    """Whether there is a file, with nothing in it but comments."""
    mistakes: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    """Variables of other products that have the name of a property, each with the reason why it is ignored."""
    known: set[str] = field(default_factory=set)
    _variables: Variables = field(init=False, repr=False)
    _exact: set[str] = field(default_factory=set)
    """Entries of maps that differ from others in hyphens and the like only: their own spelling alone is read."""

    def __post_init__(self) -> None:
        self._variables = Variables(self.environ)

    def take(self, name: str) -> Given | None:
        """The value of a property: its variable, the file named by `<VARIABLE>_FILE`, else the settings file.

        None where nothing is given; an empty variable counts as not given. Several spellings of a variable may be set
        if they give the same.
        """
        self.known.add(name)
        exact = any(name.startswith(entry + ".") for entry in self._exact)
        direct = self._variables.spellings(name, exact=exact)
        for link in [each for each in direct if is_link(each, self._variables[each])]:
            self.passed_over.append(f"{link} (a link of Docker or Kubernetes to a service of this name)")
            direct.remove(link)
        files = self._variables.spellings(name, "_FILE", exact=exact)
        if direct and files:
            self.mistakes.append(f"{name}: both variables {direct[0]} and {files[0]} are set; keep one")
            return None
        found = [Given(self._variables[each], f"variable {each}") for each in direct]
        found += [each for each in (self._read_secret(name, variable) for variable in files) if each is not None]
        if len({each.text for each in found}) > 1:
            names = " and ".join([*direct, *files])
            self.mistakes.append(f"{name}: the variables {names} have different values; keep one")
            return None
        if found or direct or files:
            return found[0] if found else None
        return self.given.get(name)

    def take_list(self, name: str) -> Given | None:
        """Like `take`, for a list of plain values; a YAML list comes as one text separated by commas."""
        whole = self.take(name)
        entries = [(key, self.take(key)) for key in self.entries_of_list(name)]
        if whole is not None and (whole.origin.startswith("variable") or not entries):
            return whole
        present = [given for _, given in entries if given is not None]
        return Given(",".join(given.text for given in present), present[0].origin) if present else None

    def entries_of_list(self, name: str) -> list[str]:
        """`issuers[0]`, `issuers[1]`, … for each entry in the file."""
        found = {int(match[1]) for key in self.given if (match := re.match(re.escape(name) + r"\[([0-9]+)\]", key))}
        return [f"{name}[{index}]" for index in sorted(found)]

    def entries_of_map(self, name: str, keys: set[str]) -> list[str]:
        """Names that the file has under a map whose values have `keys`; names may contain dots."""
        found: dict[str, None] = {}
        for key in self.given:
            rest = key.removeprefix(name + ".")
            if rest != key and "." in rest:
                entry, _, last = rest.rpartition(".")
                found.setdefault(entry if last in keys else rest.split(".")[0])
        alike = [uniform(entry) for entry in found]
        self._exact |= {f"{name}.{entry}" for entry in found if alike.count(uniform(entry)) > 1}
        return list(found)

    def unknown(self) -> list[tuple[str, Given]]:
        """The properties of the file that no setting has read."""
        return [(name, given) for name, given in self.given.items() if name not in self.known]

    def _read_secret(self, name: str, variable: str) -> Given | None:
        """The content of the file that a variable names, without line breaks, blanks and a byte order mark around."""
        path, problem, content = self._variables[variable], None, b""
        if wrong := stray(path):
            self.mistakes.append(f"{name}: the variable {variable} {wrong}")
            return None
        try:
            with Path(path).open("rb") as file:
                content = file.read(MAX_SECRET + 1)
        except OSError as error:
            self.mistakes.append(f"{name}: cannot read the file named by {variable}: {error.strerror}")
            return None
        text = ""
        if len(content) > MAX_SECRET:
            problem = f"is larger than {MAX_SECRET // 1024} KiB"
        elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            problem = "is UTF-16; save it as UTF-8"
        else:
            try:
                text = content.decode().strip(AROUND)
                problem = None if text else "is empty"
            except UnicodeDecodeError:
                problem = "is not UTF-8"
        if problem is not None:
            self.mistakes.append(f"{name}: the file named by {variable} {problem}")
            return None
        return Given(text, f"variable {variable}")


def read_source(file: Path | None, environ: Mapping[str, str], *, maps: tuple[str, ...] = ()) -> Source:
    """The source with everything the file gives; a file that cannot be read or is no YAML is a mistake."""
    source = Source(file, environ, maps)
    if file is None:
        return source
    problem = None
    try:
        root = YAML(typ="safe", pure=True).compose(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        problem = error.strerror
    except UnicodeDecodeError:
        problem = "not UTF-8"
    except YAMLError as error:
        problem = _yaml_problem(error)
    except RecursionError:
        problem = "nested too deeply"
    else:
        if isinstance(root, MappingNode):
            _collect(source, root)
        elif root is None or (isinstance(root, ScalarNode) and root.tag == NULL_TAG):
            source.is_empty = True
        else:
            problem = "must hold properties, `name: value`"
    if problem is not None:
        source.is_read = False
        source.mistakes.append(f"settings file {file}: {problem}")
    return source


def _yaml_problem(error: YAMLError) -> str:
    """Problem and line, without the text of the file: it may be a secret."""
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1})" if mark else ""
        problem = error.problem or error.context or "malformed"
        named = re.match(r"(.*\b(?:alias|anchor|tag handle|tag)\b) ['\"]", problem)
        if named:
            problem = f"{named[1]}; a text that begins with *, & or ! needs quotes"
        return f"not valid YAML{where}: {problem}"
    return "not valid YAML"


def _collect(source: Source, root: MappingNode) -> None:
    name_of_file = source.file.name if source.file else ""
    first_lines: dict[str, int] = {}
    for name, node in _leaves(source, root, "", 0):
        line = node.start_mark.line + 1
        canonical = _canonical(name, source.maps)
        if canonical in first_lines:
            source.mistakes.append(
                f"{canonical}: given twice in {name_of_file}, lines {first_lines[canonical]} and {line}"
            )
            continue
        first_lines[canonical] = line
        if isinstance(node, ScalarNode) and (not (node.tag or "").startswith(TAGS) or (node.anchor and not node.value)):
            problem = "a text that begins with ! or & needs quotes"
            source.mistakes.append(f"{canonical}: {problem} ({name_of_file} line {line})")
        if isinstance(node, ScalarNode) and node.tag != NULL_TAG and node.value != "":
            source.given[canonical] = Given(node.value, f"{name_of_file} line {line}")


def _leaves(source: Source, node: Node, name: str, depth: int) -> Iterator[tuple[str, Node]]:
    if depth > MAX_DEPTH:
        source.mistakes.append(f"{name[:200]}: nested too deeply")
        return
    if isinstance(node, MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                source.mistakes.append(f"{name or 'settings file'}: line {line}: a key must be text")
                continue
            if seen.setdefault(key.value, line) != line and not isinstance(value, ScalarNode):
                whole = f"{name}.{key.value}" if name else key.value
                source.mistakes.append(f"{whole}: given twice, lines {seen[key.value]} and {line}")
            yield from _leaves(source, value, f"{name}.{key.value}" if name else key.value, depth + 1)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            yield from _leaves(source, value, f"{name}[{index}]", depth + 1)
    else:
        yield name, node


def _canonical(name: str, maps: tuple[str, ...]) -> str:
    """`system_name` → `system-name`, but the names of map entries stay as they are."""
    plain = name.replace("_", "-")
    for prefix in maps:
        if plain.startswith(prefix + "."):
            entry, dot, last = name[len(prefix) + 1 :].rpartition(".")
            return f"{prefix}.{entry}{dot}{last.replace('_', '-')}"
    return plain
