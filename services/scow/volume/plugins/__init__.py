"""Which volume plugins there are, and which are disabled: `plugins`, its table `store`, the wire shell `rpc`.

How they are found and asked is in `scow.volume.drivers.plugin`.
"""
