"""Fetching from a real web server, which has good and bad files: what is kept, what is told, what is asked."""

from __future__ import annotations

import datetime as dt
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from hubbub.clips.table import read_table, resolve_uri
from hubbub.downloads.addresses import AllowedHosts
from hubbub.downloads.policy import Policy
from hubbub.errors import StorageError, StoreError, UsageError
from hubbub.pipelines.fetch import FetchLimits, FetchOutcome, fetch
from hubbub.pipelines.reporting import Reporter
from tests.servers import web
from tests.servers.web import Handler, Site, make_audio, make_city_site, serve

QUICK = Policy(
    AllowedHosts.of([]),
    allow_private=True,
    interval_s=0.0,
    tries=3,
    backoff_s=0.01,
    longest_wait_s=5.0,
    connect_timeout_s=2.0,
    silence_timeout_s=1.0,
    answer_timeout_s=1.5,
    slow_after_s=0.5,
    least_free_bytes=2**20,
    most_file_bytes=2**20,
)
"""Impatient, so that tests are quick."""


class Lines(Reporter):
    """Keeps what a person would read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a server without files."""
    with serve(Site()) as running:
        yield running


def write_list(folder: Path, site: Site, *paths: str) -> Path:
    path = folder / "urls.txt"
    path.write_text("".join(f"{site.url}{one}\n" for one in paths), "utf-8")
    return path


def run(source: object, out: Path | str, policy: Policy = QUICK, **options: object) -> FetchOutcome:
    return fetch(source, out, policy=policy, **options)  # type: ignore[arg-type]


def failures(out: Path) -> dict[str, str]:
    """Reasons by the last part of the address."""
    if not (out / "failures.csv").exists():
        return {}
    rows = pd.read_csv(out / "failures.csv")
    return {url.rsplit("/", 1)[-1]: error for url, error in zip(rows["url"], rows["error"], strict=True)}


def recordings(out: Path) -> dict[str, bytes]:
    """Every file that is no table and no state, by its path below the host."""
    return {
        path.relative_to(out).as_posix().split("/", 1)[1]: path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.relative_to(out).parts[0].startswith(".") and path.parent != out
    }


def test_a_list_becomes_recordings_and_a_clip_table(site: Site, tmp_path: Path) -> None:
    site.files = {"/a/dog.wav": make_audio(1), "/b/rain.wav": make_audio(2, duration_s=1.0)}
    (tmp_path / "sounds.csv").write_text(
        f"name;link;label;lat\nx;{site.url}/a/dog.wav;dog;59.9\ny;{site.url}/b/rain.wav;rain;60.1\n", "utf-8"
    )
    done = run(tmp_path / "sounds.csv", tmp_path / "out")
    assert done.is_complete
    assert done.ok == 2
    table = read_table(tmp_path / "out" / "clips.parquet")
    rows = table.rows.to_pandas()
    assert list(rows["labels"].map(list)) == [["dog"], ["rain"]]
    assert list(rows["lat"]) == [59.9, 60.1]
    assert list(rows["duration_s"]) == [0.5, 1.0]
    assert list(rows["url"]) == [f"{site.url}/a/dog.wav", f"{site.url}/b/rain.wav"]
    assert set(rows["modified_at"]) == {"2026-03-14T07:05:00Z"}
    assert [resolve_uri(uri, table.root).read_bytes() for uri in rows["uri"]] == list(site.files.values())


def test_a_city_archive_is_read_by_its_recipe(tmp_path: Path) -> None:
    with serve(make_city_site(cities=3, moods=2)) as site:
        assert run(f"{site.url}/", tmp_path / "out", recipe="city-sounds").is_complete
        rows = read_table(tmp_path / "out" / "clips.parquet").rows.to_pandas()
        assert list(rows["city"]) == ["City1", "City1", "City2", "City2", "City3", "City3"]
        assert list(rows["mood"]) == ["calm", "busy"] * 3
        assert list(rows["date"]) == [f"2026-0{city}-01" for city in (1, 1, 2, 2, 3, 3)]
        assert rows["page"][0] == f"{site.url}/?display=1&location_ID=1"
        assert not site.asked("/?display=2"), "a page that no rule names is left alone"


