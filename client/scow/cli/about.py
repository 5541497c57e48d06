"""The version of the client. Written down here: importlib.metadata takes 30 ms to find it."""

VERSION = "0.1.0"
