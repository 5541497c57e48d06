"""Other services, as volumes need them."""