def test_a_directory_listing_is_read_without_a_recipe(site: Site, tmp_path: Path) -> None:
    nginx = '<html><h1>Index of /r/</h1><a href="../">../</a><a href="?C=N;O=D">Name</a><a href="{}">x</a>'
    site.files = {
        "/r/": nginx.format("deep%20er/").encode(),
        "/r/deep%20er/": b'<a href="/r/">Parent</a><a href="a%20b.wav">a b</a>'
        b'<a href="notes.txt">n</a><a href="/other/">o</a>',
        "/r/deep%20er/a%20b.wav": make_audio(1),
    }
    site.types = {"/r/": "text/html", "/r/deep%20er/": "text/html"}
    run(f"{site.url}/r/", tmp_path / "out")
    assert set(recordings(tmp_path / "out")) == {"r/deep er/a b.wav"}
    assert not site.asked("/"), "folders above the first are not asked for"
    assert not site.asked("/other/")


def test_a_second_run_asks_for_nothing_that_is_here(tmp_path: Path) -> None:
    with serve(make_city_site(cities=2)) as site:
        run(f"{site.url}/", tmp_path / "out", recipe="city-sounds")
        before = len(site.requests)
        assert run(f"{site.url}/", tmp_path / "out", recipe="city-sounds").ok == 4
        again = site.requests[before:]
        assert not [path for path, _, _ in again if path.endswith(".mp3")]
        pages = [headers for path, headers, _ in again if path != "/robots.txt"]
        assert pages
        assert all("If-None-Match" in headers for headers in pages)


def test_what_is_new_on_a_site_is_fetched_by_the_same_command(tmp_path: Path) -> None:
    with serve(make_city_site(cities=1)) as site:
        run(f"{site.url}/", tmp_path / "out", recipe="city-sounds")
        site.files["/mp3s/City1/City1_late_9.mp3"] = make_audio(9, kind="MP3")
        site.files["/?display=1&location_ID=1"] += b'<audio src="mp3s/City1/City1_late_9.mp3"></audio>'
        assert run(f"{site.url}/", tmp_path / "out", recipe="city-sounds").ok == 3
        assert site.asked("/mp3s/City1/City1_calm_1.mp3") == 1


def test_refresh_fetches_what_changed_and_only_that(site: Site, tmp_path: Path) -> None:
    site.files = {"/a.wav": make_audio(1), "/b.wav": make_audio(2)}
    source = write_list(tmp_path, site, "/a.wav", "/b.wav")
    run(source, tmp_path / "out")
    site.files["/a.wav"] = make_audio(3)
    run(source, tmp_path / "out", refresh=True)
    assert recordings(tmp_path / "out") == {"a.wav": make_audio(3), "b.wav": make_audio(2)}
    conditional = [headers for path, headers, _ in site.requests if path == "/b.wav"][1]
    assert "If-None-Match" in conditional


BAD: dict[str, tuple[web.Answerer, str]] = {
    "gone.wav": (web.answer(404), r"is not there \(404\)"),
    "busy.wav": (web.answer(503), r"the server answers 503"),
    "limit.wav": (web.answer(429), r"the server answers 429"),
    "private.wav": (web.answer(403), r"is forbidden \(403\)"),
    "page.mp3": (
        web.answer(200, b"<!DOCTYPE html><title>Sorry, &lt;gone&gt;</title>", Content_Type="audio/mpeg"),
        r"is an HTML or XML page titled 'Sorry, <gone>', no recording",
    ),
    "json.mp3": (web.answer(200, b'{"error": 1}'), "is JSON, no recording"),
    "zip.wav": (web.answer(200, b"PK\x03\x04" + bytes(500)), "is a ZIP archive, no recording"),
    "empty.wav": (web.answer(200, b""), "the file is empty"),
    "nothing.wav": (web.answer(204), "answers 204"),
    "loop.wav": (web.answer(302, Location="/loop.wav"), "is redirected more than 5 times"),
    "nowhere.wav": (web.answer(302), "does not say where to go"),
    "away.wav": (web.answer(302, Location="http://other.example/a.wav"), "leads to other.example, which is not among"),
    "file.wav": (web.answer(302, Location="file:///etc/passwd"), "is no address of the web"),
    "large.wav": (web.answer(200, b"RIFF", Content_Length="99999999999"), "expected at most 1048576"),
    "endless.wav": (web.endless, "has more than 1048576 bytes"),
    "bomb.wav": (web.bomb(2**26), "has more than 1048576 bytes"),
    "brotli.wav": (web.answer(200, b"abc", Content_Encoding="br"), "the body is encoded as 'br'"),
    "drip.wav": (web.drip(make_audio(0)), "bytes a second"),
    "headers.wav": (web.drip_headers, r"no answer within 1.5 s"),
    "cut.wav": (lambda handler: handler.send_file(make_audio(7), str(time.time()), cut=2000), "broke off"),
    "short.wav": (
        lambda handler: handler.send_body(200, make_audio(8)[:4000]),
        "breaks off: 75% of the WAV are missing",
    ),
    "part.wav": (web.answer(206, make_audio(1), Content_Range="bytes 5-9/10"), "sends another part"),
}


