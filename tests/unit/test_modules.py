"""No module of app/ is without a unit test: each is imported, by its name, in a file of tests/unit."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ELSEWHERE: dict[str, str] = {
    "app.api.artifacts.tables": "through its endpoint: api/artifacts/test_tables.py",
    "app.api.audit.rows": "through its endpoint: api/audit/test_audit.py",
    "app.api.auth.claims": "through Authenticator: api/auth/test_auth_tokens.py",
    "app.api.auth.tokens": "through Authenticator: api/auth/test_auth_tokens.py",
    "app.api.http.query": "through the endpoints that take queries: api/runs/test_endpoints.py",
    "app.api.jobs.filters": "through the list of jobs: api/jobs/test_job_list.py",
    "app.api.jobs.submitters": "through submit and retry: api/jobs/test_job_list.py",
    "app.api.reconcile.rows": "through its endpoint: api/reconcile/test_reconcile.py",
    "app.api.shapes.csv_rows": "through the CSV of references: api/jobs/test_references.py",
    "app.api.shapes.formats": "through the lists that have formats: api/jobs/test_references.py",
    "app.api.shapes.ids": "through the paths that have ids: api/runs/test_endpoints.py",
    "app.api.shapes.texts": "through the endpoints that take texts: api/runs/test_endpoints.py",
    "app.avro.write_union": "through compile_avro_writer: avro/test_write.py",
    "app.avro.write_values": "through compile_avro_writer: avro/test_write.py",
    "app.api.submission.expected": "through the endpoint of reconcile: api/reconcile/test_reconcile.py",
    "app.api.submission.streamed_yaml": "through the endpoint of reconcile: api/reconcile/test_reconcile.py",
    "app.broker.topic_files": "through EmbeddedBroker: broker/test_embedded.py",
    "app.catalog.entries": "through load_catalog: catalog/test_archive_types.py",
    "app.catalog.entry": "through load_archive_types: catalog/test_archive_types.py",
    "app.catalog.exact_rules": "through Registry: catalog/test_numbers.py",
    "app.catalog.large": "starts processes: tests/integration/processes/test_large_documents.py",
    "app.catalog.live_conditions": "through load_archive_types: catalog/test_live_entries.py",
    "app.catalog.live_entries": "through load_archive_types: catalog/test_live_entries.py",
    "app.catalog.plain_yaml": "through load_archive_types: catalog/test_live_entries.py",
    "app.catalog.python_functions": "through load_archive_types: catalog/test_live_entries.py",
    "app.catalog.templates": "through load_catalog: catalog/test_archive_types.py",
    "app.catalog.worker": "through LargeDocuments: tests/integration/processes/test_large_documents.py",
    "app.cli.audit": "through the program: cli/test_audit.py",
    "app.cli.audit_checks": "through check_package: cli/test_evidence.py",
    "app.cli.backfill": "through the program: cli/test_backfill.py",
    "app.cli.evidence": "through the program: cli/test_evidence.py",
    "app.cli.files": "through the program: cli/test_artifacts.py",
    "app.cli.howto": "followed in a shell: tests/integration/processes/test_howto.py",
    "app.cli.jeap_texts": "through the program: cli/test_backfill.py",
    "app.cli.job_changes": "through the program: cli/test_jobs.py",
    "app.cli.job_texts": "through the program: cli/test_jobs.py",
    "app.cli.jobs": "through the program: cli/test_jobs.py",
    "app.cli.metadata": "through the program: cli/test_metadata.py",
    "app.cli.pages": "through the program: cli/test_jobs.py",
    "app.cli.preflight_texts": "through the program: cli/test_jobs.py",
    "app.cli.profiles": "through the program: cli/test_profiles.py",
    "app.cli.report_reader": "through check_package: cli/test_evidence.py",
    "app.cli.reconcile": "through the program: cli/test_reconcile.py",
    "app.cli.watch": "through the program: cli/test_follow.py",
    "app.db.causes": "through its endpoint: api/jobs/test_failures.py",
    "app.db.clock_repair": "needs PostgreSQL: tests/integration/test_db_foreign_keys.py",
    "app.db.failures": "through its endpoint: api/jobs/test_failures.py",
    "app.db.occupancy": "through the look at a database: process/test_database_probe.py",
    "app.db.pages": "through JobControl: jobs/test_control.py",
    "app.db.reconcile": "through Reconciliation: evidence/test_reconcile.py",
    "app.db.references": "through its endpoint: api/jobs/test_references.py",
    "app.db.samples": "through RunControl: metadata/test_control.py",
    "app.db.stored_objects": "through Artifacts and runs: metadata",
    "app.domain.failures": "through its endpoint: api/jobs/test_failures.py",
    "app.domain.known_types": "through the list of archive types: api/archive_types",
    "app.domain.references_csv": "through the command line: cli/test_references_csv.py",
    "app.domain.references": "through its endpoint: api/jobs/test_references.py",
    "app.live.conditions": "through decide: live/test_conditions.py",
    "app.live.payloads": "through decide: live/test_payloads.py",
    "app.live.references": "through decide: live/test_references.py",
    "app.objectstore.s3_buckets": "needs S3: tests/integration/test_objectstore_s3.py",
    "app.outgoing.bad_answers": "through HttpSources: sources/test_http_faults.py",
    "app.settings.checks": "through load_settings: settings/test_settings.py",
    "app.settings.values": "through load_settings: settings/test_settings.py",
    "app.sources.body": "through HttpSources: sources/test_http_answers.py",
    "app.sources.statuses": "through HttpSources: sources/test_http_answers.py",
    "app.sources.token_answers": "through TokenCache: sources/test_oauth.py",
    "app.telemetry.environment_checks": "through environment: test_telemetry_environment.py",
    "app.telemetry.spans": "through traces: test_telemetry_traces.py",
    "app.ui.addresses": "through the login: ui/test_session.py",
    "app.ui.artifacts.artifact": "through the page in Chromium: tests/browser/test_every_view.py",
    "app.ui.artifacts.searched": "through the page in Chromium: tests/browser/test_every_view.py",
    "app.ui.cookies": "through the login: ui/test_session.py",
    "app.ui.forms": "through what is done to jobs: ui/test_session.py",
    "app.ui.jobs.acts": "through the page: ui/test_jobs.py",
    "app.ui.jobs.job": "through the page: ui/test_jobs.py",
    "app.ui.jobs.listed": "through the page: ui/test_jobs.py",
    "app.ui.jobs.new": "through the page in Chromium: tests/browser/test_jobs.py",
    "app.ui.jobs.references": "through the page: ui/test_jobs.py",
    "app.ui.login.endpoints": "through the page: ui/test_session.py",
    "app.ui.metadata.by_hand": "through the page in Chromium: tests/browser/test_artifacts.py",
    "app.ui.metadata.runs": "through the page in Chromium: tests/browser/test_artifacts.py",
    "app.ui.operator": "through the page: ui/test_session.py",
    "app.ui.queries": "through the lists: ui/test_jobs.py",
    "app.ui.routes": "through the page: ui/test_jobs.py",
    "app.ui.state.archive_types": "through the page in Chromium: tests/browser/test_every_view.py",
    "app.ui.state.system": "through the page in Chromium: tests/browser/test_every_view.py",
    "app.verify.compare": "through verify: verify/test_findings_on_disk.py",
}
"""Modules that no unit test imports, and where they are tested."""


def modules() -> set[str]:
    """Names of all modules that have more than a first line."""
    paths = [path for path in (ROOT / "app").rglob("*.py") if len(path.read_text().splitlines()) > 1]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths}


@cache
def imported() -> frozenset[str]:
    """What the files of tests/unit import: modules, and names of modules that may be modules."""
    found: set[str] = set()
    for path in (ROOT / "tests" / "unit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def test_every_module_has_a_unit_test() -> None:
    assert modules() - imported() - set(ELSEWHERE) == set()


def test_the_exceptions_are_needed() -> None:
    assert set(ELSEWHERE) & imported() == set(), "there is a unit test now: take it off the list"
    assert set(ELSEWHERE) <= modules()


def test_no_class_name_stands_for_two_things() -> None:
    names = [
        name
        for file in (ROOT / "app").rglob("*.py")
        for name in re.findall(r"^\s*class (\w+)[(\[:]", file.read_text(), re.MULTILINE)
    ]
    assert sorted(name for name, count in Counter(names).items() if count > 1) == []
