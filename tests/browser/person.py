"""A person before the page in Chromium: what the browser complains of is noted, and so is every request elsewhere."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from playwright.sync_api import BrowserContext, Dialog, Locator, Page, Request, expect

from tests.servers.chromium import axe
from tests.support.service import Service

PATIENCE = 20_000
"""Milliseconds that a person waits for what the page shows: the machine may be busy."""

expect.set_options(timeout=PATIENCE)


@dataclass
class Person:
    context: BrowserContext
    page: Page
    service: Service
    complaints: list[str] = field(default_factory=list)
    """Messages of the console, errors of scripts, broken policies, requests to other hosts."""

    def watch(self) -> None:
        page = self.page
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._elsewhere)
        page.on("dialog", self._asked)

    def _elsewhere(self, request: Request) -> None:
        if not request.url.startswith(self.service.url):
            self.complaints.append(f"elsewhere: {request.url}")

    def _asked(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def goes(self, path: str) -> None:
        self.page.goto(f"{self.service.url}{path}")

    def logs_in(self) -> None:
        self.goes("/")
        self.clicks("Log in as the developer")
        expect(self.page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()

    def clicks(self, name: str | re.Pattern[str], role: Any = "button") -> None:
        self.page.get_by_role(role, name=name, exact=isinstance(name, str)).click()

    def sees(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.locator("main")).to_contain_text(text)

    def heading(self, name: str) -> Locator:
        return self.page.get_by_role("heading", name=name)

    def at_job(self, job_id: UUID, more: str = "") -> None:
        self.goes(f"/ui/jobs/{job_id}{more}")

    def writes(self, yaml: str) -> None:
        self.page.get_by_role("textbox", name="What is archived (YAML)").fill(yaml)

    def hindrances(self, only: str | None = None) -> list[str]:
        """What axe finds on the view, small things included; `only` by one rule."""
        if not self.page.evaluate("typeof window.axe !== 'undefined'"):
            self.page.evaluate(axe().read_text())
        found = self.page.evaluate(
            "(rule) => axe.run(rule ? {runOnly: [rule]} : {}).then((found) => JSON.stringify(found.violations))", only
        )
        return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}" for each in json.loads(found)]

    def width(self) -> int:
        """Of all that is there, in pixels: more than the window has means that one must scroll sideways."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def downloads(self, name: str) -> str:
        """The content of the file behind a link."""
        with self.page.expect_download() as begun:
            self.clicks(name, "link")
        return Path(begun.value.path()).read_text()


MakePerson = Callable[..., Person]
