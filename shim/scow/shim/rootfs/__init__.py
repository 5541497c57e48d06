"""The root file system: overlay, mounts, devices, copy-up into volumes, pivot."""
