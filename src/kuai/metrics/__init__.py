"""Metrics: what `Trainer` reports beside the loss, by name, from here, or any function."""

from __future__ import annotations

from kuai.metrics.metric import Metric as Metric
from kuai.metrics.metric import mean_loss as mean_loss
from kuai.metrics.names import as_metric as as_metric
from kuai.metrics.numbers import mae as mae
from kuai.metrics.numbers import mse as mse
from kuai.metrics.numbers import r2 as r2
from kuai.metrics.scores import accuracy as accuracy
from kuai.metrics.scores import confusion_matrix as confusion_matrix
from kuai.metrics.scores import f1 as f1
from kuai.metrics.scores import precision as precision
from kuai.metrics.scores import recall as recall
from kuai.metrics.scores import top_k_accuracy as top_k_accuracy
