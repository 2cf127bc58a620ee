"""The commands of `python -m link_hoi_ros.bag`, one a file."""
