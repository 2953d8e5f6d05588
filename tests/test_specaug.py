"""SpecAugment acts: it hides what it says, in every stacked copy, and nothing else; in training alone."""

from __future__ import annotations

import pytest
import torch
from funasr.frontends.wav_frontend import apply_lfr
from hypothesis import given
from hypothesis import strategies as st
from small_stage import config, metrics, run

from data.errors import UserError
from data.manifest import fbank_frames, speech_length
from local.batches import Utterances, collate, loader
from local.config import SpecAugConf
from local.specaug import SpecAugment

MELS = 80
STRONG = SpecAugConf(time_masks_per_second=2.0, num_freq_mask=2)
ON = "++specaug=SpecAugLFR"


def numbered(samples: int) -> torch.Tensor:
    """Fbank (frames, mels) in which every value is another, and none is 0."""
    frames = fbank_frames(samples)
    return torch.arange(1, frames * MELS + 1, dtype=torch.float32).view(frames, MELS)


def hidden_in_fbank(stacked: torch.Tensor, samples: int) -> torch.Tensor:
    """(frames, mels): which values of the fbank before stacking no longer stand in any copy of it."""
    left = torch.zeros(numbered(samples).numel() + 1, dtype=torch.bool)
    left[stacked.flatten().long()] = True
    return ~left[1:].view(-1, MELS)


@given(st.integers(200, 120_000), st.integers(0, 50))
def test_a_frame_is_hidden_in_all_its_stacked_copies_or_in_none(samples, epoch):
    """FunASR's own stacking of a masked fbank is the oracle."""
    fbank = numbered(samples)
    speech = apply_lfr(fbank, 7, 6)
    assert len(speech) == speech_length(samples)
    masked = SpecAugment(STRONG, seed=1)(speech, samples, "key", epoch)
    hidden = hidden_in_fbank(masked, samples) & ~hidden_in_fbank(speech, samples)  # stacking leaves some out by itself
    assert torch.equal(apply_lfr(fbank.masked_fill(hidden, 0.0), 7, 6), masked)


@given(st.integers(8_000, 200_000), st.integers(0, 50))
def test_what_is_hidden_is_frames_of_a_call_and_bands(samples, epoch):
    """Seen through the identity as stacking: whole rows in steps of 20 ms, whole columns."""
    frames, conf = fbank_frames(samples), STRONG
    draw_on = SpecAugment(conf, seed=3)
    hidden = hidden_in_fbank(draw_on(apply_lfr(numbered(samples), 7, 6), samples, "key", epoch), samples)
    rows, columns = hidden.all(1), hidden[~hidden.all(1)].all(0)
    assert torch.equal(hidden, rows[:, None] | columns[None, :]), "neither a whole frame nor a whole band"
    starts = [frame for frame in range(1, frames) if rows[frame] and not rows[frame - 1]]
    assert all(frame % 2 == 0 for frame in starts)
    spoken = samples / 16000
    assert 0 < rows.sum() <= (2 * spoken + 1) * 20
    assert columns.sum() <= 2 * 10


def test_the_draw_depends_on_seed_key_and_epoch_alone(examples):
    speech, samples = examples[0]["speech"], 6 * 160 * len(examples[0]["speech"])
    before = speech.clone()
    draws = [(1, "a", 1), (2, "a", 1), (1, "b", 1), (1, "a", 2)]
    first, *others = (SpecAugment(STRONG, seed)(speech, samples, key, epoch) for seed, key, epoch in draws)
    assert torch.equal(first, SpecAugment(STRONG, 1)(speech, samples, "a", 1))
    assert not any(torch.equal(first, other) for other in others)
    assert torch.equal(speech, before), "it wrote into what it was given"


@pytest.mark.parametrize(
    ("conf", "share"),
    [(SpecAugConf(time_masks_per_second=0, num_freq_mask=0), 0), (SpecAugConf(time_mask_ms=[200_000] * 2, num_freq_mask=0), 0.5)],
)
def test_nothing_to_hide_changes_nothing_and_half_is_left(conf, share):
    speech, samples = apply_lfr(numbered(16000), 7, 6), 16000
    hidden = (SpecAugment(conf, 1)(speech, samples, "key", 1) == 0).float().mean().item()
    assert hidden == pytest.approx(share, abs=0.05)


def test_any_number_of_workers_hides_the_same(rows, featuriser):
    data = Utterances(rows[:4], featuriser, specaug=SpecAugment(STRONG, 1))
    plain = Utterances(rows[:4], featuriser)
    data.epoch = 2
    batches = [[0, 3], [1, 2]]
    for alone, other, clear in zip(*(loader(d, batches, n) for d, n in ((data, 0), (data, 2), (plain, 0))), strict=True):
        assert torch.equal(alone["speech"], other["speech"])
        changed = alone["speech"] != clear["speech"]
        assert changed.any() and not alone["speech"][changed].any(), "changed, but not hidden"


def test_the_loss_is_another(ours, rows, featuriser):
    model, _ = ours
    with torch.no_grad():
        plain, hidden = (
            model(**collate([Utterances(rows[:1], featuriser, specaug=augment)[0]]))["ctc"].item()
            for augment in (None, SpecAugment(STRONG, 1))
        )
    assert abs(plain - hidden) > 0.01 * plain


def test_in_training_it_acts_and_on_dev_it_does_not(model_dir, rows, tmp_path):
    """One epoch at a rate of nearly nothing: the model stays what it is, so dev does too; the training loss tells."""
    short = sorted(rows, key=lambda row: row["speech_length"])[:6]
    settings = ("++train_conf.max_epoch=1", "++train_conf.avg_nbest_model=1", "++optim_conf.lr=1e-30", "++seed=2")
    told = {}
    for name, more in (("off", ()), ("on", (ON, "++specaug_conf.time_masks_per_second=3"))):
        run(2, model_dir, tmp_path / name, short, *settings, *more)
        told[name] = [metrics(tmp_path / name, kind) for kind in ("dev", "train")]
    assert told["on"][0] == told["off"][0]
    losses = [[line["ctc"] for line in told[name][1]] for name in ("off", "on")]
    assert all(off != on for off, on in zip(*losses, strict=True)), "hidden pieces left the loss as it was"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("++specaug=SpecAug", "must be SpecAugLFR"),
        ("++specaug_conf.time_mask_ms=[30,60]", "time_mask_ms must be two multiples of 20"),
        ("++specaug_conf.time_mask_ms=[0,60]", "time_mask_ms must be two multiples of 20"),
        ("++specaug_conf.time_mask_ms=[60,20]", "the smaller one first"),
        ("++specaug_conf.freq_mask_width_range=[0,80]", "two numbers below 80"),
        ("++specaug_conf.num_freq_masks=1", "did you mean"),
    ],
)
def test_settings_out_of_range_are_one_line(setting, said):
    with pytest.raises(UserError) as caught:
        config(1, setting)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_it_is_off_unless_asked_for():
    assert all(config(number).specaug is None for number in (1, 2, 3))
    assert config(1, ON).specaug == "SpecAugLFR"
