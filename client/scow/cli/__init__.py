"""The command line `scow`: a thin user of scow.client that a Docker user already knows."""
