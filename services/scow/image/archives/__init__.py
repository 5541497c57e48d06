"""Archives of images: Docker's and OCI layouts, read and written."""
