//! Files that are no usable onnxruntime, made here: each is refused with its reason, and the process lives on.

use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

/// The whole of the library's entry; VERSION and API are expressions.
const FAKE: &str = r"
    typedef struct { const void *(*api)(unsigned); const char *(*version)(void); } Base;
    static const void *api(unsigned n) { (void)n; return API; }
    static const char *version(void) { return VERSION; }
    static const Base base = { api, version };
    const Base *OrtGetApiBase(void) { return BASE; }
";

/// Compiles a shared library.
fn compile(source: &str, path: &Path) {
    let mut cc = Command::new("cc")
        .args(["-shared", "-fPIC", "-x", "c", "-", "-o"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler, which building needs as well");
    let mut stdin = cc.stdin.take().unwrap();
    stdin.write_all(source.as_bytes()).unwrap();
    drop(stdin);
    assert!(cc.wait().unwrap().success());
}

/// A library that says it is of this version, and offers API 17 or not. The table of the API is only compared with
/// NULL, so any address will do.
fn fake(path: &Path, version: &str, offers: bool) {
    let api = if offers { "\"a table\"" } else { "0" };
    fake_of(path, "&base", api, &format!("\"{version}\""));
}

fn fake_of(path: &Path, base: &str, api: &str, version: &str) {
    let defines = format!("#define BASE {base}\n#define API {api}\n#define VERSION {version}\n");
    compile(&(defines + FAKE), path);
}

fn named(path: &Path) -> Result<Library, String> {
    let places = Places {
        named: Some(path.into()),
        directories: vec![],
    };
    find(&places).map_err(|e| e.to_string())
}

fn among(directories: &[&Path]) -> Result<Library, String> {
    let places = Places {
        named: None,
        directories: directories.iter().map(PathBuf::from).collect(),
    };
    find(&places).map_err(|e| e.to_string())
}

#[test]
fn nothing_there() {
    let error = among(&[Path::new("/nowhere")]).unwrap_err();
    assert!(error.contains("no libonnxruntime.so found"), "{error}");
    assert!(error.contains("pip install onnxruntime"), "{error}");
    let error = named(Path::new("/nowhere/lib.so")).unwrap_err();
    for part in ["ORT_DYLIB_PATH names /nowhere/lib.so", "No such file"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn files_that_are_no_library() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("libonnxruntime.so");
    let refused = |why: &str| {
        let error = named(&path).unwrap_err();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
        assert!(error.contains("libonnxruntime.so, which"), "{error}");
    };
    for text in ["", "not a library at all", "\x7fELF"] {
        std::fs::write(&path, text).unwrap();
        refused("not a shared library");
    }
    compile("int other(void) { return 1; }", &path);
    refused("no OrtGetApiBase");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refused("not a file");
}

/// A download that broke off: the dynamic linker would be killed by it.
#[test]
fn a_library_cut_short_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lib.so");
    fake(&path, "1.20.0", true);
    let whole_file = std::fs::read(&path).unwrap();
    // The section table at the end is not mapped, and a library without it is good.
    for eighths in 0..7 {
        std::fs::write(&path, &whole_file[..whole_file.len() * eighths / 8]).unwrap();
        let error = named(&path).unwrap_err();
        assert!(
            error.contains("cut short") || error.contains("not a shared library"),
            "{eighths}: {error}"
        );
    }
}

#[test]
fn libraries_of_the_wrong_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for (index, (version, offers, why)) in [
        (
            "1.10.0",
            true,
            "onnxruntime 1.10.0: 1.17 or newer is needed",
        ),
        ("1.16.3", true, "onnxruntime 1.16.3: 1.17"),
        ("0.99.0", true, "1.17 or newer"),
        ("banana\\n", true, "version is 'banana '"),
        ("", true, "version is ''"),
        ("1.17.0", false, "does not offer API 17"),
    ]
    .into_iter()
    .enumerate()
    {
        // A name of its own for each: a library of a path that was loaded once may be kept.
        let file = path(&format!("lib{index}.so"));
        fake(&file, version, offers);
        let error = named(&file).unwrap_err();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
    }
    for (name, base, version, why) in [
        ("base.so", "0", "\"1.20.0\"", "gives nothing"),
        ("none.so", "&base", "0", "does not tell its version"),
    ] {
        fake_of(&path(name), base, "0", version);
        let error = named(&path(name)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    fake(&path("good.so"), "1.17.0-rc1", true);
    assert_eq!(named(&path("good.so")).unwrap().version, "1.17.0-rc1");
}

#[test]
fn the_search_takes_the_first_that_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let [old, mixed] = ["old", "mixed"].map(|name| dir.path().join(name));
    for dir in [&old, &mixed] {
        std::fs::create_dir(dir).unwrap();
    }
    fake(&old.join("libonnxruntime.so.1.16.3"), "1.16.3", true);
    std::fs::write(old.join("libonnxruntime_providers_shared.so"), "x").unwrap();
    let error = among(&[&old]).unwrap_err();
    assert!(
        error.starts_with("found ") && error.contains("1.16.3: 1.17"),
        "{error}"
    );
    assert!(!error.contains("providers"), "{error}");

    fake(&mixed.join("libonnxruntime.so.1.9.0"), "1.9.0", true);
    fake(&mixed.join("libonnxruntime.so.1.18.0"), "1.18.0", true);
    fake(&mixed.join("libonnxruntime.so.1.20.1"), "1.20.1", true);
    std::os::unix::fs::symlink("libonnxruntime.so.1.18.0", mixed.join("libonnxruntime.so"))
        .unwrap();
    assert_eq!(among(&[&old, &mixed]).unwrap().version, "1.20.1");

    // What everybody could have put there is not run.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&mixed, mode).unwrap();
    let error = among(&[&mixed]).unwrap_err();
    assert!(error.contains("every user can write"), "{error}");
    // Nor what they could have put in the place of a directory further up.
    let deep = mixed.join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    fake(&deep.join("libonnxruntime.so.1.20.2"), "1.20.2", true);
    let error = among(&[&deep]).unwrap_err();
    assert!(error.contains("every user can write"), "{error}");
    let sticky = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(&mixed, sticky).unwrap();
    assert_eq!(among(&[&deep]).unwrap().version, "1.20.2");
    // Unless it is asked for by name.
    assert!(named(&mixed.join("libonnxruntime.so.1.20.1")).is_ok());
}

#[test]
fn directories_of_the_dynamic_linker() {
    let dir = tempfile::tempdir().unwrap();
    let more = dir.path().join("more.d");
    std::fs::create_dir(&more).unwrap();
    std::fs::write(more.join("b.conf"), "# a comment\n/opt/b/lib\n\n").unwrap();
    std::fs::write(more.join("a.conf"), "/opt/a/lib\nrelative\n").unwrap();
    std::fs::write(more.join("a.txt"), "/opt/not/lib\n").unwrap();
    let file = dir.path().join("ld.so.conf");
    let text = format!("include {}/*.conf\n/opt/c/lib\n", more.display());
    std::fs::write(&file, text).unwrap();
    let want = ["/opt/a/lib", "/opt/b/lib", "/opt/c/lib"].map(PathBuf::from);
    assert_eq!(configured(&file), want);
    assert!(configured(&dir.path().join("none")).is_empty());
}
