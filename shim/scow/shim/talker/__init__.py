"""The shim's API: sessions and further processes."""
