"""Bags: score the model on one, record what it says of one, export one for labelling."""
