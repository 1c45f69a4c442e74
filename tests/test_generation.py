"""Generation: the loop against one written out, how tokens are drawn, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai.models.generation import _among_likeliest, _Draw, _drawn

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
    drawn = jax.vmap(lambda key: _drawn(LOGITS, how, numbers, key)[0])(keys)
    return np.bincount(np.asarray(drawn), minlength=4) / 4000


def test_tokens_are_drawn_as_often_as_they_are_likely():
    np.testing.assert_allclose(
        frequencies(_Draw(True, None, False)), [0.5, 0.25, 0.15, 0.1], atol=0.03
    )


def test_temperature_sharpens():
    sharp = np.array([0.5, 0.25, 0.15, 0.1]) ** 2
    found = frequencies(_Draw(True, None, False), temperature=0.5)
    np.testing.assert_allclose(found, sharp / sharp.sum(), atol=0.03)


def test_top_k_keeps_the_likeliest():
    np.testing.assert_allclose(frequencies(_Draw(True, 2, False)), [2 / 3, 1 / 3, 0, 0], atol=0.03)


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, 1), (0.49, 1), (0.51, 2), (0.76, 3), (0.91, 4), (1.0, 4)]
)
def test_top_p_keeps_the_fewest_that_have_it_together(top_p, kept):
    found = _among_likeliest(LOGITS, jnp.float32(top_p))
    assert np.isfinite(found).sum() == kept


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tokens": jnp.ones((1, 2))}, "DtypeError", "tokens of an integer dtype, got float32"),
        ({"tokens": jnp.ones(2, int)}, "ShapeError", r"tokens \(batch, prompt\) .* shape \(2,\)"),
        ({"tokens": jnp.ones((1, 0), int)}, "ShapeError", "at least one token"),
        ({"length": -1}, "ArgumentError", "length to be an integer from 0 up, got -1"),
        ({"length": 20}, "ArgumentError", "at most 16 tokens, those that GPT2 has positions for"),
        ({"lengths": [1, 2]}, "ShapeError", r"lengths of shape \(1,\)"),
        ({"lengths": [3]}, "ArgumentError", "lengths from 1 to 2"),
        ({"temperature": -1.0}, "ArgumentError", "temperature to be a number from 0 up, got -1.0"),
        ({"top_k": 0}, "ArgumentError", "top_k to be an integer from 1 up, got 0"),
        ({"top_p": 1.5}, "ArgumentError", "top_p to be a number above 0 and up to 1, got 1.5"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, error, message):
    given = {"tokens": jnp.ones((1, 2), int), "length": 3, **arguments}
    with pytest.raises(getattr(kuai.errors, error), match=message):
        NETS["gpt2"]().generate(**given)