def test_each_bad_file_is_a_failure_with_its_reason_and_the_good_ones_come(site: Site, tmp_path: Path) -> None:
    site.files = {"/good.wav": make_audio(1), "/last.flac": make_audio(2, kind="FLAC")}
    site.answers = {f"/{name}": answerer for name, (answerer, _) in BAD.items()}
    source = write_list(tmp_path, site, "/good.wav", *site.answers, "/last.flac")
    lines = Lines()
    done = run(source, tmp_path / "out", replace(QUICK, connections=4), reporter=lines)
    assert (done.ok, done.failed, done.left) == (2, len(BAD), 0)
    assert set(recordings(tmp_path / "out")) == {"good.wav", "last.flac"}, "no bad file lies where a good one would"
    told = failures(tmp_path / "out")
    for name, (_, reason) in BAD.items():
        assert pd.Series([told[name]]).str.contains(reason).all(), (name, told[name])
    assert "--retry-failed" in lines.text
    partials = [path for path in (tmp_path / "out" / ".fetch" / "partial").iterdir()]
    assert {path.suffix for path in partials} <= {"", ".json"}
    assert len(partials) <= 2, "only what may still be resumed is kept"


def test_failures_that_pass_are_retried_within_the_run(site: Site, tmp_path: Path) -> None:
    def good(handler: Handler) -> None:
        handler.send_file(make_audio(ord(handler.path[1])))

    site.answers = {
        "/busy.wav": web.answer_first(2, web.answer(503), good),
        "/limited.wav": web.answer_first(1, web.answer(429, Retry_After="1"), good),
        "/cut-off.wav": web.answer_first(1, lambda handler: handler.break_off(), good),
    }
    done = run(write_list(tmp_path, site, *site.answers), tmp_path / "out")
    assert done.ok == 3
    limited = [when for path, _, when in site.requests if path == "/limited.wav"]
    assert limited[1] - limited[0] >= 1.0, "Retry-After is kept"


def test_a_broken_off_file_is_resumed_where_it_was(site: Site, tmp_path: Path) -> None:
    content = make_audio(1, duration_s=2)
    site.answers["/a.wav"] = web.answer_first(
        1, lambda handler: handler.send_file(content, cut=30_000), lambda handler: handler.send_file(content)
    )
    run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out")
    assert recordings(tmp_path / "out") == {"a.wav": content}
    second = [headers for path, headers, _ in site.requests if path == "/a.wav"][1]
    assert second["Range"] == "bytes=30000-"
    assert "If-Range" in second


def test_a_file_that_changed_meanwhile_is_no_mixture(site: Site, tmp_path: Path) -> None:
    old, new = make_audio(1, duration_s=2), make_audio(2, duration_s=2)
    site.answers["/a.wav"] = web.answer_first(
        1, lambda handler: handler.send_file(old, cut=30_000), lambda handler: handler.send_file(new)
    )
    run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out")
    assert recordings(tmp_path / "out") == {"a.wav": new}


