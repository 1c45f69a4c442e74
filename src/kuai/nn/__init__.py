"""Layers by family, containers, and the activations as functions.

Rooms that wait for their families: conv, pool, attention, recurrent.
"""

from kuai.core.containers import BlockDict as BlockDict
from kuai.core.containers import BlockList as BlockList
from kuai.core.containers import Identity as Identity
from kuai.core.containers import Lambda as Lambda
from kuai.core.containers import Parallel as Parallel
from kuai.core.containers import Residual as Residual
from kuai.core.containers import Sequential as Sequential
from kuai.nn import activation as activation
from kuai.nn import ops as ops
from kuai.nn.activation import ELU as ELU
from kuai.nn.activation import GELU as GELU
from kuai.nn.activation import Activation as Activation
from kuai.nn.activation import LeakyReLU as LeakyReLU
from kuai.nn.activation import ReLU as ReLU
from kuai.nn.activation import Sigmoid as Sigmoid
from kuai.nn.activation import SiLU as SiLU
from kuai.nn.activation import Softmax as Softmax
from kuai.nn.activation import Tanh as Tanh
from kuai.nn.activation import celu as celu
from kuai.nn.activation import elu as elu
from kuai.nn.activation import gelu as gelu
from kuai.nn.activation import glu as glu
from kuai.nn.activation import hard_sigmoid as hard_sigmoid
from kuai.nn.activation import hard_silu as hard_silu
from kuai.nn.activation import hard_tanh as hard_tanh
from kuai.nn.activation import leaky_relu as leaky_relu
from kuai.nn.activation import log_sigmoid as log_sigmoid
from kuai.nn.activation import log_softmax as log_softmax
from kuai.nn.activation import mish as mish
from kuai.nn.activation import relu as relu
from kuai.nn.activation import relu6 as relu6
from kuai.nn.activation import selu as selu
from kuai.nn.activation import sigmoid as sigmoid
from kuai.nn.activation import silu as silu
from kuai.nn.activation import softmax as softmax
from kuai.nn.activation import softplus as softplus
from kuai.nn.activation import softsign as softsign
from kuai.nn.activation import swish as swish
from kuai.nn.activation import tanh as tanh
from kuai.nn.dense import Dense as Dense
from kuai.nn.dense import Flatten as Flatten
from kuai.nn.dropout import Dropout as Dropout
from kuai.nn.embedding import Embedding as Embedding
from kuai.nn.norm import BatchNorm as BatchNorm
from kuai.nn.norm import LayerNorm as LayerNorm
