"""`Accept` headers (RFC 9110, 12.5.1): which format of an answer a client prefers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from app.api.http.problems import ApiProblem

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA = re.compile(rf"{_WORD}/{_WORD}|\*")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ENTRY = re.compile(rf'(?:[^",]|{_QUOTED}|")+')
_PART = re.compile(rf'(?:[^";]|{_QUOTED}|")+')
"""Up to the next comma, or semicolon, that stands in no quotes."""
_PARAMETER = re.compile(rf"({_WORD})[ \t]*=[ \t]*({_WORD}|{_QUOTED})")
_QUALITY = re.compile(r"[0-9]*\.?[0-9]+|[0-9]+\.")

IMPLIED = frozenset({("charset", "utf-8"), ("header", "present")})
"""Parameters that every answer of the service has."""

LONGEST = 8_192
"""Characters of `Accept` that are looked at; browsers send 150."""


class MediaRange(NamedTuple):
    """A media range as a client wrote it, with its weight from 0 (never) to 1. In lower case."""

    media: str
    parameters: frozenset[tuple[str, str]]
    quality: float


class Liking(NamedTuple):
    """How much a client prefers a format. Among equals, the format that is named most exactly comes first, then the one
    that is named first."""

    quality: float
    exactness: int
    earlier: int


def wanted_format(headers: Sequence[str], formats: Mapping[str, str], aliases: Mapping[str, str]) -> str:
    """The name of the format that these `Accept` headers prefer.

    `formats` are media types by name, the first one is the default; `aliases` are names by other media types for them.
    The default is also sent when the headers name no available format: most of such clients did not mean it. Raises
    ApiProblem 406 when the headers exclude the default and name no other format.
    """
    ranges = [each._replace(media=_main(each.media, formats, aliases)) for each in _ranges(",".join(headers))]
    liked = {name: _liking(media, ranges) for name, media in formats.items()}
    named = {name: liking for name, liking in liked.items() if liking is not None and liking.quality > 0}
    if named:
        return max(named, key=lambda name: named[name])  # of equals the first
    default = next(iter(formats))
    if liked[default] is not None:
        raise ApiProblem(406, f"There are {', '.join(formats.values())}; the Accept header excludes what there is.")
    return default


def _liking(media: str, ranges: Sequence[MediaRange]) -> Liking | None:
    """The preference by the most exact range that contains the format, None when no range contains it."""
    found = [
        Liking(each.quality, exactness, -place)
        for place, each in enumerate(ranges)
        if (exactness := _exactness(each, media))
    ]
    exactest = max((each.exactness for each in found), default=0)
    return max((each for each in found if each.exactness == exactest), default=None)


def _exactness(each: MediaRange, media: str) -> int:
    """0 when the range does not contain `media`; higher, the more exactly the range names it."""
    if not each.parameters <= IMPLIED:
        return 0  # a variant that the service does not have
    if each.media == media:
        return 3 + len(each.parameters)
    return 2 if each.media == media.partition("/")[0] + "/*" else 1 if each.media == "*/*" else 0


def _main(media: str, formats: Mapping[str, str], aliases: Mapping[str, str]) -> str:
    return formats[aliases[media]] if media in aliases else media


def _ranges(header: str) -> Iterator[MediaRange]:
    """The ranges of a header. An unreadable range is ignored: a client is not refused because of it."""
    for entry in _ENTRY.findall(header[:LONGEST]):
        media, *parameters = [part.strip(" \t") for part in _PART.findall(entry)] or [""]
        if _MEDIA.fullmatch(media):
            yield _range("*/*" if media == "*" else media.lower(), parameters)  # Java's own client writes `*`


def _range(media: str, parameters: Sequence[str]) -> MediaRange:
    before_weight: set[tuple[str, str]] = set()
    for found in filter(None, map(_PARAMETER.fullmatch, parameters)):
        name, value = found[1].lower(), re.sub(r"\\(.)", r"\1", found[2].strip('"')).lower()
        if name == "q":  # what follows are parameters of an older standard
            return MediaRange(
                media, frozenset(before_weight), min(1.0, float(value)) if _QUALITY.fullmatch(value) else 1.0
            )
        before_weight.add((name, value))
    return MediaRange(media, frozenset(before_weight), 1.0)
