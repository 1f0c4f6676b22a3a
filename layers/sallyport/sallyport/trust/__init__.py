"""Pure trust decisions: the trust file, its conditions, and who may have which role."""
