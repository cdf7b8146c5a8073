"""The topics of this service itself: what it writes there must not come back to it as messages to archive."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OwnTopics:
    """Topics, each with the property that names it. Of topics that are not set there is nothing here."""

    commands: Mapping[str, str] = field(default_factory=dict)
    dead_letters: Mapping[str, str] = field(default_factory=dict)
    artifact_events: Mapping[str, str] = field(default_factory=dict)
    """Where archived artifacts are announced. The topic of job events is not here: live jobs have no such events."""

    def mistake(self, topic: str, *, announces: bool) -> str | None:
        """Why a live archive type must not read this topic; None where it may. `announces`: its artifacts are
        announced."""
        if topic in self.dead_letters:
            return (
                f"{topic} is {self.dead_letters[topic]} too: dead letters of this service would be read as messages "
                f"and become dead letters again, without end; {_OTHER}"
            )
        if topic in self.commands:
            return f"{topic} is {self.commands[topic]} too: commands of this service are no messages; {_OTHER}"
        if announces and topic in self.artifact_events:
            return (
                f"{topic} is {self.artifact_events[topic]} too: each event that is archived would be announced by "
                f"another one, without end; set announce to false, or {_OTHER}"
            )
        return None


_OTHER = "name another topic in one of the two places"

NO_TOPICS = OwnTopics()
