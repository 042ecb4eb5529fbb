//! Whose files are read, and whose are not.

use super::*;

fn refused(path: &Path) -> String {
    trusted_read(path).unwrap_err().to_string()
}

#[test]
fn own_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.engine");
    std::fs::write(&path, b"plan").unwrap();
    assert_eq!(trusted_read(&path).unwrap(), b"plan");
    // A detour does not matter, nor does a link on the way.
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    assert_eq!(
        trusted_read(&dir.path().join("sub/.././m.engine")).unwrap(),
        b"plan"
    );
    for target in [dir.path().to_owned(), PathBuf::from("sub/..")] {
        let link = dir.path().join("link");
        symlink(target, &link).unwrap();
        assert_eq!(trusted_read(&link.join("m.engine")).unwrap(), b"plan");
        std::fs::remove_file(link).unwrap();
    }
    assert!(
        trusted_read(&dir.path().join("none.engine"))
            .unwrap_err()
            .is_missing()
    );
}

#[test]
fn what_others_may_write_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let (upper, lower) = (dir.path().join("upper"), dir.path().join("upper/lower"));
    std::fs::create_dir_all(&lower).unwrap();
    let path = lower.join("m.engine");
    std::fs::write(&path, b"plan").unwrap();
    for part in [&path, &lower, &upper] {
        let before = std::fs::metadata(part).unwrap().permissions();
        for bits in [0o020, 0o002] {
            set_mode(part, (before.mode() | bits) & 0o777);
            let said = refused(&path);
            let remedy = format!("chmod go-w {}", part.display());
            assert!(
                said.starts_with(&format!("{} is writable by others", part.display())),
                "{said}"
            );
            assert!(said.ends_with(&remedy), "{said}");
        }
        std::fs::set_permissions(part, before).unwrap();
        assert!(trusted_read(&path).is_ok());
    }
    // Sticky directories like /tmp protect a directory further up, but not the file's own.
    set_mode(&upper, 0o1777);
    assert!(trusted_read(&path).is_ok());
    set_mode(&upper, 0o755);
    set_mode(&lower, 0o1777);
    assert!(refused(&path).contains("writable by others"));
}

#[test]
fn what_belongs_to_others_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.engine");
    std::fs::write(&path, b"plan").unwrap();
    let own = rustix::process::geteuid().as_raw();
    // To somebody else, our files are foreign; root's are nobody's.
    let said = read_as(&path, own + 1);
    if own == 0 {
        assert!(said.is_ok());
        std::os::unix::fs::chown(&path, Some(1234), None).unwrap();
    }
    let said = read_as(&path, own + 1).unwrap_err().to_string();
    assert!(
        said.contains("belongs to user") && said.contains("sudo chown"),
        "{said}"
    );
}

#[test]
fn links_and_other_things_are_no_engines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.engine");
    std::fs::write(&path, b"plan").unwrap();
    let link = dir.path().join("link.engine");
    symlink(&path, &link).unwrap();
    assert!(refused(&link).contains("is a symbolic link"));
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    symlink(&one, &two).unwrap();
    symlink(&two, &one).unwrap();
    let said = refused(&one.join("m.engine"));
    assert!(said.contains("symbolic links"), "{said}");
    let pipe = dir.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    assert!(refused(&pipe).contains("not a file"));
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    assert!(refused(&dir.path().join("sub")).contains("not a file"));
    assert!(refused(&path.join("x")).contains("Not a directory"));
    for odd in ["", "/", "..", "."] {
        assert!(trusted_read(Path::new(odd)).is_err(), "{odd}");
    }
}

#[test]
fn a_cache_that_others_can_write_is_not_used() {
    let (_dir, cache, path) = filled();
    set_mode(cache.dir(), 0o777);
    let all = [
        cache.find(&key()).unwrap_err(),
        cache.writable().unwrap_err(),
        cache.prepare().unwrap_err(),
        cache.prune(&Current::default(), true, false).unwrap_err(),
    ];
    for e in all {
        assert!(e.to_string().contains("chmod go-w"), "{e}");
    }
    set_mode(cache.dir(), 0o700);
    // Nor is a file in it, or its sidecar.
    for path in [&path, &sidecar_path(&path)] {
        set_mode(path, 0o666);
        assert!(
            cache
                .find(&key())
                .unwrap_err()
                .to_string()
                .contains("chmod go-w")
        );
        let health = cache.list().unwrap().remove(0).health;
        assert!(matches!(health, Health::Bad(_)));
        set_mode(path, 0o644);
    }
    assert!(matches!(cache.find(&key()).unwrap(), Found::Engine(_)));
}
