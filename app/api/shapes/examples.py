"""Examples of the OpenAPI document."""

from typing import Any

JOB: dict[str, Any] = {
    "jobId": "88dbb65f-9634-4685-bc86-17b72d715d3e",
    "kind": "backfill",
    "name": "decrees of 2024",
    "message": "JmeDecreeDocumentCreatedEvent",
    "topic": "jme-process-archive-decreedocumentcreated",
    "configId": None,
    "state": "open",
    "result": None,
    "paused": False,
    "pausedAt": None,
    "pausedBy": None,
    "cancelledAt": None,
    "cancelledBy": None,
    "actions": [
        {"what": "paused", "by": "Erika Muster", "at": "2026-05-08T07:26:39.000Z"},
        {"what": "resumed", "by": "Erika Muster", "at": "2026-05-08T07:26:41.000Z"},
    ],
    "retryOf": None,
    "retries": [],
    "counts": {"total": 1000, "open": 400, "succeeded": 598, "failed": 2, "noDataYet": 1},
    "waiting": None,
    "rate": 120.5,
    "estimatedEnd": "2026-05-08T07:26:45.511Z",
    "started": "2026-05-08T07:26:37.123Z",
    "completed": None,
    "startedByName": "John Doe",
    "startedByExtId": "287365",
    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    "noDataAt": "2026-05-08T07:26:40.010Z",
}

WAITING_JOB: dict[str, Any] = {
    **JOB,
    "waiting": {
        "for": "source",
        "name": "JmeDecreeDocumentCreatedEvent",
        "since": "2026-05-08T07:26:39.017Z",
        "reason": "connection refused (OAuth client documents)",
        "nextTry": "2026-05-08T07:27:09.411Z",
    },
    "rate": 9.983,
    "estimatedEnd": None,
}

REFERENCE: dict[str, Any] = {
    "position": 0,
    "id": "DOC-2024-001",
    "version": 1,
    "state": "succeeded",
    "error": None,
    "attempts": 1,
    "publishedAt": "2026-05-08T07:26:37.140Z",
    "noData": None,
    "storedAt": "2026-05-08T07:26:38.001Z",
    "finishedAt": "2026-05-08T07:26:38.020Z",
    "object": {
        "artifactId": 17,
        "bucket": "archive",
        "key": "JME/DecreeDocument/68/688d…/v1",
        "versionId": "3HL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "size": 2048,
        "retainUntil": "2036-05-08T07:26:38.001Z",
    },
}

FAILED_REFERENCE: dict[str, Any] = {
    "position": 1,
    "id": "DOC-2024-002",
    "version": 1,
    "state": "failed",
    "error": {
        "message": "Failed reading artifact from source service: HTTP 503 (4 attempts)",
        "cause": "Failed reading artifact from source service: HTTP 503",
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    },
    "attempts": 4,
    "publishedAt": "2026-05-08T07:26:37.140Z",
    "noData": {"count": 1, "at": "2026-05-08T07:26:37.700Z"},
    "storedAt": None,
    "finishedAt": "2026-05-08T07:26:41.020Z",
    "object": None,
}

FAILURES: dict[str, Any] = {
    "failed": 402,
    "causes": [
        {
            "cause": "Failed reading artifact from source service: HTTP 404",
            "count": 400,
            "first": "2026-05-08T07:26:38.001Z",
            "last": "2026-05-08T07:28:11.530Z",
            "examples": [
                {
                    "position": 1,
                    "id": "DOC-2024-002",
                    "version": 1,
                    "message": "Failed reading artifact from source service: HTTP 404",
                    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                }
            ],
        }
    ],
    "others": 2,
}

RUN: dict[str, Any] = {
    "id": "e9b370b9-2f05-4f64-9c3a-0c1f6b3f0c55",
    "messageType": "JmeDecreeDocumentCreatedEvent",
    "configId": None,
    "keys": ["customer_id"],
    "mode": "automatic",
    "revision": 2,
    "allVersions": False,
    "state": "open",
    "total": 1000,
    "processed": 300,
    "updated": 299,
    "null": 4,
    "failed": 1,
    "started": "2026-05-08T07:26:37.123Z",
    "completed": None,
    "rate": 850.2,
    "estimatedEnd": "2026-05-08T07:26:38.300Z",
    "startedByName": None,
    "startedByExtId": None,
}

RUN_ERRORS: list[dict[str, Any]] = [
    {
        "artifact": 17,
        "message": "the object is not there",
        "at": "2026-05-08T07:26:37.400Z",
        "resolved": False,
    }
]

