"""The layers' arithmetic as pure functions of arrays: no blocks, no state, no modes."""

from __future__ import annotations

from kuai.nn.ops.adaptive_pooling import adaptive_avg_pool as adaptive_avg_pool
from kuai.nn.ops.adaptive_pooling import adaptive_max_pool as adaptive_max_pool
from kuai.nn.ops.attending import attention as attention
from kuai.nn.ops.attending import rotate as rotate
from kuai.nn.ops.convolution import conv as conv
from kuai.nn.ops.convolution import conv_transpose as conv_transpose
from kuai.nn.ops.dropping import alpha_dropout as alpha_dropout
from kuai.nn.ops.dropping import dropout as dropout
from kuai.nn.ops.gru_scan import gru as gru
from kuai.nn.ops.linear import bilinear as bilinear
from kuai.nn.ops.linear import dense as dense
from kuai.nn.ops.lookup import embedding as embedding
from kuai.nn.ops.lstm_scan import lstm as lstm
from kuai.nn.ops.norm import batch_norm as batch_norm
from kuai.nn.ops.norm import group_norm as group_norm
from kuai.nn.ops.norm import layer_norm as layer_norm
from kuai.nn.ops.norm import local_response_norm as local_response_norm
from kuai.nn.ops.norm import moments as moments
from kuai.nn.ops.norm import rms_norm as rms_norm
from kuai.nn.ops.padding import pad as pad
from kuai.nn.ops.pooling import avg_pool as avg_pool
from kuai.nn.ops.pooling import max_pool as max_pool
from kuai.nn.ops.resizing import resize as resize
from kuai.nn.ops.rnn_scan import rnn as rnn
from kuai.nn.ops.shuffling import pixel_shuffle as pixel_shuffle
from kuai.nn.ops.shuffling import pixel_unshuffle as pixel_unshuffle

__all__ = ["adaptive_avg_pool", "adaptive_max_pool", "alpha_dropout", "attention", "avg_pool",
           "batch_norm", "bilinear", "conv", "conv_transpose", "dense", "dropout", "embedding",
           "group_norm", "gru", "layer_norm", "local_response_norm", "lstm", "max_pool",
           "moments", "pad", "pixel_shuffle", "pixel_unshuffle", "resize", "rms_norm", "rnn",
           "rotate"]  # fmt: skip
