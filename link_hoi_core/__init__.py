"""Human-object interaction detection: the LINK model, its training and its evaluation, without ROS."""

__version__ = '0.1.0'
