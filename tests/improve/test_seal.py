"""SEAL: gradients by finite differences, training that is resumed to the last bit, files that know their model, factors by forecast."""

import random

import pytest
import torch
from torch import nn

from mechdyn.errors import InputError, NumericalError, StoreError
from mechdyn.improve import seal_training
from mechdyn.improve.output_scales import OutputScales, Scaled, scaling
from mechdyn.improve.plain import Plain
from mechdyn.improve.seal import ABOUT, SCALES, ForecastSeal, load_seal
from mechdyn.improve.seal_training import SealTraining, answer_loss, target_ids, target_text, train_seal
from mechdyn.models.load import wrap_model
from mechdyn.probes.mlp import MLPShape
from mechdyn.probes.probe import Probe
from mechdyn.tasks.niah import niah
from mechdyn.tasks.world import world
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer


@pytest.fixture(scope="module", params=["llama2", "qwen3"])
def model(request):
    return wrap_model(tiny_model(request.param), mini_tokenizer(), name=request.param)


def samples(n=3):
    return [niah(mini_tokenizer(), length=90 + 10 * index, depth=0.5, seed=index) for index in range(n)]


def test_gradients_are_those_of_finite_differences(model):
    sample, target = samples(1)[0], torch.tensor([7, 9, 11])
    values = OutputScales.ones(model).values.requires_grad_()
    with scaling(model) as factors:
        (gradient,) = torch.autograd.grad(answer_loss(model, factors, values, sample.tokens, target), values)
        for place in ((0, 1, 0), (2, 5, 0)):
            moved = [values.detach().clone() for _ in range(2)]
            moved[0][place] += 0.02
            moved[1][place] -= 0.02
            with torch.no_grad():
                up, down = (float(answer_loss(model, factors, each, sample.tokens, target)) for each in moved)
            assert (up - down) / 0.04 == pytest.approx(float(gradient[place]), rel=0.05, abs=2e-4)


def test_the_loss_is_that_of_the_answer_alone(model):
    sample = samples(1)[0]
    target = target_ids(model, sample)
    text = torch.cat([sample.tokens, target])
    log_p = Plain(model).log_probs(text)
    expected = -log_p[len(sample) - 1 : -1].gather(1, target[:, None]).mean()
    with scaling(model) as factors, torch.no_grad():
        found = answer_loss(model, factors, OutputScales.ones(model).values, sample.tokens, target)
    assert float(found) == pytest.approx(float(expected), abs=1e-4)
    assert model.tokenizer.decode(target[:-1]) == sample.answer and int(target[-1]) in model.eos_ids


def test_a_rationale_is_learned_as_it_is_asked_for():
    sample = world(mini_tokenizer(), length=300, seed=1)
    context = dict(sample.meta["context"])
    assert target_text(sample).endswith(f"So the answer is {sample.answer}.")
    assert all(context[title][index].strip() in target_text(sample) for title, index in sample.meta["facts"])
    assert target_text(world(mini_tokenizer(), length=300, seed=1, style="direct")) == sample.answer


@pytest.mark.parametrize("by_channel", [False, True])
def test_training_lowers_the_loss_and_moves_nothing_else(model, by_channel):
    before = {name: tensor.clone() for name, tensor in model.twin.state_dict().items()}
    found = train_seal(model, samples(1) * 6, SealTraining(by_channel, learning_rate=0.05))
    assert found.training["loss"][-1] < found.training["loss"][0] - 0.01
    assert found.scales.values.shape == (model.n_layers, model.n_heads, model.d_head if by_channel else 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.twin.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.twin.parameters())


