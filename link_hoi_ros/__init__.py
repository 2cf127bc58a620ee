"""The ROS 2 node of link_hoi, its demo and what they are made of; the model is link_hoi_core."""