def test_failed_addresses_are_left_alone_until_they_are_asked_for_again(site: Site, tmp_path: Path) -> None:
    source = write_list(tmp_path, site, "/a.wav", "/b.wav")
    site.files["/b.wav"] = make_audio(2)
    assert run(source, tmp_path / "out").failed == 1
    site.files["/a.wav"] = make_audio(1)
    assert run(source, tmp_path / "out").failed == 1
    assert site.asked("/a.wav") == 1
    done = run(source, tmp_path / "out", retry_failed=True)
    assert (done.ok, done.failed) == (2, 0)
    assert site.asked("/b.wav") == 1
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_the_table_of_failures_is_a_list_to_fetch(site: Site, tmp_path: Path) -> None:
    run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out")
    site.files["/a.wav"] = make_audio(1)
    assert run(tmp_path / "out" / "failures.csv", tmp_path / "other").ok == 1


def test_files_with_the_same_bytes_are_kept_once(site: Site, tmp_path: Path) -> None:
    same = make_audio(1)
    site.files = {"/a.wav": same, "/copy.wav": same, "/b.wav": make_audio(2)}
    source = write_list(tmp_path, site, *site.files)
    done = run(source, tmp_path / "out")
    assert (done.ok, done.duplicates) == (2, 1)
    assert set(recordings(tmp_path / "out")) == {"a.wav", "b.wav"}
    fetched = pd.read_parquet(tmp_path / "out" / "fetched.parquet").set_index("url")
    assert fetched.loc[f"{site.url}/copy.wav", "file"].endswith("/a.wav")
    before = len(site.requests)
    assert run(source, tmp_path / "out").duplicates == 1
    assert len(site.requests) == before, "a duplicate is not fetched again"


def test_robots_txt_is_kept(site: Site, tmp_path: Path) -> None:
    site.robots = "User-agent: *\nDisallow: /secret/\nCrawl-delay: 0.3\n"
    site.files = {"/secret/a.wav": make_audio(1), "/b.wav": make_audio(2), "/c.wav": make_audio(3)}
    done = run(write_list(tmp_path, site, *site.files), tmp_path / "out")
    assert (done.ok, done.failed) == (2, 1)
    assert not site.asked("/secret/a.wav")
    assert "robots.txt" in failures(tmp_path / "out")["a.wav"]
    times = [when for path, _, when in site.requests if path.endswith(".wav")]
    assert times[1] - times[0] >= 0.29


def test_a_host_whose_robots_txt_fails_is_not_asked(site: Site, tmp_path: Path) -> None:
    site.answers["/robots.txt"] = web.answer(500)
    site.files["/a.wav"] = make_audio(1)
    lines = Lines()
    done = run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out", reporter=lines)
    assert (done.ok, done.failed, done.left) == (0, 0, 1)
    assert not done.is_complete
    assert "its robots.txt" in lines.text
    assert not site.asked("/a.wav")


def test_a_host_that_asks_to_wait_for_hours_is_left_for_the_next_run(site: Site, tmp_path: Path) -> None:
    site.files = {"/a.wav": make_audio(1), "/c.wav": make_audio(3)}
    site.answers["/b.wav"] = web.answer(429, Retry_After="7200")
    lines = Lines()
    done = run(
        write_list(tmp_path, site, "/a.wav", "/b.wav", "/c.wav"),
        tmp_path / "out",
        replace(QUICK, connections=1),
        reporter=lines,
    )
    assert (done.ok, done.failed, done.left) == (1, 0, 2)
    assert "asks to wait 7200 s" in lines.text


def test_a_host_that_is_down_is_given_up_after_a_few_files(tmp_path: Path) -> None:
    with serve(Site()) as site:
        source = write_list(tmp_path, site, *(f"/{number}.wav" for number in range(20)))
    done = run(source, tmp_path / "out", replace(QUICK, tries=1))
    assert done.failed < 5
    assert done.left == 20 - done.failed


def test_private_addresses_are_not_asked_unless_told(site: Site, tmp_path: Path) -> None:
    site.files["/a.wav"] = make_audio(1)
    done = run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out", replace(QUICK, allow_private=False))
    assert done.failed == 1
    assert "--allow-private" in failures(tmp_path / "out")["a.wav"]
    assert not site.requests


def test_a_redirect_leads_to_another_host_only_where_it_was_given(site: Site, tmp_path: Path) -> None:
    with serve(Site(files={"/real.wav": make_audio(1)})) as other:
        site.answers["/a.wav"] = web.answer(302, Location=f"{other.url}/real.wav")
        source = write_list(tmp_path, site, "/a.wav")
        assert run(source, tmp_path / "out").failed == 1
        assert not other.requests
        allowed = replace(QUICK, hosts=AllowedHosts.of([other.host]))
        assert run(source, tmp_path / "out", allowed, retry_failed=True).ok == 1
        assert other.asked("/robots.txt") == 1, "its rules are asked for, too"


