"""What tests share: engines of their own, registries, images by other programs, peers."""
