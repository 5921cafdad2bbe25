"""Looks at every link between a job and its credential, one after the other, and says what to change."""
