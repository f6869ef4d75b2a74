"""Adversarial training and its comparison with PeerNets (Appendix D)."""
