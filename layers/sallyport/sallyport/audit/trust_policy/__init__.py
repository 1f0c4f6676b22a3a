"""What a role's trust policy lets in: an evaluator of its own (docs/posture.md says why)."""