def test_a_key_from_the_environment_goes_to_its_host_alone_and_into_no_file(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(Site(files={"/1.ogg": make_audio(1, kind="OGG"), "/2.ogg": make_audio(2, kind="OGG")})) as cdn:
        found = [
            {"id": n, "name": f"n{n}", "license": "CC0", "previews": {"preview-hq-ogg": f"{cdn.url}/{n}.ogg"}}
            for n in (1, 2)
        ]
        site.files["/search"] = json.dumps({"results": found[:1], "next": f"{site.url}/search?page=2"}).encode()
        site.files["/search?page=2"] = json.dumps({"results": found[1:], "next": None}).encode()
        site.types = {path: "application/json" for path in site.files}
        with pytest.raises(UsageError, match="FREESOUND_API_KEY"):
            run(f"{site.url}/search", tmp_path / "out", recipe="freesound")
        monkeypatch.setenv("FREESOUND_API_KEY", "s3cret-key")
        policy = replace(QUICK, hosts=AllowedHosts.of([cdn.host]))
        assert run(f"{site.url}/search", tmp_path / "out", policy, recipe="freesound").is_complete
        assert all(headers["Authorization"] == "Token s3cret-key" for path, headers, _ in site.requests[1:])
        assert all("Authorization" not in headers for _, headers, _ in cdn.requests)
    rows = read_table(tmp_path / "out" / "clips.parquet").rows.to_pandas()
    assert list(rows["licence"]) == ["CC0", "CC0"]
    held = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"s3cret" not in held


def test_items_of_an_internet_archive_are_found_through_their_metadata(site: Site, tmp_path: Path) -> None:
    files = [{"name": "dawn chorus.flac", "format": "Flac", "source": "original"}, {"name": "item_meta.xml"}]
    about = {
        "identifier": "rain-1",
        "title": "Rain",
        "licenseurl": "https://creativecommons.org/publicdomain/zero/1.0/",
    }
    start = "/scrape?q=rain"
    recipe = tmp_path / "archive.yaml"
    from importlib.resources import files as resources

    text = (resources("hubbub.downloads") / "recipes" / "internet-archive.yaml").read_text("utf-8")
    recipe.write_text(text.replace("https://archive.org", site.url), "utf-8")
    site.files = {
        start: json.dumps({"items": [{"identifier": "rain-1"}], "cursor": "abc=="}).encode(),
        f"{start}&cursor=abc%3D%3D": json.dumps({"items": [{"identifier": "gone"}]}).encode(),
        "/metadata/rain-1": json.dumps({"metadata": about, "files": files}).encode(),
        "/download/rain-1/dawn%20chorus.flac": make_audio(1, kind="FLAC"),
    }
    site.types = {path: "application/json" for path in site.files if "download" not in path}
    lines = Lines()
    done = run(f"{site.url}{start}", tmp_path / "out", recipe=str(recipe), reporter=lines)
    assert done.ok == 1
    assert not done.is_complete, "the page of one item is not there"
    assert "/metadata/gone: is not there" in lines.text
    row = read_table(tmp_path / "out" / "clips.parquet").rows.to_pylist()[0]
    assert (row["item"], row["title"], row["licence"]) == ("rain-1", "Rain", about["licenseurl"])


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (web.answer(200, b"<p>" + bytes(50 * 2**20)), "expected at most"),
        (web.bomb(50 * 2**20), "has more than"),
        (web.answer(200, b"{broken", Content_Type="application/json"), "is no JSON"),
        (web.answer(404), "is not there"),
    ],
    ids=["50 MB", "gzip bomb", "broken JSON", "missing"],
)
def test_a_first_page_that_cannot_be_read_says_why(site: Site, tmp_path: Path, page: web.Answerer, reason: str) -> None:
    site.answers["/"] = page
    with pytest.raises(UsageError, match=reason):
        run(f"{site.url}/", tmp_path / "out")


