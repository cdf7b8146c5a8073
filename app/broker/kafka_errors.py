"""Errors of Kafka by what they mean for a producer."""

from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    RecordListTooLargeError,
)

FATAL = (InvalidProducerEpoch, InvalidProducerIdMapping, OutOfOrderSequenceNumber, ProducerClosed, ProducerFenced)
"""The broker and the producer no longer agree about sequence numbers: only a new producer id helps."""

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
"""Above `max.message.bytes`, or above `segment.bytes`."""
