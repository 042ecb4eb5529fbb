//! The pipeline on a GPU that is none: a driver and a TensorRT that tests compile, with a model that finds the dark part
//! of a picture. So everything else of the GPU's way is the real thing, and the boxes are known. TensorRT's headers come
//! out of the crate registry, so `ci/tensorrt.sh` runs these.

mod failures;
mod frames;
mod start;

use crate::harness::*;
use hanja_cuda_fake::Driver;
use hanja_tensorrt_fake::{DARK, Fake, Kind, plan};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// The dark rectangle of each picture by its size: left, top, right, bottom. Odd sizes, and one below the model's input.
const PICTURES: [((u32, u32), [u32; 4], &str); 3] = [
    ((640, 480), [160, 96, 352, 301], "png"),
    ((801, 601), [33, 250, 400, 590], "jpg"),
    ((161, 99), [60, 20, 121, 80], "png"),
];

/// How often each is shown before the next.
const REPEATED: usize = 8;

/// What infer says when it works.
const SERVES: &str = "infer   |  INFO model ";

/// The fake TensorRT of this kind, made once a process: another one may run its own from the same place, so whole files
/// take the place of others.
fn library(kind: Kind) -> PathBuf {
    static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap();
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tmp.join(format!("fake-tensorrt-{kind:?}"));
    if !made.contains(&dir) {
        std::fs::create_dir_all(&dir).unwrap();
        let new = tempfile::tempdir_in(tmp).unwrap();
        Fake::new(kind).model(DARK).build(new.path()).unwrap();
        for file in std::fs::read_dir(new.path()).unwrap() {
            let file = file.unwrap();
            std::fs::rename(file.path(), dir.join(file.file_name())).unwrap();
        }
        made.push(dir.clone());
    }
    dir
}

/// A place with a fake GPU.
struct Bench {
    place: Place,
    kind: Kind,
    driver: Driver,
    library: PathBuf,
}

impl Bench {
    fn new(kind: Kind, driver: Driver) -> Self {
        let bench = Self {
            place: Place::new(),
            kind,
            driver,
            library: library(kind),
        };
        bench.plays("");
        let dir = bench.pictures();
        std::fs::create_dir(&dir).unwrap();
        std::fs::create_dir(bench.place.path("one")).unwrap();
        for (index, (size, dark, ending)) in PICTURES.into_iter().enumerate() {
            let name = |number| format!("{index}-{number:02}.{ending}");
            let first = dir.join(name(0));
            picture(size, dark).save(&first).unwrap();
            // Another size is another ring: not with every frame.
            for number in 1..REPEATED {
                std::fs::copy(&first, dir.join(name(number))).unwrap();
            }
            if index == 0 {
                std::fs::copy(&first, bench.place.path("one/a.png")).unwrap();
            }
        }
        bench
    }

    fn modern() -> Self {
        Self::new(Kind::Ten, Driver::Current)
    }

    fn pictures(&self) -> PathBuf {
        self.place.path("pictures")
    }

    fn source(&self, fps: u32) -> String {
        format!(
            "--source=dir:{}?fps={fps}&loop=1",
            self.pictures().display()
        )
    }

    /// One picture, always the same.
    fn still(&self, fps: u32) -> String {
        let dir = self.place.path("one");
        format!("--source=dir:{}?fps={fps}&loop=1", dir.display())
    }

    fn cache(&self) -> PathBuf {
        self.place.path("cache/hanja-pipeline")
    }

    /// What the driver plays from now on.
    fn plays(&self, modes: &str) {
        let new = self.place.path("modes.new");
        std::fs::write(&new, modes).unwrap();
        std::fs::rename(new, self.place.path("modes")).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.hanja(arguments);
        let modes = format!("@{}", self.place.path("modes").display());
        command
            .envs(hanja_cuda_fake::environment(self.driver, &modes, None))
            .env("HANJA_TENSORRT_LIB", &self.library)
            .env("XDG_CACHE_HOME", self.place.path("cache"))
            .env_remove("CACHE_DIRECTORY");
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// An engine as somebody else's tool made it.
    fn engine(&self, name: &str) -> PathBuf {
        let path = self.place.path(name);
        std::fs::write(&path, plan(self.kind, 320, 416, "")).unwrap();
        path
    }

    /// A pipeline on the pictures, and whatever else is said.
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        // A dark rectangle is no numeral.
        let all = [&["run", "--http=off", "--verify=false"], arguments].concat();
        let mut command = self.command(&all);
        command.envs(environment.iter().copied());
        self.place.start_command(command, "out.txt")
    }

    /// A tap that writes into a file.
    fn tap(&self, topic: &str) -> Running {
        let command = self.place.hanja(&["tap", topic, "--json"]);
        self.place.start_command(command, &format!("{topic}.txt"))
    }

    /// The next `count` detection records.
    fn records(&self, count: usize) -> Vec<Value> {
        let count = format!("--count={count}");
        let out = self.place.output(&["tap", "detections", "--json", &count]);
        lines(&String::from_utf8(out.stdout).unwrap())
    }

    /// Names in the cache.
    fn engines(&self) -> Vec<PathBuf> {
        let dir = std::fs::read_dir(self.cache());
        let paths = dir.into_iter().flatten().flatten().map(|e| e.path());
        paths
            .filter(|p| p.extension().is_some_and(|e| e == "engine"))
            .collect()
    }
}

/// Paper with a dark rectangle.
fn picture((width, height): (u32, u32), [left, top, right, bottom]: [u32; 4]) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let dark = (left..right).contains(&x) && (top..bottom).contains(&y);
        image::Rgb(if dark { [20, 30, 40] } else { [230, 220, 210] })
    })
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines().filter(|l| l.starts_with('{'));
    lines.filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// A record of the fake model on the fake GPU has one box, and in the right place.
fn assert_right(record: &Value) {
    assert_eq!(
        (&record["backend"], &record["status"]),
        (&"tensorrt".into(), &"ok".into()),
        "{record}"
    );
    let n = |v: &Value| v.as_u64().unwrap();
    let size = |name: &str| n(&record["frame"][name]) as u32;
    let size = (size("width"), size("height"));
    let known = PICTURES.iter().find(|(s, _, _)| *s == size);
    let (_, dark, _) = known.unwrap_or_else(|| panic!("{record}"));
    let found = record["detections"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{record}");
    assert_eq!(
        (
            n(&record["candidates"]),
            n(&record["suppressed"]),
            n(&found[0]["class"])
        ),
        (2, 1, 3),
        "{record}"
    );
    assert_near(&found[0]["box"], *dark, size);
}

/// Within a pixel of the model's input, and what JPEG smears.
fn assert_near(found: &Value, dark: [u32; 4], (width, height): (u32, u32)) {
    let pixel = 1.0 + 1.1 * f64::max(f64::from(width) / 416.0, f64::from(height) / 320.0);
    for (i, wanted) in dark.into_iter().enumerate() {
        let off = (found[i].as_f64().unwrap() - f64::from(wanted)).abs();
        assert!(off < pixel, "{found}, drawn {dark:?} in {width}x{height}");
    }
}

/// Number of the record's frame.
fn seq(record: &Value) -> u64 {
    record["frame"]["seq"].as_u64().unwrap()
}

fn end(running: &mut Running) {
    running.signal(running.pid(), "INT");
    assert!(running.wait(LONG).success(), "{}", running.log());
    let log = running.log();
    assert!(!log.contains("panicked"), "{log}");
}
