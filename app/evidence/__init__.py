"""Story six, evidence: what an auditor can check without trusting the service."""
