"""The subcommands of `python -m link_hoi_core.evaluate`, one a module."""
