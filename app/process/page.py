"""Builds the page for operators from the settings: its sessions, and the way to log in."""

import httpx

from app.api.auth.callers import KeySets
from app.api.edge import Edge
from app.db.database import Database
from app.jobs.minutes import JobMinutes
from app.outgoing.trust import trusted
from app.process.data_dir import kept_key
from app.sessions.sealing import Sealing
from app.sessions.store import Sessions
from app.settings.model import Settings
from app.system.source_limits import SourceLimits
from app.ui.login.code_flow import CodeFlow
from app.ui.login.embedded import EmbeddedLogin
from app.ui.login.issuer import IssuerClient, LoginClient
from app.ui.page import LoginWay, Page


def open_page(
    settings: Settings, edge: Edge, database: Database, key_sets: KeySets, limits: SourceLimits, release: str
) -> Page | None:
    """The page for operators; None where the settings have none."""
    if not settings.has_page:
        return None
    login: LoginWay
    if settings.data_dir is not None:
        sealing = Sealing(kept_key(settings.data_dir))
        login = EmbeddedLogin(settings.data_dir)
    else:
        client = settings.ui_client
        secret = None if client.client_secret is None else client.client_secret.get_secret_value()
        key = settings.ui.session_key.get_secret_value() if settings.ui.session_key is not None else secret
        # a public client has no secret: then the URL of the database is what only our processes know
        sealing = Sealing((key or settings.datasource.url.get_secret_value()).encode())
        issuer = IssuerClient(
            LoginClient(client.issuer, client.client_id, secret, client.scope),
            lambda: httpx.AsyncClient(verify=trusted(), trust_env=False),
        )
        login = CodeFlow(issuer, key_sets, sealing)
    sessions = Sessions(database, sealing)
    minutes = JobMinutes(database)
    return Page(edge, sessions, login, minutes, limits, release, settings.ui.trace_url, settings.ui.address)
