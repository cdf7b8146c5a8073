"""The login of the embedded service: one click, as the developer, with a token of the development issuer."""

import time
from dataclasses import dataclass
from pathlib import Path

from app.api.auth.dev_issuer import DEFAULT_TTL, mint
from app.sessions.store import SessionTokens


@dataclass(frozen=True, slots=True)
class EmbeddedLogin:
    data_dir: Path
    one_click: bool = True
    name: str = "the development issuer"
    form_targets: tuple[str, ...] = ()

    def tokens(self) -> SessionTokens:
        """As `pas dev-token` makes them: all roles, for a working day."""
        return SessionTokens(mint(self.data_dir), time.time() + DEFAULT_TTL)

    async def renew(self, tokens: SessionTokens) -> SessionTokens | None:
        return None
