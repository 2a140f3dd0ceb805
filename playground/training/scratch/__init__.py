"""Networks of one's own, trained from random weights, and the experiments that compare a few of them."""
