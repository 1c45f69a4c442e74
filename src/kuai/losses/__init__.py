"""Losses: functions of (output, target), thin over optax, with one set of keywords.

- `weights`: a number for each example, or for the leading axes of the loss. The mean is then
  Σ w·l / Σ w, and what has weight 0 takes no part, NaN or not: a mask for padding.
- `reduction`: "mean" (the default), "sum", or "none" for the loss of each element.

Shapes must be equal: (n, 1) against (n,) would broadcast to (n, n) and train on nonsense. 16-bit
floats are widened, so that the loss is float32 at least. A target that makes no sense (a label that
is no class) raises when its value is known; inside a compiled program no value is, and the loss is
NaN there rather than silently that of another class.
"""

from __future__ import annotations

from kuai.losses.classes import binary_cross_entropy as binary_cross_entropy
from kuai.losses.classes import nll as nll
from kuai.losses.classes import softmax_cross_entropy as softmax_cross_entropy
from kuai.losses.distributions import gaussian_nll as gaussian_nll
from kuai.losses.distributions import kl_divergence as kl_divergence
from kuai.losses.distributions import poisson as poisson
from kuai.losses.imbalance import binary_focal as binary_focal
from kuai.losses.imbalance import dice as dice
from kuai.losses.imbalance import softmax_focal as softmax_focal
from kuai.losses.margins import hinge as hinge
from kuai.losses.margins import multi_margin as multi_margin
from kuai.losses.margins import multiclass_hinge as multiclass_hinge
from kuai.losses.margins import soft_margin as soft_margin
from kuai.losses.margins import squared_hinge as squared_hinge
from kuai.losses.numbers import cosine as cosine
from kuai.losses.numbers import huber as huber
from kuai.losses.numbers import log_cosh as log_cosh
from kuai.losses.numbers import mae as mae
from kuai.losses.numbers import mse as mse
from kuai.losses.numbers import smooth_l1 as smooth_l1
from kuai.losses.pairs import cosine_embedding as cosine_embedding
from kuai.losses.pairs import hinge_embedding as hinge_embedding
from kuai.losses.pairs import margin_ranking as margin_ranking
from kuai.losses.pairs import triplet_margin as triplet_margin
from kuai.losses.relative import mape as mape
from kuai.losses.relative import msle as msle
from kuai.losses.relative import quantile as quantile
from kuai.losses.sequences import ctc as ctc
