"""The Container Network Interface, as its runtime: configurations, plugins, chains of them, cached results.

Source: the CNI specification 1.1.0, whose sections the modules name.
"""