DRY_RUN: dict[str, Any] = {
    "total": 1000,
    "sample": [{"artifact": 1000, "old": {}, "new": {"customer_id": "4711"}}],
}

ARTIFACT: dict[str, Any] = {
    "id": 17,
    "messageType": "JmeDecreeDocumentCreatedEvent",
    "configId": None,
    "referenceId": "DOC-2024-001",
    "version": 1,
    "system": "JME",
    "schema": "DecreeDocument",
    "schemaVersion": 2,
    "contentType": "avro/binary",
    "size": 2048,
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "bucket": "archive",
    "key": "JME/DecreeDocument/68/688d…/v1",
    "versionId": "3HL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY",
    "archivedAt": "2026-05-08T07:26:38.001Z",
    "retainUntil": "2036-05-08T07:26:38.001Z",
    "jobId": "88dbb65f-9634-4685-bc86-17b72d715d3e",
    "metadata": {"customer_id": "4711"},
}

ARCHIVE_TYPES: dict[str, Any] = {
    "items": [
        {
            "messageType": "JmeDecreeDocumentCreatedEvent",
            "topic": "jme-process-archive-decreedocumentcreated",
            "configId": None,
            "remote": True,
            "versioned": True,
            "live": False,
            "uri": "https://documents.example.org/api/decrees/{id}/versions/{version}",
            "oauthClientId": "documents",
            "metadataKeys": ["customer_id"],
            "lastArchivedAt": "2026-05-08T07:26:38.001Z",
        }
    ],
    "schemas": [
        {
            "system": "JME",
            "name": "DecreeDocument",
            "versions": [1, 2],
            "referenceIdType": "ch.admin.bit.jeap.jme.DecreeDocument",
            "expirationDays": 3650,
        }
    ],
    "next": None,
}

SYSTEM: dict[str, Any] = {
    "components": [
        {"name": "database", "well": True, "since": "2026-05-08T06:00:02.017Z", "reason": None},
        {
            "name": "broker",
            "well": False,
            "since": "2026-05-08T07:20:11.402Z",
            "reason": "missing topic: psf-createartifact; create it, or set create-topics",
        },
        {"name": "objectstore", "well": True, "since": "2026-05-08T06:00:02.310Z", "reason": None},
        {"name": "issuer", "well": True, "since": "2026-05-08T06:00:02.120Z", "reason": None},
    ],
    "sources": [
        {
            "name": "JmeDecreeDocumentCreatedEvent",
            "client": "documents",
            "limit": 1,
            "inFlight": 0,
            "restUntil": "2026-05-08T07:27:04.000Z",
            "lastFailure": "connection refused",
            "lastFailureAt": "2026-05-08T07:26:37.900Z",
        }
    ],
    "work": {"inFlight": 64, "inHand": 936, "due": 1000, "waitingJobs": 1},
    "deadLetters": {"count": 2, "lastAt": "2026-05-07T13:05:44.220Z"},
    "configuration": {
        "well": False,
        "reason": "config/archive-types.yml: archiveTypes[0] (JmeDecreeDocumentCreatedEvent): topic: is missing",
        "since": "2026-05-08T07:02:00.511Z",
    },
    "release": "1.0.0",
    "database": {"version": "0007", "size": 734003200},
    "processes": [
        {
            "id": "0e0c2f6a-54a1-4f7c-9e6b-0a4a9c0f6d11",
            "startedAt": "2026-05-08T06:00:01.000Z",
            "seenAt": "2026-05-08T07:26:31.770Z",
            "release": "1.0.0",
        }
    ],
}

COLUMN: dict[str, Any] = {
    "messageType": "JmeDecreeDocumentCreatedEvent",
    "configId": None,
    "key": "customer_id",
    "active": True,
}

PLAN = "1.GaSNUX1LqJNYtJ1RDRyBRw.0PZ9hcKkXm_W.Hx2uYcP0r4bq.Z1oTq7sVd-3E.k9QmW4nB8xLa.Vt6yJp0eR2Ci"

