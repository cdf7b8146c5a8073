"""Reads the YAML body of a submission into its two-level shape, with all its mistakes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from yaml import YAMLError

from app.api.submission.events import REFERENCES, Stop, Walk, line, line_of, syntax_mistake
from app.api.submission.id_warnings import id_warnings
from app.api.submission.scalars import (
    BLOCK,
    MAX_MISTAKES,
    UNREADABLE,
    ColumnsBuilder,
    ReferenceColumns,
    listed,
    shown,
)
from app.domain.identity import content_hash, repeated_keys
from app.domain.mistakes import Mistake
from app.domain.surrogates import NoMark, marked


@dataclass(frozen=True, slots=True)
class Parsed:
    """A body as far as it could be read; fields with a mistake are None.

    `lines` has the line of each top-level key. `too_many`: the body has more references than allowed, and reading
    stopped there. `content_hash` is `domain.identity.content_hash`, set when there are no mistakes. `warnings` are the
    ids that are probably not meant, where they were asked for and there are no mistakes.
    """

    message: str | None = None
    topic: str | None = None
    config_id: str | None = None
    num_of_retry: int | None = None
    name: str | None = None
    references: ReferenceColumns = field(default_factory=ReferenceColumns)
    lines: Mapping[str, int] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    too_many: bool = False
    content_hash: bytes | None = None
    warnings: tuple[Mistake, ...] = ()

    @property
    def keys(self) -> bytes:
        """The 16 bytes of `reference_key` of each reference."""
        return self.references.keys

    def version_mistakes(self, versioned: bool) -> tuple[Mistake, ...]:
        """References whose version is missing (`versioned`) or too much; some more than are ever listed."""
        versions = self.references.versions
        if versions and (0 not in versions if versioned else max(versions) <= 0):
            return ()
        text = (
            "is missing; the source address contains {version}, so every reference needs one"
            if versioned
            else "is not used by the source address; leave it out of every reference"
        )
        wrong = (place for place, version in enumerate(versions) if (version == 0 if versioned else version > 0))
        lines = self.references.lines
        return tuple(
            Mistake(f"{REFERENCES}[{place}].version", lines[place], text) for place in islice(wrong, MAX_MISTAKES + 1)
        )


ENCODINGS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"
LINE_BREAKS = ((b"\xc2\x85", "U+0085"), (b"\xe2\x80\xa8", "U+2028"), (b"\xe2\x80\xa9", "U+2029"))
"""End a line for YAML 1.1 and not for 1.2: libyaml would fold them into blanks, and change an id without a word."""


def _refused_at_once(body: bytes) -> Mistake | None:
    """Bodies that libyaml must not get: other encodings, half of a line break, %TAG lines (quadratic)."""
    if body.startswith(ENCODINGS):
        return Mistake("", 1, "is UTF-16 or UTF-32; save it as UTF-8")
    for encoded, name in LINE_BREAKS:
        if (offset := body.find(encoded)) >= 0:
            return Mistake("", line_of(body, offset), f"contains the line break {name}; leave it out or escape it")
    start = len(UTF8_MARK) if body.startswith(UTF8_MARK) else 0
    for line_start in (b"\n%TAG", b"\r%TAG"):
        if (offset := body.find(line_start)) >= 0:
            return Mistake("", line_of(body, offset + 1), "has a %TAG line; tags are not used here, leave it out")
    if body.startswith(b"%TAG", start):
        return Mistake("", 1, "has a %TAG line; tags are not used here, leave it out")
    return None


def _duplicates(columns: ReferenceColumns) -> Iterator[Mistake]:
    """References that occur twice. `keys` stand for them."""
    repeated = repeated_keys(columns.keys)
    if not repeated:
        return
    first: dict[bytes, int] = {}
    for block in range(len(columns.blocks)):
        for place, reference in enumerate(columns.block(block), block * BLOCK):
            key = columns.key(place)
            if key not in repeated or not reference.id or reference.version == UNREADABLE:
                continue
            same = first.setdefault(key, place)
            if same != place:
                text = f"{shown(reference.id)} is the same as {REFERENCES}[{same}]; leave one out"
                yield Mistake(f"{REFERENCES}[{place}]", columns.lines[place], text)


def parse_submission(body: bytes, max_references: int, *, warn: bool = False) -> Parsed:
    """Reads a body; never raises for what is in it. About 8 s for a million references: see `YamlReader`.

    `warn` asks for warnings.
    """
    if refused := _refused_at_once(body):
        return Parsed(mistakes=(refused,))
    try:
        body, mark = marked(body)
    except NoMark as error:
        return Parsed(mistakes=(Mistake("", None, f"{error}; write the characters themselves"),))
    builder = ColumnsBuilder()
    walk = Walk(body, max_references, mark, columns=builder)
    try:
        try:
            walk.document()
        except YAMLError as error:
            walk.mistakes.append(syntax_mistake(error, body))
        except UnicodeDecodeError:  # libyaml looks at everything but %ED%A0%80 in a tag, which is half a character
            walk.mistakes.append(Mistake("", None, "has a tag with an escape that is no character; leave tags out"))
    except Stop:
        pass
    walk.end()
    columns = builder.build()
    room = MAX_MISTAKES + 1 - len(walk.mistakes)
    if not walk.too_many and room > 0:
        walk.mistakes.extend(islice(_duplicates(columns), room))
    parsed = Parsed(
        message=walk.texts.get("message"),
        topic=walk.texts.get("topic"),
        config_id=walk.texts.get("config-id"),
        num_of_retry=walk.num_of_retry,
        name=walk.texts.get("name"),
        references=columns,
        lines={name: line(key) for name, key in walk.keys.items()},
        mistakes=listed(walk.mistakes),
        too_many=walk.too_many,
    )
    if parsed.mistakes or parsed.too_many:
        return parsed
    if parsed.message is None or parsed.topic is None:
        raise AssertionError("a body without mistakes has a message and a topic")
    return replace(
        parsed,
        content_hash=content_hash(parsed.message, parsed.topic, parsed.config_id, columns.keys),
        warnings=id_warnings(columns) if warn else (),
    )
