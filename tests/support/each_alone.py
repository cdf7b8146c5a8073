"""For brokers of tests."""

from collections.abc import Sequence

from app.broker import Message, send_each


class EachAlone:
    """Sends many as it sends one."""

    async def send(self, message: Message) -> None:
        raise NotImplementedError

    async def send_all(self, messages: Sequence[Message]) -> Sequence[BaseException | None]:
        return await send_each(self.send, messages)
