"""Generation: the loop against one written out, how tokens are drawn, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.models.drawing import Draw, among_likeliest, drawn

VOCABULARY, LONGEST = 12, 16
NETS = {
    "gpt2": lambda: kuai.models.GPT2(VOCABULARY, width=8, layers=2, heads=2, positions=LONGEST),
    "llama": lambda: kuai.models.Llama(
        VOCABULARY, width=8, layers=2, heads=4, key_heads=2, hidden=12
    ),
    "lstm": lambda: kuai.models.LSTMLanguageModel(VOCABULARY, width=8, layers=2),
}


@pytest.fixture(
    params=["gpt2", "lstm", pytest.param("llama", marks=pytest.mark.slow)], scope="module"
)
def net(request):
    made = NETS[request.param]()
    made(jnp.zeros((1, 1), jnp.int32))
    for holder in made.parameters():
        holder.array = holder.array * 5  # so that the likeliest token is clear
    return made


def written_out(net, prompt, length):
    """Greedy, without a cache: the whole sequence again for every token."""
    tokens = list(prompt)
    for _ in range(length):
        padded = [*tokens, *[0] * (LONGEST - len(tokens))]  # what follows changes nothing before
        logits = net(jnp.asarray([padded]))
        tokens.append(int(logits[0, len(tokens) - 1].argmax()))
    return tokens


def test_greedy_is_the_likeliest_token_each_time(net):
    prompts = [[1, 2, 3], [4, 5, 6]]
    made = net.generate(jnp.array(prompts), 6)
    assert made.tolist() == [written_out(net, prompt, 6) for prompt in prompts]
    assert net.hybridize().generate(jnp.array(prompts), 6).tolist() == made.tolist()
    net.hybridize(False)
    assert net.generate(jnp.array(prompts), 6).tolist() == made.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_a_net_need_not_have_been_called_before(name):
    assert NETS[name]().generate([[1, 2]], 3).shape == (1, 5)


def test_prompts_of_different_lengths_are_each_as_if_alone(net):
    prompts = np.array([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]])
    counts = np.array([4, 2, 1])
    made = net.generate(prompts, 5, lengths=counts)
    for row, prompt, count in zip(made, prompts, counts, strict=True):
        assert row[: count + 5].tolist() == written_out(net, prompt[:count], 5)
        assert row[count + 5 :].tolist() == [0] * (4 - count)


def test_what_stands_behind_the_end_token_is_the_end_token(net):
    prompt = [1, 2, 3]
    whole = written_out(net, prompt, 6)
    end = whole[4]
    first = whole.index(end, 3)
    made = net.generate(jnp.array([prompt]), 6, end=end)[0].tolist()
    assert made == whole[: first + 1] + [end] * (len(whole) - first - 1)


def test_an_end_token_in_the_prompt_ends_nothing(net):
    made = net.generate(jnp.array([[3, 3, 3]]), 4, end=3)
    without = written_out(net, [3, 3, 3], 4)
    stop = without.index(3, 3) if 3 in without[3:] else len(without)
    assert made[0, :stop].tolist() == without[:stop]


def test_draws_follow_the_key(net):
    draw = lambda seed: net.generate(  # noqa: E731  # used here only
        jnp.ones((4, 1), jnp.int32), 8, temperature=2.0, key=jax.random.key(seed)
    ).tolist()
    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    kuai.seed(5)
    one = net.generate(jnp.array([[1]]), 9, temperature=3.0).tolist()
    kuai.seed(5)
    assert net.generate(jnp.array([[1]]), 9, temperature=3.0).tolist() == one


def test_the_loop_stops_when_all_have_ended():
    """A net that always says 3 is called once for the prompt and once for the token."""
    calls = []

    class Three(kuai.models.LanguageModel):
        def make_cache(self, batch, length):
            return jnp.zeros(())

        def forward(self, tokens, *, cache=None):
            jax.debug.callback(lambda: calls.append(1))
            logits = jnp.broadcast_to(jax.nn.one_hot(3, 5), (*tokens.shape, 5))
            return logits if cache is None else (logits, cache)

    made = Three().generate(jnp.array([[1, 2], [2, 2]]), 50, end=3)
    jax.effects_barrier()
    assert made[:, 2:].tolist() == [[3] * 50] * 2
    assert len(calls) == 2


LOGITS = jnp.log(jnp.array([[0.5, 0.25, 0.15, 0.1]]))


def frequencies(how, temperature=1.0, top_p=1.0):
    keys = jax.random.split(jax.random.key(0), 4000)
    numbers = jnp.float32(temperature), jnp.float32(top_p)
    made = jax.vmap(lambda key: drawn(LOGITS, how, numbers, key)[0])(keys)
    return np.bincount(np.asarray(made), minlength=4) / 4000


def test_tokens_are_drawn_as_often_as_they_are_likely():
    np.testing.assert_allclose(
        frequencies(Draw(True, None, False)), [0.5, 0.25, 0.15, 0.1], atol=0.03
    )


def test_temperature_sharpens():
    sharp = np.array([0.5, 0.25, 0.15, 0.1]) ** 2
    found = frequencies(Draw(True, None, False), temperature=0.5)
    np.testing.assert_allclose(found, sharp / sharp.sum(), atol=0.03)


def test_top_k_keeps_the_likeliest():
    np.testing.assert_allclose(frequencies(Draw(True, 2, False)), [2 / 3, 1 / 3, 0, 0], atol=0.03)


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, 1), (0.49, 1), (0.51, 2), (0.76, 3), (0.91, 4), (1.0, 4)]
)
def test_top_p_keeps_the_fewest_that_have_it_together(top_p, kept):
    found = among_likeliest(LOGITS, jnp.float32(top_p))
    assert np.isfinite(found).sum() == kept


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tokens": jnp.ones((1, 2))}, "DtypeError", "tokens of an integer dtype, got float32"),
        ({"tokens": jnp.ones(2, int)}, "ShapeError", r"tokens \(batch, prompt\) .* shape \(2,\)"),
        ({"tokens": jnp.ones((1, 0), int)}, "ShapeError", "at least one token"),
        ({"tokens": [[1, 2], [3]]}, "ShapeError", "tokens in one array, got .*; fill .* lengths="),
        ({"tokens": [[1, 99]]}, "ArgumentError", "tokens from 0 to 11, those that GPT2 .* got 99;"),
        ({"tokens": [[-1, 2]]}, "ArgumentError", "tokens from 0 to 11, .* got -1; encode the text"),
        ({"length": -1}, "ArgumentError", "length to be an integer of at least 0, got -1"),
        ({"length": 2.5}, "ArgumentError", "length to be an integer of at least 0, got 2.5"),
        ({"length": 20}, "ArgumentError", "at most 16 tokens at once, .* got 22 .* window=16"),
        ({"window": 0}, "ArgumentError", "window to be an integer of at least 1, got 0"),
        ({"window": 17}, "ArgumentError", "at most 16 tokens .* got window=17; write window=16"),
        ({"lengths": [1, 2]}, "ShapeError", r"lengths of shape \(1,\)"),
        ({"lengths": [3]}, "ArgumentError", "lengths from 1 to 2"),
        ({"lengths": [1.5]}, "DtypeError", "lengths of an integer dtype, got float64"),
        ({"temperature": -1.0}, "ArgumentError", "temperature to be a number from 0 up, got -1.0"),
        ({"temperature": "hot"}, "ArgumentError", "temperature to be a number .* got 'hot'"),
        ({"temperature": np.nan}, "ArgumentError", "temperature to be a number .* got nan"),
        ({"top_k": 0}, "ArgumentError", "top_k to be an integer of at least 1, got 0"),
        ({"top_k": 2.5}, "ArgumentError", "top_k to be an integer of at least 1, got 2.5"),
        ({"top_p": 1.5}, "ArgumentError", "top_p to be a number above 0 and up to 1, got 1.5"),
        ({"top_p": "half"}, "ArgumentError", "top_p to be a number above 0 .* got 'half'"),
        ({"end": 1.5}, "ArgumentError", "end to be an integer of at least 0, got 1.5"),
        ({"end": 99}, "ArgumentError", "end to be a token of GPT2, from 0 to 11, got 99"),
        (
            {"temperature": 1.0, "key": 3},
            "ArgumentError",
            r"key to be one random key, got 3; write for example key=jax.random.key\(3\)",
        ),
        (
            {"temperature": 1.0, "key": jax.random.split(jax.random.key(0))},
            "ArgumentError",
            r"key to be one random key, got an array of key<fry> \(2,\)",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, error, message):
    given = {"tokens": jnp.ones((1, 2), int), "length": 3, **arguments}
    with pytest.raises(getattr(kuai.errors, error), match=f"^generate: expected .*{message}"):
        NETS["gpt2"]().generate(**given)


def test_a_token_out_of_range_is_refused_each_time(net):
    for tokens in ([[1, 99]], [[1, -1]]) * 2:
        with pytest.raises(kuai.errors.ArgumentError, match="expected tokens from 0 to 11"):
            net.generate(tokens, 3)


def test_numbers_may_be_numpys(net):
    made = net.generate([[1, 2]], np.int64(3), end=np.int64(7), lengths=[2]).tolist()
    assert made == net.generate([[1, 2]], 3, end=7).tolist()
    raw = jax.random.PRNGKey(0)
    assert net.generate([[1]], 3, temperature=np.float32(0.5), key=raw).shape == (1, 4)


def test_more_vectors_are_more_tokens():
    net = NETS["lstm"]()
    net.tokens = nn.Embedding(20, 8)
    assert net.generate([[19]], 2).shape == (1, 3)
    with pytest.raises(kuai.errors.ArgumentError, match="expected tokens from 0 to 19"):
        net.generate([[20]], 2)


class Writer(kuai.Block):
    """A net that writes as a part of what it does."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, tokens, lengths=None):
        return self.net.generate(tokens, 4, lengths=lengths)


