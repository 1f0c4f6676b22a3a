"""Where identities come from: one module for each source, imported only when it is asked."""