def test_training_goes_on_from_any_step_as_if_it_had_not_stopped(model, tmp_path, monkeypatch):
    how, file = SealTraining(learning_rate=0.05, epochs=2), tmp_path / "progress.safetensors"
    whole = train_seal(model, samples(), how)
    done, original = [], seal_training.answer_loss

    def stopping(*arguments):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(None)
        return original(*arguments)

    monkeypatch.setattr(seal_training, "answer_loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_seal(model, samples(), how, progress=file)
    monkeypatch.setattr(seal_training, "answer_loss", original)
    again = train_seal(model, samples(), how, progress=file)
    assert torch.equal(again.scales.values, whole.scales.values) and again.training == whole.training
    with pytest.raises(StoreError, match="of another training"):
        train_seal(model, samples(), SealTraining(learning_rate=0.01), progress=file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StoreError, match="is damaged"):
        train_seal(model, samples(), how, progress=file)


def test_what_cannot_be_learned_from_is_refused(model, monkeypatch):
    with pytest.raises(InputError, match="got none"):
        train_seal(model, [], SealTraining())
    with pytest.raises(InputError, match="learning rate above 0"):
        SealTraining(learning_rate=0.0)
    monkeypatch.setattr(seal_training, "answer_loss", lambda model, factors, values, *given: values.sum() * float("nan"))
    with pytest.raises(NumericalError, match="take a lower learning rate"):
        train_seal(model, samples(), SealTraining())


def test_scales_come_back_and_know_their_model(model, tmp_path):
    found = train_seal(model, samples(1), SealTraining())
    folder = found.save(tmp_path / "scales")
    again = load_seal(folder, model)
    assert torch.equal(again.scales.values, found.scales.values) and again.training == found.training
    with pytest.raises(InputError, match="exists already"):
        found.save(folder)
    other = wrap_model(tiny_model(model.name, seed=1), mini_tokenizer(), name="other", revision="another")
    with pytest.raises(StoreError, match="learned on another model"):
        load_seal(folder, other)
    draw = random.Random(0)
    for name in (SCALES, ABOUT):
        whole = (folder / name).read_bytes()
        for _ in range(20):
            content = bytearray(whole)
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            (folder / name).write_bytes(bytes(content))
            with pytest.raises(StoreError, match=r"are damaged|cannot be read|have version"):
                load_seal(folder, model)
        (folder / name).write_bytes(whole)
    (folder / ABOUT).unlink()
    with pytest.raises(StoreError, match="there are no scales"):
        load_seal(folder, model)


class Fixed(nn.Module):
    """Says of each head the same at every step: where `on`, a logit of 9, else of −9."""

    def __init__(self, on):
        super().__init__()
        self.logits = nn.Parameter(torch.where(on.flatten(), 9.0, -9.0))

    def forward(self, hidden):
        return self.logits.expand(len(hidden), -1)


def probe(model, on, offset=1, threshold=0.5):
    shape = MLPShape(model.d_model, on.numel(), ())
    network = nn.Sequential(Fixed(on))
    return Probe(network, shape, model.n_layers, model.n_heads, offset, threshold is not None, threshold, model.identity(), {})


def test_without_a_forecast_nothing_changes_and_with_all_heads_all_steps_but_the_first_are_scaled(model):
    scales = OutputScales(2 * torch.rand(model.n_layers, model.n_heads, 1, generator=torch.Generator().manual_seed(4)))
    none, every = (torch.full((model.n_layers, model.n_heads), each) for each in (False, True))
    tokens = samples(1)[0].tokens[:8]
    expected = Plain(model).log_probs(tokens)
    assert torch.allclose(ForecastSeal(model, scales, probe(model, none)).log_probs(tokens), expected, atol=1e-4)
    found = ForecastSeal(model, scales, probe(model, every)).log_probs(tokens)
    assert torch.allclose(found[0], expected[0], atol=1e-4)
    assert not torch.allclose(found[1:], expected[1:], atol=1e-2)
    answers = ForecastSeal(model, scales, probe(model, none)).answers(samples(), max_new_tokens=5)
    assert [each.tokens for each in answers] == [each.tokens for each in Plain(model).answers(samples(), max_new_tokens=5)]


def test_forecast_steps_are_those_of_hooks_set_by_hand(model):
    """An independent computation: a whole forward a step, z scaled at the positions from the second step on."""
    on = torch.zeros(model.n_layers, model.n_heads, dtype=torch.bool)
    on[0, 1] = on[2, 3] = True
    scales = OutputScales(torch.full((model.n_layers, model.n_heads, 1), 0.3))
    tokens, plain = samples(1)[0].tokens[:6], tiny_model(model.name)
    width = plain.model.layers[0].self_attn.head_dim
    for layer, block in enumerate(plain.model.layers):
        factors = torch.where(on[layer], 0.3, 1.0).repeat_interleave(width)

        def scale(module, args, factors=factors):
            z = args[0].clone()
            z[:, 1:] *= factors
            return (z,)

        block.self_attn.o_proj.register_forward_pre_hook(scale)
    with torch.no_grad():
        expected = plain(tokens[None]).logits[0].log_softmax(-1)
    assert torch.allclose(ForecastSeal(model, scales, probe(model, on)).log_probs(tokens), expected, atol=1e-4)


def test_probes_that_do_not_fit_are_refused(model):
    on, scales = torch.ones(model.n_layers, model.n_heads, dtype=torch.bool), OutputScales.ones(model)
    with pytest.raises(InputError, match="at least 1 step ahead"):
        ForecastSeal(model, scales, probe(model, on, offset=0))
    with pytest.raises(InputError, match="at least 1 step ahead"):
        ForecastSeal(model, scales, probe(model, on, threshold=None))
    other = wrap_model(tiny_model(model.name, seed=1), mini_tokenizer(), name="other", revision="another")
    with pytest.raises(StoreError, match="fitted on another model"):
        ForecastSeal(other, scales, probe(model, on))


def test_scaled_answers_end_without_hooks(model):
    Scaled(model, OutputScales.ones(model)).answers(samples(1), max_new_tokens=2)
    assert not any(module._forward_pre_hooks for module in model.twin.modules())
