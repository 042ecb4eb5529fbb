use super::cache::{default_dir, is_engine, sidecar_path, write_whole};
use super::trust::read_as;
use super::*;
use hanja_stage::config::InferConfig;
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

mod building;
mod second_size;
mod trust;

fn library(version: &str) -> LibraryKey {
    LibraryKey {
        flavour: "trt".into(),
        version: version.into(),
    }
}

fn orin() -> DeviceKey {
    DeviceKey {
        name: "Orin".into(),
        compute_capability: (8, 7),
    }
}

fn key() -> Key {
    let shape = "416x320".parse().unwrap();
    let (library, device) = (library("10.3.0"), Some(orin()));
    Key::new(
        "models/hanja-n.onnx",
        b"model",
        library,
        device,
        Precision::Fp16,
        shape,
    )
}

/// A cache in a directory of its own, with the engine of [`key`] in it.
fn filled() -> (TempDir, Cache, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(&dir.path().join("cache"));
    cache.prepare().unwrap();
    let path = store(&cache, &key());
    (dir, cache, path)
}

fn store(cache: &Cache, key: &Key) -> PathBuf {
    let time = Duration::from_millis(1500);
    cache
        .store(key, &[7; 5000], time, "TensorRT 10.3.0")
        .unwrap()
}

fn unfit(cache: &Cache) -> String {
    match cache.find(&key()).unwrap() {
        Found::Unfit(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_say_what_an_engine_is_for() {
    let name = key().file_name();
    assert!(
        name.starts_with("hanja-n-416x320-fp16-trt10.3.0-sm87-"),
        "{name}"
    );
    assert!(is_engine(&name), "{name}");
    let hostile = Key {
        model: "../../etc/x\ny".into(),
        ..key()
    };
    assert!(
        hostile.file_name().starts_with("x_y-416x320"),
        "{}",
        hostile.file_name()
    );
    let embedded = Key::new(
        "embedded hanja-n",
        b"",
        library("1"),
        None,
        Precision::Fp32,
        key().shape,
    );
    assert!(
        embedded
            .file_name()
            .starts_with("hanja-n-416x320-fp32-trt1-any-")
    );
}

#[test]
fn everything_that_matters_changes_the_key() {
    let shape = |text: &str| text.parse().unwrap();
    let with_device = |name: &str, compute_capability| Key {
        device: Some(DeviceKey {
            name: name.into(),
            compute_capability,
        }),
        ..key()
    };
    let others = [
        Key {
            model_sha256: sha256_hex(b"another"),
            ..key()
        },
        Key {
            library: library("10.3.1"),
            ..key()
        },
        Key {
            library: LibraryKey {
                flavour: "rtx".into(),
                ..library("10.3.0")
            },
            ..key()
        },
        Key {
            device: None,
            ..key()
        },
        with_device("Orin Nano", (8, 7)),
        with_device("Orin", (8, 6)),
        Key {
            precision: Precision::Fp32,
            ..key()
        },
        Key {
            shape: shape("320x416"),
            ..key()
        },
    ];
    let mut names: Vec<_> = others.iter().map(Key::file_name).collect();
    for other in &others {
        assert!(
            !other.serves(&key()) && other.difference(&key()).is_some(),
            "{other:?}"
        );
    }
    names.push(key().file_name());
    names.sort();
    names.dedup();
    assert_eq!(names.len(), others.len() + 1);
    // The model's name is for people.
    let renamed = Key {
        model: "other".into(),
        ..key()
    };
    assert!(renamed.serves(&key()) && renamed.difference(&key()).is_none());
}

#[test]
fn shapes_are_those_of_the_stage() {
    assert_eq!(Shape::for_picture(640, 480, 416).to_string(), "416x320");
    assert_eq!(Shape::for_picture(1280, 720, 640).to_string(), "640x384");
    assert_eq!(
        "640x384".parse::<Shape>().unwrap(),
        Shape::for_picture(1280, 720, 640)
    );
    for wrong in ["640", "640x", "640x100", "0x32", "640x384x3", "99999x32"] {
        assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
    }
    let job = Job::new(&InferConfig {
        model: Some("hanja-n".into()),
        ..InferConfig::default()
    });
    assert_eq!(job.unwrap().shape.to_string(), "416x320");
}

#[test]
fn the_directory_is_where_the_rules_say() {
    let of = |set: &[(&str, &str)]| {
        let set: Vec<(String, OsString)> = set
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).into()))
            .collect();
        default_dir(|name| set.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    };
    let (systemd, xdg, home) = (
        ("CACHE_DIRECTORY", "/var/cache/a:/var/cache/b"),
        ("XDG_CACHE_HOME", "/x"),
        ("HOME", "/home/me"),
    );
    assert_eq!(of(&[systemd, xdg, home]), Path::new("/var/cache/a"));
    assert_eq!(of(&[xdg, home]), Path::new("/x/hanja-pipeline"));
    assert_eq!(of(&[home]), Path::new("/home/me/.cache/hanja-pipeline"));
    assert_eq!(
        of(&[("XDG_CACHE_HOME", "x"), home]),
        Path::new("/home/me/.cache/hanja-pipeline")
    );
    assert_eq!(of(&[]), Path::new("/var/cache/hanja-pipeline"));
}

#[test]
fn what_is_stored_is_found() {
    let (_dir, cache, path) = filled();
    let Found::Engine(engine) = cache.find(&key()).unwrap() else {
        panic!("not found");
    };
    assert_eq!((engine.path, engine.plan), (path, vec![7; 5000]));
    assert_eq!(engine.sidecar.key, key());
    let other = Key {
        precision: Precision::Fp32,
        ..key()
    };
    assert!(matches!(cache.find(&other).unwrap(), Found::Nothing));
    let nowhere = Cache::new(Path::new("/nonexistent/cache"));
    assert!(matches!(nowhere.find(&key()).unwrap(), Found::Nothing));
    assert_eq!(nowhere.size().unwrap(), (0, 0));
    let entries = cache.list().unwrap();
    assert_eq!((entries.len(), &entries[0].health), (1, &Health::Good));
    assert_eq!(cache.size().unwrap(), (1, 5000));
    // Nothing of the writing is left.
    let names = cache.names().unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn damaged_engines_are_seen_before_the_library_sees_them() {
    let (_dir, cache, path) = filled();
    let good = std::fs::read(&path).unwrap();
    for length in [0, 1, 4999] {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(unfit(&cache).contains("bytes instead of 5000"));
    }
    for at in [0, 2500, 4999] {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(unfit(&cache).contains("have changed since"));
        let health = cache.list().unwrap().remove(0).health;
        assert!(matches!(health, Health::Bad(_)));
    }
    std::fs::write(&path, &good).unwrap();
    assert!(matches!(cache.find(&key()).unwrap(), Found::Engine(_)));
}

#[test]
fn damaged_and_foreign_sidecars_are_seen() {
    let (_dir, cache, path) = filled();
    let sidecar = sidecar_path(&path);
    let good = std::fs::read(&sidecar).unwrap();
    for (text, message) in [
        (&b""[..], "damaged"),
        (&good[..good.len() / 2], "damaged"),
        (b"{}", "damaged"),
        (b"\xff\xfe", "damaged"),
        (&vec![b' '; 70_000], "too large"),
    ] {
        std::fs::write(&sidecar, text).unwrap();
        assert!(unfit(&cache).contains(message));
    }
    // Two engines whose sidecars were swapped, with plans of the same bytes.
    let other = Key {
        library: library("10.13.0"),
        ..key()
    };
    let other_sidecar = sidecar_path(&store(&cache, &other));
    std::fs::copy(&other_sidecar, &sidecar).unwrap();
    assert_eq!(
        unfit(&cache),
        "it was built for library trt 10.13.0, not trt 10.3.0"
    );
    let bad = cache
        .list()
        .unwrap()
        .into_iter()
        .filter(|e| e.health != Health::Good);
    assert_eq!(bad.count(), 1);
    std::fs::remove_file(&sidecar).unwrap();
    assert!(unfit(&cache).contains("sidecar is missing"));
    // And building mends it.
    store(&cache, &key());
    assert!(matches!(cache.find(&key()).unwrap(), Found::Engine(_)));
}

#[test]
fn timing_caches_are_kept_whole_or_not_at_all() {
    let (_dir, cache, _) = filled();
    assert_eq!(cache.load_timing(&key()), None);
    cache.store_timing(&key(), b"measured").unwrap();
    assert_eq!(cache.load_timing(&key()).as_deref(), Some(&b"measured"[..]));
    // Another model shares it, another library does not.
    let other = Key {
        model_sha256: sha256_hex(b"x"),
        ..key()
    };
    assert!(cache.load_timing(&other).is_some());
    assert!(
        cache
            .load_timing(&Key {
                library: library("10.4.0"),
                ..key()
            })
            .is_none()
    );
    let path = cache.dir().join(key().timing_name());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(cache.load_timing(&key()), None);
    std::fs::write(&path, b"short").unwrap();
    assert_eq!(cache.load_timing(&key()), None);
}

#[test]
fn one_builds_and_the_other_waits() {
    let (_dir, cache, _) = filled();
    let held = cache.lock(false).unwrap().expect("free");
    assert!(cache.lock(false).unwrap().is_none());
    assert!(
        cache
            .prune(&Current::default(), true, false)
            .unwrap_err()
            .to_string()
            .contains("right now")
    );
    let waiting = {
        let cache = cache.clone();
        std::thread::spawn(move || cache.lock(true).unwrap().is_some())
    };
    std::thread::sleep(Duration::from_millis(100));
    assert!(!waiting.is_finished());
    drop(held);
    assert!(waiting.join().unwrap());
    assert!(cache.lock(false).unwrap().is_some());
}

#[test]
fn an_unusable_cache_is_named() {
    let said = |path: &str| {
        Cache::new(Path::new(path))
            .prepare()
            .unwrap_err()
            .to_string()
    };
    for path in ["/dev/null/cache", "/proc/cache"] {
        let said = said(path);
        assert!(
            said.contains(path) && said.contains("--engine-cache"),
            "{said}"
        );
    }
}

#[test]
fn pruning_takes_what_no_longer_fits_and_nothing_else() {
    let (_dir, cache, current_engine) = filled();
    let old = store(
        &cache,
        &Key {
            library: library("8.6.2"),
            ..key()
        },
    );
    let card = DeviceKey {
        name: "RTX".into(),
        ..orin()
    };
    let other_card = store(
        &cache,
        &Key {
            device: Some(card),
            ..key()
        },
    );
    let damaged = store(
        &cache,
        &Key {
            precision: Precision::Fp32,
            ..key()
        },
    );
    std::fs::write(&damaged, b"cut").unwrap();
    let bare = store(
        &cache,
        &Key {
            shape: "64x64".parse().unwrap(),
            ..key()
        },
    );
    std::fs::remove_file(sidecar_path(&bare)).unwrap();
    let orphan = store(
        &cache,
        &Key {
            shape: "96x64".parse().unwrap(),
            ..key()
        },
    );
    std::fs::remove_file(&orphan).unwrap();
    let leftover = cache.dir().join(format!(".{}.4711.tmp", key().file_name()));
    std::fs::write(&leftover, b"half").unwrap();
    cache.store_timing(&key(), b"kept").unwrap();
    cache
        .store_timing(
            &Key {
                library: library("8.6.2"),
                ..key()
            },
            b"old",
        )
        .unwrap();
    // What the cache did not make is not its to remove.
    let strange = [
        "mine.engine",
        "notes.json",
        ".hidden.tmp",
        ".x.engine.1.tmp",
    ]
    .map(|n| cache.dir().join(n));
    for path in &strange {
        std::fs::write(path, b"mine").unwrap();
    }
    let current = Current {
        library: Some(library("10.3.0")),
        device: Some(orin()),
    };
    let planned = cache.prune(&current, false, true).unwrap();
    let mut paths: Vec<_> = planned.iter().map(|r| r.path.clone()).collect();
    paths.sort();
    let timing = cache.dir().join(
        Key {
            library: library("8.6.2"),
            ..key()
        }
        .timing_name(),
    );
    let mut expected = vec![
        old,
        other_card,
        damaged,
        bare,
        sidecar_path(&orphan),
        leftover,
        timing,
    ];
    expected.sort();
    assert_eq!(paths, expected, "{planned:?}");
    assert!(
        paths.iter().all(|p| p.exists()),
        "a dry run removes nothing"
    );
    assert_eq!(cache.prune(&current, false, false).unwrap().len(), 7);
    assert!(paths.iter().all(|p| !p.exists()));
    assert!(cache.prune(&current, false, false).unwrap().is_empty());
    assert!(matches!(cache.find(&key()).unwrap(), Found::Engine(_)));
    assert!(cache.load_timing(&key()).is_some());
    // Without a library nothing is foreign; with `all` the rest goes, but for what is not ours.
    assert!(
        cache
            .prune(&Current::default(), false, false)
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        cache.prune(&Current::default(), true, false).unwrap().len(),
        2
    );
    assert!(!current_engine.exists() && strange.iter().all(|p| p.exists()));
    let left = cache.names().unwrap();
    assert_eq!(left.len(), strange.len() + 1, "and the lock: {left:?}");
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("taken");
    std::fs::create_dir(&target).unwrap();
    assert!(write_whole(&target, b"plan").is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
