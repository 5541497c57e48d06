"""The root file system: overlay, mounts, devices, copies of its content for volumes, pivot."""
