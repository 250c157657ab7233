"""Tests that start real processes and look into them."""
