"""Whose signatures count: the keys that a reviewer has pinned, from when until when, and for what."""
