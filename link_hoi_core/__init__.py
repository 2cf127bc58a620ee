"""Human-object interactions without ROS: the LINK model, its training and its evaluation."""

__version__ = '0.1.0'
