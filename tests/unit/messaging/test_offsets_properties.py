"""Whatever the order in which records are settled, nothing above an unsettled one is ever due."""

from hypothesis import given
from hypothesis import strategies as st

from app.broker import Partition, Record
from app.messaging.offsets import Offsets

PARTITION = Partition("t", 0)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Takes and settlements in an order that can be: each record is settled once, or never, after it was taken."""
    offsets = sorted(draw(st.sets(st.integers(0, 200), min_size=1, max_size=30)))
    events: list[tuple[float, str, int]] = []
    for place, offset in enumerate(offsets):
        events.append((place, "take", offset))
        if draw(st.booleans()):
            events.append((place + draw(st.floats(0.1, 40)), "settle", offset))
    commits = draw(st.lists(st.floats(0, 60), max_size=10))
    events += [(at, "commit", 0) for at in commits]
    return [(what, offset) for _, what, offset in sorted(events, key=lambda event: event[0])]


@given(histories())
def test_nothing_above_an_unsettled_record_is_due_and_all_below_it_is(history: list[tuple[str, int]]) -> None:
    of = Offsets(PARTITION)
    taken: list[int] = []
    settled: set[int] = set()
    committed: int | None = None
    for what, offset in history:
        if what == "take":
            taken.append(offset)
            of.take(Record(PARTITION, offset, None, None, ()))
        elif what == "settle":
            settled.add(offset)
            of.settle(Record(PARTITION, offset, None, None, ()))
        elif (due := of.due) is not None:
            of.committed(due)
            committed = due
        waiting = [each for each in taken if each not in settled]
        below = [each for each in taken if not waiting or each < waiting[0]]
        expected = below[-1] + 1 if below else None
        assert of.due == (None if expected == committed else expected)
