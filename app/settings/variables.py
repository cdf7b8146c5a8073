"""Finds the environment variables of a property: in our spelling, and in that of Spring, without hyphens."""

import re
from collections.abc import Mapping

_LINK = re.compile(r"(?:tcp|udp|sctp)://\S+")
_LINKED = re.compile(r"SERVER_.*|.*_PORT")
"""Variables that a service called `server` brings along, and `<NAME>_PORT` of any service."""


def variable_of(name: str) -> str:
    """`jeap.datasource.url` → `JEAP_DATASOURCE_URL`; `….issuers[0].jwk-set-uri` → `…_ISSUERS_0_JWK_SET_URI`."""
    return re.sub(r"[^A-Z0-9]", "_", _dotted(name))


def spring_variable_of(name: str) -> str:
    """The same without hyphens: `….backfill.system-name` → `…_BACKFILL_SYSTEMNAME`."""
    return variable_of(name.replace("-", ""))


def uniform(name: str) -> str:
    """Letters and digits alone, the same for every spelling of a name or variable."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def is_link(variable: str, value: str) -> bool:
    """Whether Docker or Kubernetes set the variable, as they do for each service that they know: it is not a
    setting."""
    return _LINKED.fullmatch(variable) is not None and _LINK.fullmatch(value) is not None


class Variables:
    """The environment variables by property. Empty variables count as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._by_uniform: dict[str, list[str]] = {}
        for variable in sorted(environ):
            if environ[variable]:
                self._by_uniform.setdefault(uniform(variable), []).append(variable)

    def __getitem__(self, variable: str) -> str:
        return self._environ[variable]

    def spellings(self, name: str, suffix: str = "", *, exact: bool = False) -> list[str]:
        """The variables that are set for a property, our own spelling first; each hyphen may be left out, and each
        underscore of a name that the user chose. `suffix` is `_FILE`; `exact`: our own spelling only."""
        ours = variable_of(name) + suffix
        if exact:
            return [ours] if self._environ.get(ours) else []
        found = self._by_uniform.get(uniform(name + suffix))
        if found is None:
            return []
        pattern = re.compile(re.sub(r"[^A-Z0-9]", _any_spelling, _dotted(name)) + suffix)
        return sorted(filter(pattern.fullmatch, found), key=lambda variable: variable != ours)


def _any_spelling(found: re.Match[str]) -> str:
    return "_?" if found[0] in "-_" else "_"


def _dotted(name: str) -> str:
    return name.upper().replace("[", ".").replace("]", "")
