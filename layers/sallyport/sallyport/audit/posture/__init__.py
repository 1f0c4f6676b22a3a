"""What is the case in an account, and whether the audit still hears: looked at, not told by events."""
