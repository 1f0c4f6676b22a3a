"""Tenant isolation with Amazon Cognito: what a pool's tokens tell AWS, and whether it can be relied on."""
