"""Layers by family, containers, and the activations as functions and blocks.

The functions are JAX's own. Rooms that wait for their families: conv, pool, attention, recurrent.
"""

from jax.nn import celu as celu
from jax.nn import elu as elu
from jax.nn import gelu as gelu
from jax.nn import glu as glu
from jax.nn import hard_sigmoid as hard_sigmoid
from jax.nn import hard_silu as hard_silu
from jax.nn import hard_tanh as hard_tanh
from jax.nn import leaky_relu as leaky_relu
from jax.nn import log_sigmoid as log_sigmoid
from jax.nn import log_softmax as log_softmax
from jax.nn import mish as mish
from jax.nn import relu as relu
from jax.nn import relu6 as relu6
from jax.nn import selu as selu
from jax.nn import sigmoid as sigmoid
from jax.nn import silu as silu
from jax.nn import soft_sign as soft_sign
from jax.nn import softmax as softmax
from jax.nn import softplus as softplus
from jax.nn import swish as swish
from jax.nn import tanh as tanh

from kuai.core.containers import BlockDict as BlockDict
from kuai.core.containers import BlockList as BlockList
from kuai.core.containers import Identity as Identity
from kuai.core.containers import Lambda as Lambda
from kuai.core.containers import Parallel as Parallel
from kuai.core.containers import Repeat as Repeat
from kuai.core.containers import Residual as Residual
from kuai.core.containers import Sequential as Sequential
from kuai.nn import activation as activation
from kuai.nn import ops as ops
from kuai.nn.activation import Activation as Activation
from kuai.nn.dense import Dense as Dense
from kuai.nn.dense import Flatten as Flatten
from kuai.nn.dropout import Dropout as Dropout
from kuai.nn.embedding import Embedding as Embedding
from kuai.nn.norm import BatchNorm as BatchNorm
from kuai.nn.norm import LayerNorm as LayerNorm
from kuai.nn.rectifier import CELU as CELU
from kuai.nn.rectifier import ELU as ELU
from kuai.nn.rectifier import GELU as GELU
from kuai.nn.rectifier import SELU as SELU
from kuai.nn.rectifier import HardSiLU as HardSiLU
from kuai.nn.rectifier import LeakyReLU as LeakyReLU
from kuai.nn.rectifier import Mish as Mish
from kuai.nn.rectifier import ReLU as ReLU
from kuai.nn.rectifier import ReLU6 as ReLU6
from kuai.nn.rectifier import SiLU as SiLU
from kuai.nn.rectifier import Softplus as Softplus
from kuai.nn.squashing import GLU as GLU
from kuai.nn.squashing import HardSigmoid as HardSigmoid
from kuai.nn.squashing import HardTanh as HardTanh
from kuai.nn.squashing import LogSigmoid as LogSigmoid
from kuai.nn.squashing import LogSoftmax as LogSoftmax
from kuai.nn.squashing import Sigmoid as Sigmoid
from kuai.nn.squashing import Softmax as Softmax
from kuai.nn.squashing import SoftSign as SoftSign
from kuai.nn.squashing import Tanh as Tanh
