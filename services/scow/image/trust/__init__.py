"""The trust policy: which images may be pulled and run, and by whose signatures.

`policy` reads the file, `keys` are who signs, `cosign` is the form that signatures have, `check` decides.
"""