def test_hostile_names_stay_below_the_folder(site: Site, tmp_path: Path) -> None:
    names = [
        "%2e%2e/%2e%2e/up.wav",
        "a%00b.wav",
        "CON.wav",
        "x" * 300 + ".wav",
        "%E2%80%AEvaw.exe.wav",
        "C:%5Cevil.wav",
    ]
    site.files = {f"/{name}": make_audio(number) for number, name in enumerate(names)}
    done = run(write_list(tmp_path, site, *site.files), tmp_path / "deep" / "out")
    assert done.ok == len(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "urls.txt"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    found = recordings(tmp_path / "deep" / "out")
    assert sorted(found.values()) == sorted(site.files.values())
    assert all(len(name.encode()) < 255 and ".." not in name and "\u202e" not in name for name in found)


def test_names_that_differ_in_case_only_are_two_files_on_every_disk(site: Site, tmp_path: Path) -> None:
    site.files = {"/Dog.wav": make_audio(1), "/dog.wav": make_audio(2)}
    run(write_list(tmp_path, site, *site.files), tmp_path / "out")
    found = recordings(tmp_path / "out")
    assert len({name.casefold() for name in found}) == 2


def test_a_recording_without_an_ending_gets_one(site: Site, tmp_path: Path) -> None:
    site.files["/download?id=5"] = make_audio(1, kind="FLAC")
    run(write_list(tmp_path, site, "/download?id=5"), tmp_path / "out")
    (name,) = recordings(tmp_path / "out")
    assert name.startswith("download-")
    assert name.endswith(".flac")


def test_limits_end_a_run_and_the_next_one_goes_on(site: Site, tmp_path: Path) -> None:
    site.files = {f"/{number}.wav": make_audio(number) for number in range(6)}
    source = write_list(tmp_path, site, *site.files)
    done = run(source, tmp_path / "out", limits=FetchLimits(files=2))
    assert (done.ok, done.left) == (2, 4)
    each = len(make_audio(0))
    lines = Lines()
    done = run(source, tmp_path / "out", limits=FetchLimits(total_gb=2.5 * each / 2**30), reporter=lines)
    assert (done.ok, done.left) == (4, 2)
    assert "--max-total-gb" in lines.text
    assert run(source, tmp_path / "out").is_complete
    asked = [site.asked(path) for path in site.files]
    # One was asked for and found too large; so was another, where both were asked for in the same moment.
    assert sorted(asked) in ([1, 1, 1, 1, 1, 2], [1, 1, 1, 1, 2, 2])


def test_a_run_stops_before_the_disk_is_full(site: Site, tmp_path: Path) -> None:
    site.files["/a.wav"] = make_audio(1)
    with pytest.raises(StorageError, match="--keep-free-gb"):
        run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out", replace(QUICK, least_free_bytes=2**60))


def test_recordings_that_were_removed_are_fetched_again_and_it_is_told(site: Site, tmp_path: Path) -> None:
    site.files = {"/a.wav": make_audio(1), "/b.wav": make_audio(2)}
    source = write_list(tmp_path, site, *site.files)
    run(source, tmp_path / "out")
    next((tmp_path / "out").rglob("a.wav")).unlink()
    lines = Lines()
    assert run(source, tmp_path / "out", reporter=lines).ok == 2
    assert "no longer in" in lines.text


def test_lines_that_are_no_addresses_are_failures_with_a_reason(site: Site, tmp_path: Path) -> None:
    site.files["/a.wav"] = make_audio(1)
    source = tmp_path / "urls.txt"
    source.write_text(
        f"# mine\n{site.url}/a.wav\n\nftp://old.example/b.wav\nhttp://me:secret@x.example/c.wav\n", "utf-8"
    )
    done = run(source, tmp_path / "out")
    assert (done.ok, done.failed) == (1, 2)
    assert "expected https://host/path" in failures(tmp_path / "out")["b.wav"]
    assert "password" in failures(tmp_path / "out")["c.wav"]


def test_a_dry_run_writes_nothing_and_fetches_no_recording(tmp_path: Path) -> None:
    with serve(make_city_site(cities=1)) as site:
        lines = Lines()
        run(f"{site.url}/", tmp_path / "out", recipe="city-sounds", dry_run=True, reporter=lines)
        assert not (tmp_path / "out").exists()
        assert not [path for path, _, _ in site.requests if path.endswith(".mp3")]
        assert "City1_calm_1.mp3" in lines.text


def test_a_dry_run_shows_no_recording_that_is_here(site: Site, tmp_path: Path) -> None:
    site.files = {"/here.wav": make_audio(1), "/new.wav": make_audio(2)}
    run(write_list(tmp_path, site, "/here.wav"), tmp_path / "out")
    lines = Lines()
    run(write_list(tmp_path, site, "/here.wav", "/new.wav"), tmp_path / "out", dry_run=True, reporter=lines)
    assert "new.wav" in lines.text
    assert "here.wav" not in lines.text


def test_a_site_that_does_not_answer_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound and not listening
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(UsageError, match=r"no recordings found on 0 pages; 127\.0\.0\.1:\d+ is given up"):
            run(f"http://127.0.0.1:{closed.getsockname()[1]}/", tmp_path / "out", QUICK)


def test_a_host_is_asked_by_few_at_once_and_in_its_rhythm(site: Site, tmp_path: Path) -> None:
    site.files = {f"/{number}.wav": make_audio(number) for number in range(8)}
    policy = replace(QUICK, interval_s=0.1, connections=2)
    run(write_list(tmp_path, site, *site.files), tmp_path / "out", policy)
    assert site.most_at_once <= 2
    times = sorted(when for _, _, when in site.requests)
    assert times[-1] - times[0] > 0.1 * (len(times) - 1) / 2, "at half the time on a busy machine, never at once"


def test_the_certificate_has_to_be_valid(tmp_path: Path) -> None:
    with serve(Site(files={"/a.wav": make_audio(1)}), make_certificate(tmp_path)) as site:
        done = run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out")
        assert done.failed == 1
        assert "certificate of 127.0.0.1 is not valid: self-signed" in failures(tmp_path / "out")["a.wav"]
        assert not site.requests


def make_certificate(folder: Path) -> Path:
    """Make a certificate that nobody signed, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_a_folder_with_something_else_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("mine", "utf-8")
    with pytest.raises(StoreError, match="holds something else"):
        run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out")


def test_workers_of_a_cluster_never_ask_one_host_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.pipelines.fetch_turns.FILES_A_TURN", 4)
    with serve(Site()) as one, serve(Site()) as two:
        for site, first in ((one, 0), (two, 100)):
            site.robots = ""
            for number in range(first, first + 10):

                def slowly(handler: Handler, content: bytes = make_audio(number)) -> None:
                    time.sleep(0.02)
                    handler.send_file(content)

                site.answers[f"/{number}.wav"] = slowly
        source = tmp_path / "urls.txt"
        source.write_text("".join(f"{site.url}{path}\n" for site in (one, two) for path in site.answers), "utf-8")
        policy = replace(QUICK, connections=1, interval_s=0.01)
        done = run(source, tmp_path / "out", policy, cluster="local", workers=2)
        assert done.is_complete
        assert (one.most_at_once, two.most_at_once) == (1, 1)
        assert one.asked("/robots.txt") == 1, "a later turn knows the rules"
        assert run(source, tmp_path / "threads", policy).is_complete
    fetched = [pd.read_parquet(tmp_path / name / "fetched.parquet") for name in ("out", "threads")]
    columns = ["url", "status", "file", "sha256"]
    pd.testing.assert_frame_equal(*(rows[columns].sort_values("url", ignore_index=True) for rows in fetched))


def test_a_bucket_takes_recordings_and_tables(site: Site, tmp_path: Path, s3: str) -> None:
    site.files = {"/a.wav": make_audio(1), "/b.wav": make_audio(2), "/c.wav": make_audio(1)}
    source = write_list(tmp_path, site, *site.files, "/gone.wav")
    from hubbub.io.paths import parse_path

    out = parse_path(f"{s3}/archive")
    done = fetch(source, out, policy=QUICK)
    assert (done.ok, done.duplicates, done.failed) == (2, 1, 1)
    before = len(site.requests)
    assert fetch(source, out, policy=QUICK).ok == 2
    assert len(site.requests) == before
    table = read_table(out / "clips.parquet")
    assert [resolve_uri(uri, table.root).read_bytes() for uri in table.rows["uri"].to_pylist()] == [
        make_audio(1),
        make_audio(2),
    ]
