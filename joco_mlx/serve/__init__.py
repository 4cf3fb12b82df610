"""A model of ours for other programs on this computer, through the two interfaces that they speak."""
