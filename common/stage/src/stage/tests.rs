//! A stage in its directory.

use super::*;

fn stage(dir: &tempfile::TempDir) -> Stage {
    Stage::start(StageName::Capture, dir.path()).unwrap()
}

#[test]
fn a_second_stage_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = stage(&dir);
    let error = Stage::start(StageName::Capture, dir.path()).unwrap_err();
    assert!(matches!(error, StageError::InUse { pid, .. } if pid == std::process::id() as i32));
    assert!(Stage::start(StageName::Infer, dir.path()).is_ok());
}

#[test]
fn nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("run");
    let stage = Stage::start(StageName::Infer, &inner).unwrap();
    assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 2);
    drop(stage);
    assert!(!inner.exists());
}
