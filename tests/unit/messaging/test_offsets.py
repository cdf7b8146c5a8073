"""An offset is committed when every record below it is settled, in whatever order that happens."""

from app.broker import Partition, Record
from app.messaging.offsets import Offsets

PARTITION = Partition("t", 0)


def record(offset: int) -> Record:
    return Record(PARTITION, offset, None, None, ())


def taken(*offsets: int) -> tuple[Offsets, dict[int, Record]]:
    of, records = Offsets(PARTITION), {offset: record(offset) for offset in offsets}
    for each in records.values():
        of.take(each)
    return of, records


def test_nothing_is_due_before_the_first_record_is_settled() -> None:
    of, records = taken(5, 6, 7)
    assert of.due is None
    of.settle(records[6])
    of.settle(records[7])
    assert of.due is None
    of.settle(records[5])
    assert of.due == 8


def test_gaps_of_a_compacted_topic_are_no_obstacle() -> None:
    of, records = taken(5, 9)
    of.settle(records[5])
    assert of.due == 6
    of.settle(records[9])
    assert of.due == 10


def test_what_is_committed_is_not_due_again() -> None:
    of, records = taken(1, 2)
    of.settle(records[1])
    of.committed(2)
    assert of.due is None
    of.settle(records[2])
    assert of.due == 3
