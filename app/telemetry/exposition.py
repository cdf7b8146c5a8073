"""Metrics of several processes as one text of the Prometheus format: each sample gets the label `process`."""

from collections.abc import Mapping


def merged(texts: Mapping[int, bytes]) -> bytes:
    """One text of those of several processes, by their numbers. Of each metric HELP and TYPE are there once.

    The texts are those of `metrics.render`: a sample is a line, and what belongs to a metric stands together.
    """
    families: dict[bytes, list[bytes]] = {}
    for number, text in texts.items():
        label = b'process="%d"' % number
        lines: list[bytes] = []
        is_new = True
        for line in text.split(b"\n"):
            if line.startswith(b"# HELP "):
                name = line.split(b" ", 3)[2]
                is_new = name not in families
                lines = families.setdefault(name, [])
            if line.startswith(b"# "):
                if is_new:
                    lines.append(line)
            elif line:
                lines.append(_labelled(line, label))
    return b"".join(b"%b\n" % line for lines in families.values() for line in lines)


def _labelled(sample: bytes, label: bytes) -> bytes:
    name, brace, rest = sample.partition(b"{")
    if brace:
        return b"%b{%b,%b" % (name, label, rest)
    name, _, value = sample.partition(b" ")
    return b"%b{%b} %b" % (name, label, value)
