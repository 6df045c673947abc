"""Mutual information, all in nats, in six modules to be read in this order.

`exact`: values of tables, of samples, and of items with their attributes. `bounds`: variational bounds from a matrix of
critic scores, and what a loss can certify. `critics`: small critics, and a loop that trains one. `known_truths`: pairs
of variables whose information has a closed form. `measured`: what the four critics of a trained model show.
`gradients`: whose gradient moves the weights. The public names of the first four can be had from here.
"""

from s3rec_lite.information import bounds, critics, exact, known_truths
from s3rec_lite.information.bounds import *  # noqa: F403
from s3rec_lite.information.critics import *  # noqa: F403
from s3rec_lite.information.exact import *  # noqa: F403
from s3rec_lite.information.known_truths import *  # noqa: F403

__all__ = sorted([*exact.__all__, *bounds.__all__, *critics.__all__, *known_truths.__all__])
