"""The metrics of a running pipeline, seen by Prometheus. Run by ci/metrics.sh; HANJA names the executable."""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "docs/grafana-dashboard.json"
ALERTS = ROOT / "docs/prometheus-alerts.yml"
DOCUMENT = ROOT / "docs/metrics.md"
SUFFIXES = ("_bucket", "_sum", "_count")
# Prometheus' own, not the pipeline's.
FOREIGN = {"up"}


def get(url: str, timeout: float = 5) -> str:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def until(what: str, ask, seconds: float = 60):
    """Polls until there is an answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.2)


def promtool(*arguments: str, text: str | None = None) -> str:
    """Runs it; anything it says is a failure of the check, lint warnings included."""
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def samples(page: str) -> dict[str, float]:
    """Every sample, by its name with labels."""
    found = {}
    for line in page.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name not in found, f"{name} stands there twice"
            found[name] = float(value)
    return found


def kinds(page: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))


def check_page(first: str, second: str) -> None:
    """Counters only grow, histograms are cumulative and complete."""
    said = promtool("check", "metrics", text=second)
    assert said.strip() == "", said
    before, after, kind = samples(first), samples(second), kinds(second)
    for name, value in before.items():
        family = name.split("{")[0]
        base = next((family[: -len(s)] for s in SUFFIXES if family.endswith(s)), family)
        if kind.get(family) == "counter" or kind.get(base) == "histogram":
            assert after[name] >= value, f"{name} fell from {value} to {after[name]}"
    series: dict[str, list[tuple[float, float]]] = {}
    for name, value in after.items():
        bucket = re.fullmatch(r'(\w+)_bucket\{(.*?),?le="([^"]+)"\}', name)
        if bucket:
            family, labels, bound = bucket.groups()
            series.setdefault(f"{family}|{labels}", []).append((float(bound), value))
    assert len(series) >= 11, sorted(series)
    for key, buckets in series.items():
        family, labels = key.split("|")
        counts = [n for _, n in sorted(buckets)]
        assert counts == sorted(counts) and buckets[-1][0] == float("inf"), f"{key}: {buckets}"
        total = after[f"{family}_count{{{labels}}}" if labels else f"{family}_count"]
        assert counts[-1] == total > 0, f"{key}: {counts[-1]} in buckets, {total} in all"
        # The sum lies between what the buckets allow.
        spent = after[f"{family}_sum{{{labels}}}" if labels else f"{family}_sum"]
        floor, below, low = 0.0, 0.0, 0.0
        for bound, n in sorted(buckets):
            floor += (n - below) * low
            below, low = n, bound
        assert floor <= spent * (1 + 1e-9), f"{key}: {spent} s in all, at least {floor} by the buckets"


def expressions() -> list[tuple[str, str]]:
    """All questions of dashboard and alerts, with where they stand."""
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) and board["uid"] and board["title"]
    names = {v["name"] for v in board["templating"]["list"]}
    found = [(f"panel {p['title']}", t["expr"]) for p in board["panels"] for t in p["targets"]]
    found += [(f"annotation {a['name']}", a["expr"]) for a in board["annotations"]["list"]]
    for where, text in found:
        used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval"}
        assert used <= names, f"{where} uses a variable that is not there: {used - names}"
    for panel in board["panels"]:
        box = panel["gridPos"]
        assert 0 <= box["x"] and box["x"] + box["w"] <= 24, panel["title"]
    found += [("alert", e) for e in re.findall(r"^\s+expr: (.+)$", ALERTS.read_text(), re.M)]
    return found


def check_names(page: str, questions: list[tuple[str, str]]) -> None:
    """Every metric that is asked for is there, with the labels that are asked for; and stands in the document."""
    there: dict[str, set[str]] = {}
    for name in samples(page):
        family, _, labels = name.partition("{")
        there.setdefault(family, set()).update(re.findall(r'(\w+)="', labels))
    for where, text in questions:
        for family, matchers in re.findall(r"\b(hanja_\w+|up)\b(?:\{([^}]*)\})?", text):
            if family in FOREIGN:
                continue
            assert family in there, f"{where} asks for {family}, which is not in /metrics"
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) - {"job", "instance"}
            assert labels <= there[family], f"{where} asks {family} for {labels - there[family]}"
    document = DOCUMENT.read_text()
    for family in kinds(page):
        assert f"`{family}`" in document, f"{family} is not in docs/metrics.md"
    for family in set(re.findall(r"`(hanja_\w+)`", document)):
        assert family in kinds(page), f"docs/metrics.md has {family}, which is not in /metrics"


def filled(text: str, instance: str) -> str:
    for name, value in (("$__rate_interval", "10s"), ("$job", "hanja"), ("$instance", instance)):
        text = text.replace(name, value)
    return text


def check_rules(work: Path, questions: list[tuple[str, str]], instance: str) -> None:
    """Each expression is one of PromQL, and the alerts are rules."""
    promtool("check", "rules", str(ALERTS))
    rules = [{"record": f"q:{n}", "expr": filled(text, instance)} for n, (_, text) in enumerate(questions)]
    path = work / "questions.yml"
    path.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))  # JSON is YAML
    said = promtool("check", "rules", "--lint=duplicate-rules", str(path))
    assert f"{len(questions)} rules found" in said, said


def check_answers(work: Path, questions: list[tuple[str, str]], instance: str, page: str) -> None:
    """Prometheus itself, after half a minute of scraping."""
    config = {"global": {"scrape_interval": "1s"}, "rule_files": [str(ALERTS)],
              "scrape_configs": [{"job_name": "hanja", "static_configs": [{"targets": [instance]}]}]}
    (work / "prometheus.yml").write_text(json.dumps(config))
    promtool("check", "config", str(work / "prometheus.yml"))
    port = free_port()
    log = (work / "prometheus.log").open("w")
    server = subprocess.Popen(
        ["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/tsdb",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        def ask(text: str) -> list:
            url = f"http://127.0.0.1:{port}/api/v1/query?query=" + urllib.parse.quote(text)
            try:
                return json.loads(get(url))["data"]["result"]
            except OSError:
                return []
        until("Prometheus to scrape", lambda: ask('up{job="hanja"} == 1'))
        until("ten scrapes", lambda: ask('count_over_time(hanja_healthy[1m]) >= 15'))
        empty = []
        for where, text in questions:
            # An alert that has nothing to say is silent, and so is a comparison that does not hold.
            compared = where == "alert" or where.startswith("annotation")
            text = filled(text, instance)
            if compared:
                text = re.sub(r"\s*(==|>|<)\s*[\d.]+$", "", text)
            answer = ask(text)
            if not answer or any(a["value"][1] == "NaN" for a in answer) and "longest" not in text:
                empty.append(f"{where}: {text} gives {answer}")
        assert not empty, "\n".join(empty)
        # A quantile that Prometheus computes is one of the latencies that there were.
        quantile = 'histogram_quantile(0.5, sum by (le) (rate(hanja_step_duration_seconds_bucket{step="inference"}[10s])))'
        mean = ('rate(hanja_step_duration_seconds_sum{step="inference"}[10s])'
                ' / rate(hanja_step_duration_seconds_count{step="inference"}[10s])')
        median, average = (float(ask(q)[0]["value"][1]) for q in (quantile, mean))
        assert average / 3 < median < average * 3, f"median {median} s, mean {average} s"
        alerts = json.loads(get(f"http://127.0.0.1:{port}/api/v1/alerts"))["data"]["alerts"]
        firing = [a["labels"]["alertname"] for a in alerts if a["state"] == "firing"]
        assert not firing, firing
        print(f"{len(questions)} questions answered; inference: median {median * 1e3:.1f} ms, mean {average * 1e3:.1f} ms")
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def drain(stream) -> None:
    """Watches until the stream ends, however it ends."""
    try:
        while stream.read(1 << 16):
            pass
    except (OSError, http.client.HTTPException):
        pass


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main() -> int:
    hanja = os.environ["HANJA"]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        log = (work / "hanja.log").open("w")
        run = subprocess.Popen(
            [hanja, "run", "--source=synth:?size=320x240&fps=15", "--size=160", "--http=127.0.0.1:0",
             f"--runtime-dir={work}/run"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            def address():
                found = re.search(r"view at http://([\d.:]+)/", (work / "hanja.log").read_text())
                return found and found[1]
            instance = until("the web view", address)
            def live():
                try:
                    return json.loads(get(f"http://{instance}/healthz"))["ok"]
                except OSError:
                    return False
            until("the pipeline to be live", live)
            # Somebody watches, so that pictures go out.
            watcher = urllib.request.urlopen(f"http://{instance}/stream.mjpg", timeout=60)
            until("a picture", lambda: watcher.read(4096))
            threading.Thread(target=drain, args=(watcher,), daemon=True).start()
            until("the first second with a picture",
                  lambda: 'hanja_end_to_end_duration_seconds_count{to="picture"}' in get(f"http://{instance}/metrics"))
            first = get(f"http://{instance}/metrics")
            time.sleep(2.5)
            second = get(f"http://{instance}/metrics")
            questions = expressions()
            check_page(first, second)
            check_names(second, questions)
            check_rules(work, questions, instance)
            check_answers(work, questions, instance, second)
            print(f"{len(samples(second))} samples of {len(kinds(second))} metrics, {len(second)} bytes")
        except BaseException:
            sys.stderr.write((work / "hanja.log").read_text())
            raise
        finally:
            run.terminate()
            run.wait(20)
            log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