@pytest.mark.parametrize("lengths", [None, [4, 2]])
def test_a_compiled_block_may_write(net, lengths):
    tokens = jnp.array([[1, 2, 3, 4], [5, 6, 0, 0]])
    lengths = None if lengths is None else jnp.array(lengths)
    wanted = net.generate(tokens, 4, lengths=lengths).tolist()
    assert Writer(net).hybridize()(tokens, lengths).tolist() == wanted
    assert jax.jit(lambda tokens: net.generate(tokens, 4))(tokens[:1]).tolist() == wanted[:1]


def test_a_compiled_block_that_was_never_called_may_write():
    assert Writer(NETS["gpt2"]()).hybridize()(jnp.array([[1, 2]])).shape == (1, 6)


def slid(net, prompt, length, window):
    """Greedy: the net on the last tokens alone, for every token."""
    tokens = list(prompt)
    for _ in range(length):
        logits = net(jnp.asarray([tokens[-window:]]))
        tokens.append(int(logits[0, -1].argmax()))
    return tokens


@pytest.mark.parametrize("prompt", [[1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_a_window_slides_over_what_is_written(net, prompt):
    made = net.generate([prompt], 10, window=5)
    assert made[0].tolist() == slid(net, prompt, 10, 5)


@pytest.mark.slow
def test_a_window_beyond_the_positions_of_the_net():
    net = NETS["gpt2"]()
    made = net.generate([[1, 2, 3], [4, 0, 0]], 30, lengths=[3, 1], window=LONGEST)
    assert made[0].tolist() == slid(net, [1, 2, 3], 30, LONGEST)
    assert made[1, :31].tolist() == slid(net, [4], 30, LONGEST)


def test_a_window_that_is_never_full_changes_nothing(net):
    made = net.generate([[1, 2]], 5)
    assert net.generate([[1, 2]], 5, window=7).tolist() == made.tolist()


@pytest.mark.parametrize("name", ["gpt2", pytest.param("llama", marks=pytest.mark.slow)])
def test_a_layer_may_be_replaced(name):
    net = NETS[name]()
    net(jnp.zeros((1, 1), jnp.int32))
    wider = nn.MultiHeadAttention(2, head_width=6, causal=True)
    net.layers[1] = nn.TransformerEncoderLayer(wider, 8, norm_first=True)
    for _ in range(2):  # the second call is compiled
        assert net.generate([[1, 2, 3]], 6)[0].tolist() == written_out(net, [1, 2, 3], 6)


def test_a_layer_without_memory_is_told():
    net = NETS["gpt2"]()
    net(jnp.zeros((1, 1), jnp.int32))
    net.layers[1] = nn.Residual(nn.Dense(8))
    message = (
        r"GPT2.make_cache: expected layers that have make_cache\(batch, length\), got Residual"
    )
    with pytest.raises(kuai.errors.ArgumentError, match=message):
        net.generate([[1]], 2)
