"""What is said about an image beside it: how it was built (`provenance`), and what is in it (`sbom`, `spdx`).

`bundle` makes of it what registries keep. Nothing here reads files or waits.
"""
