"""The JSON of evidence."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.domain.notes import VerifierKey


class KeyView(BaseModel):
    """A key that signs checkpoints, or did so."""

    name: str
    id: Annotated[str, Field(description="hex; stands in front of every signature of this key")]
    key: Annotated[str, Field(description="C2SP verifier key, what `pas evidence verify --key` takes")]
    present: Annotated[bool, Field(description="whether it signs today")]


class KeyPage(BaseModel):
    """All keys, the present one first."""

    items: list[KeyView]
    next: None = None

    @classmethod
    def of(cls, keys: tuple[VerifierKey, ...], present: VerifierKey | None) -> "KeyPage":
        views = [KeyView(name=key.name, id=key.id.hex(), key=str(key), present=key == present) for key in keys]
        return cls(items=views)
