"""What the sides share and protobuf cannot say: the tree of errors, formats of records and state files."""
