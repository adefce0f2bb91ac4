"""When training ends before its last epoch: nothing gets better, or the loss breaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hubbub.errors import TrainingError
from hubbub.models.bundle import load_bundle

pytest.importorskip("keras")

from hubbub.learn.train import train  # noqa: E402


@pytest.mark.parametrize(
    ("model", "done", "kept"),
    [
        ("seed-cnn", 11, 1),
        # anneals to the end; the first epoch of the last fifth is better than those after it
        pytest.param("default", 14, 12, marks=pytest.mark.slow),
    ],
)
def test_where_nothing_gets_better_training_stops_or_keeps_the_best_that_has_settled(
    model, done, kept, tiny_store, tmp_path, monkeypatch
):
    import hubbub.learn.fitting as module

    worse = iter(range(1000))
    one_epoch = module._one_epoch
    monkeypatch.setattr(module, "_one_epoch", lambda *args: one_epoch(*args) | {"val_loss": 1.0 + next(worse)})
    result = train(tiny_store, tmp_path / "bundle", model=model, test_fold=1, epochs=14)
    assert (len(result.history), result.kept_epoch) == (done, kept)


class Breaks:
    """An augmentation after which nothing is finite."""

    def __call__(self, features, targets, rng):
        return features * np.float32(np.nan), targets

    def for_validation(self):
        return self


def break_epoch(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    import hubbub.learn.fitting as module

    one_epoch = module._one_epoch
    monkeypatch.setattr(
        module,
        "_one_epoch",
        lambda job, epoch, model, source: one_epoch(
            job, epoch, model, replace(source, policy=Breaks()) if epoch + 1 == number else source
        ),
    )


@pytest.mark.slow
def test_a_loss_that_breaks_keeps_the_last_good_weights(tiny_store, tmp_path, monkeypatch):
    """The bundle is that of an epoch before, and says why, also when the same command is run again."""
    break_epoch(monkeypatch, 3)
    said: list[str] = []
    result = train(tiny_store, tmp_path / "bundle", test_fold=1, epochs=6, on_warning=said.append)
    assert len(result.history) == 2
    (text,) = [text for text in said if "the loss of epoch 3 was nan from batch 1 on" in text]
    assert f"the weights of epoch {result.kept_epoch} are kept" in text
    assert text in result.warnings
    assert text in (tmp_path / "bundle" / "README.md").read_text()
    assert np.isfinite(
        np.concatenate([np.ravel(values) for values in load_bundle(tmp_path / "bundle")._model.get_weights()])
    ).all()
    assert train(tiny_store, tmp_path / "bundle", test_fold=1, epochs=6).warnings == result.warnings


def test_a_loss_that_breaks_at_once_is_refused(tiny_store, tmp_path, monkeypatch):
    break_epoch(monkeypatch, 1)
    with pytest.raises(TrainingError, match=r"the loss of epoch 1 was nan.*no epoch before.*learning_rate"):
        train(tiny_store, tmp_path / "bundle", test_fold=1, epochs=2)
