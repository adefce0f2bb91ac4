"""What a network begins with: where it is looked for, how it is fetched, and what is said where it is not there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbub.config.recipes import RecipeSettings, parse_recipe_settings
from hubbub.errors import TrainingError
from hubbub.learn import pretrained
from hubbub.learn.pretrained import PUBLISHED, PublishedFile, find_weights, fix_weights, require_weights
from tests.servers import web

CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(5000)
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


@pytest.fixture
def site() -> Iterator[web.Site]:
    with web.serve(web.Site(files={"/there/weights.h5": CONTENT, "/page": b"<html><title>Sign in</title>"})) as served:
        yield served


def choose(weights: str, **more: object) -> RecipeSettings:
    return parse_recipe_settings("mobilenet-v2", {"model.weights": weights} | more)


def publish(monkeypatch: pytest.MonkeyPatch, address: str, md5: str | None = None) -> None:
    """Let keras.applications publish elsewhere."""
    monkeypatch.setitem(PUBLISHED, "mobilenet-v2", lambda side_px: PublishedFile(address, 9, md5))  # type: ignore[index]


def test_models_that_begin_at_random_have_none():
    assert find_weights("default", parse_recipe_settings("default", {})) is None
    assert fix_weights("default", parse_recipe_settings("default", {}))[1] is None
    found = find_weights("mobilenet-v2", choose("random"))
    assert found is not None
    assert (found.file, found.identity) == (None, "random")


def test_a_file_is_known_by_its_content(tmp_path, monkeypatch):
    file = tmp_path / "mine.h5"
    file.write_bytes(CONTENT)
    found = find_weights("mobilenet-v2", choose(str(file)))
    assert found is not None
    assert (found.file, found.identity) == (file, SHA256)
    assert found.describe()["licence"] == "not known to hubbub: that of whoever made the file"
    monkeypatch.chdir(tmp_path)  # a path of this folder is the same weights from any other
    settings, identity = fix_weights("mobilenet-v2", choose("mine.h5"))
    assert (settings.model.weights, identity) == (str(file), SHA256)
    require_weights("mobilenet-v2", settings, identity)
    file.write_bytes(CONTENT + b"more")
    with pytest.raises(TrainingError, match="on this machine is another file than where the command was given"):
        require_weights("mobilenet-v2", settings, identity)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        TrainingError, match=r"there is no such file; give a file of weights \(.*\), imagenet, or rando"
    ):
        find_weights("mobilenet-v2", choose(str(tmp_path / "none.h5")))


def test_an_address_is_fetched_once(site, cache):
    address = f"{site.url}/there/weights.h5"
    for _ in range(2):
        found = find_weights("mobilenet-v2", choose(address))
        assert found is not None
        assert (found.source, found.identity) == (address, SHA256)
    assert site.asked("/there/weights.h5") == 1
    assert [path.name[12:] for path in cache.iterdir()] == ["-weights.h5"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/none.h5", r"cannot be fetched: is not there \(404\). Fetch it yourself, and give --weights FILE"),
        ("/page", "is an HTML or XML page titled 'Sign in', no file of weights"),
    ],
)
def test_an_address_without_weights_is_refused_and_nothing_is_kept(path, message, site, cache):
    with pytest.raises(TrainingError, match=message):
        find_weights("mobilenet-v2", choose(site.url + path))
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://example.org/weights.h5", "where anyone may change it; use https://"),
        ("ftp://example.org/weights.h5", ""),
    ],
)
def test_an_address_that_anyone_could_change_is_refused(address, message):
    with pytest.raises(TrainingError, match=f"cannot be fetched: .*{message}.*Fetch it yourself"):
        find_weights("mobilenet-v2", choose(address))


def test_a_folder_is_no_file_of_weights(tmp_path):
    with pytest.raises(TrainingError, match=r"is a folder; give a file in it"):
        find_weights("mobilenet-v2", choose(str(tmp_path)))
    (tmp_path / "model.keras").touch()
    with pytest.raises(TrainingError, match=r"is a folder; give .*model\.keras"):
        find_weights("mobilenet-v2", choose(str(tmp_path)))


def test_those_of_imagenet_are_fetched_to_where_keras_keeps_them(site, cache, monkeypatch):
    publish(monkeypatch, f"{site.url}/there/weights.h5", MD5)
    found = find_weights("mobilenet-v2", choose("imagenet"))
    assert found is not None
    assert (found.file, found.identity) == (cache / "weights.h5", SHA256)
    assert "ImageNet, whose terms allow research" in found.licence


def test_those_put_there_by_hand_are_found_without_a_network(cache, monkeypatch):
    publish(monkeypatch, "http://127.0.0.1:9/weights.h5", MD5)
    cache.mkdir(parents=True)
    (cache / "weights.h5").write_bytes(CONTENT)
    found = find_weights("mobilenet-v2", choose("imagenet"))
    assert found is not None
    assert found.identity == SHA256
    (cache / "weights.h5").write_bytes(CONTENT[:100])
    with pytest.raises(TrainingError, match=rf"is not what keras.applications publishes .*expected {MD5}\); delete it"):
        find_weights("mobilenet-v2", choose("imagenet"))


def test_without_a_network_the_file_is_named_and_where_to_put_it(cache, monkeypatch):
    address = "http://127.0.0.1:9/of/keras/weights.h5"
    publish(monkeypatch, address)
    monkeypatch.setattr(pretrained, "fetch_file", lambda *given, **how: fetch_at_once(*given, **how))
    with pytest.raises(TrainingError) as refused:
        find_weights("mobilenet-v2", choose("imagenet"))
    said = str(refused.value)
    assert said.startswith(
        f"--weights imagenet needs weights.h5 (about 9 MB), which cannot be fetched from {address}: "
    )
    assert f"put it into {cache}, or give it with --weights FILE; or begin without: --weights random" in said


def fetch_at_once(*given: object, **how: object) -> None:
    """The real thing, without its pauses."""
    from dataclasses import replace

    from hubbub.downloads.one_file import ONE_FILE, fetch_file

    fetch_file(*given, **how, policy=replace(ONE_FILE, backoff_s=0.01))  # type: ignore[arg-type]


def test_a_mobilenet_of_the_images_size_is_taken_where_there_is_one():
    names = {px: PUBLISHED["mobilenet-v2"](px).name for px in (None, 96, 100)}
    assert [name.split("_")[-3] for name in names.values()] == ["224", "96", "224"]


@pytest.mark.slow
def test_what_is_published_is_what_keras_fetches(monkeypatch):
    """Names, addresses and hashes, as keras.applications hands them to its own download."""
    keras = pytest.importorskip("keras")
    from keras.src.utils import file_utils

    class Asked(Exception):
        pass

    asked: list[tuple[str, str, str | None]] = []

    def note(name: str, origin: str, file_hash: str | None = None, **more: object) -> str:
        asked.append((name, origin, file_hash))
        raise Asked

    monkeypatch.setattr(file_utils, "get_file", note)
    for model, network in (
        ("inception-v3", "InceptionV3"),
        ("mobilenet-v2", "MobileNetV2"),
        ("efficientnet-b0", "EfficientNetB0"),
    ):
        with pytest.raises(Asked):
            getattr(keras.applications, network)(include_top=False, weights="imagenet", input_shape=(96, 96, 3))
        ours = PUBLISHED[model](96)
        assert asked.pop() == (ours.name, ours.address, ours.md5)
