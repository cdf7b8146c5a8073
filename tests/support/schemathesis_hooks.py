"""What Schemathesis needs to know beside the document: how a body of lines is sent."""

import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "text/plain")