PREFLIGHT: dict[str, Any] = {
    "ok": False,
    "message": "JmeDecreeDocumentCreatedEvent",
    "topic": "jme-process-archive-decreedocumentcreated",
    "configId": None,
    "references": 1000,
    "sample": [
        {
            "referenceId": "DOC-2024-001",
            "version": 1,
            "verdict": "would-fail",
            "message": "Failed reading artifact from source service: HTTP 404",
            "system": None,
            "schema": None,
            "schemaVersion": None,
            "contentType": None,
            "size": None,
            "bucket": None,
            "key": None,
            "retentionDays": None,
            "lockedUntil": None,
            "present": None,
        },
        {
            "referenceId": "DOC-2024-002 ",
            "version": 1,
            "verdict": "would-succeed",
            "message": None,
            "system": "JME",
            "schema": "DecreeDocument",
            "schemaVersion": 2,
            "contentType": "avro/binary",
            "size": 2048,
            "bucket": "archive",
            "key": "JME/DecreeDocument/68/688d…/v1",
            "retentionDays": 3650,
            "lockedUntil": "2036-05-05",
            "present": False,
        },
    ],
    "buckets": [{"bucket": "archive", "problem": None}],
    "warnings": [
        {
            "path": "archiveDataReferences[999].id",
            "line": 2002,
            "message": "'DOC-2024-002 ' has blanks around it; they belong to the id",
        }
    ],
    "plan": PLAN,
    "forecast": {
        "references": 1000,
        "bytes": {"low": 2048, "likely": 1024000, "high": 6140928},
        "lockedUntil": "2036-05-05",
        "seconds": {"low": 1.0, "likely": 1.5, "high": 12.5},
        "cost": {"amount": 0.00286, "currency": "CHF"},
    },
}

SIGNING_KEY: dict[str, Any] = {
    "name": "psf/process-archive",
    "id": "c74f20a3",
    "key": "psf/process-archive+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "present": True,
}

CHECKPOINT = (
    "psf/process-archive/jobs/88dbb65f-9634-4685-bc86-17b72d715d3e\n1000\n"
    "9PrYP1dnYDNRZ1tsP1h0tvcD8m6mR5d0MZ5tMb1Z7yw=\n"
    "content-hash 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b\nresult succeeded\n\n"
    "— psf/process-archive x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyB"
    "wJnAM=\n"
)

PROOF: dict[str, Any] = {
    "checkpoint": CHECKPOINT,
    "root": "9PrYP1dnYDNRZ1tsP1h0tvcD8m6mR5d0MZ5tMb1Z7yw=",
    "size": 1000,
    "createdAt": "2026-05-08T07:30:16.020Z",
    "bucket": "archive",
    "checkpointKey": "evidence/jobs/88dbb65f-9634-4685-bc86-17b72d715d3e/checkpoint",
    "leavesKey": "evidence/jobs/88dbb65f-9634-4685-bc86-17b72d715d3e/leaves.ndjson.gz",
    "retainUntil": "2036-05-05T07:26:38.000Z",
    "timestampKey": None,
    "timestamp": None,
}

LEAF = (
    '{"bucket":"archive","id":"DOC-2024-001","key":"JME/DecreeDocument/68/688d…/v1","position":0,'
    '"retainUntil":"2036-05-05T07:26:38.000Z","sha256":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",'
    '"size":2048,"state":"succeeded","version":1,"versionId":"3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"}'
)

INCLUSION: dict[str, Any] = {
    "index": 0,
    "leaf": LEAF,
    "hashes": ["bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=", "n4CA8sFdoz80O9Gq/0lNr6Vb2ESuO5zgTbq2oxlAyjY="],
    "checkpoint": CHECKPOINT,
}


AUDIT_ENTRY: dict[str, Any] = {
    "seq": 17,
    "at": "2026-05-08T07:26:39.000Z",
    "who": {"subject": "f3a1", "name": "Erika Muster", "extId": "287365", "client": "pas-cli"},
    "what": "job.paused",
    "subject": "job/88dbb65f-9634-4685-bc86-17b72d715d3e",
    "details": None,
    "hash": "HR1tHMcyBfPEpk5UaC+sgBH/3J9J8NPO3NbTh1RrdBA=",
}

AUDIT_PROOF: dict[str, Any] = {
    "index": 1,
    "leaf": '{"at":"2026-05-08T07:26:39.000Z","seq":1,"subject":"job/88dbb65f-9634-4685-bc86-17b72d715d3e",'
    '"what":"job.paused"}',
    "hashes": ["HR1tHMcyBfPEpk5UaC+sgBH/3J9J8NPO3NbTh1RrdBA="],
    "checkpoint": "PSF/process-archive/audit\n2\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— PSF/process-archive "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n",
}

AUDIT_DIFFERS: dict[str, Any] = {
    "type": "about:blank",
    "title": "Conflict",
    "status": 409,
    "detail": "The audit log is not what it was, so nothing of it is signed: the log was rewritten: its entries 20 to "
    "29 are not those that the checkpoint of 30 entries in the bucket is of.",
}


def page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(items), "next": None}


def shown(description: str, example: Any, **more: Any) -> dict[str, Any]:
    """An answer in JSON, for `responses=` of a route."""
    return {"description": description, "content": {"application/json": {"example": example}}, **more}
