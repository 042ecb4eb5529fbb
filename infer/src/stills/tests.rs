//! The JSON contract.

use super::*;

#[test]
fn the_json_is_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.png");
    image::GrayImage::new(40, 20).save(&file).unwrap();
    let picture = hanja_picture::read(&file, u64::MAX).unwrap();
    let model = ModelInfo {
        name: "m".into(),
        id: 1,
        names: vec!["一".into()],
        input: (416, 320),
        backend: hanja_record::Backend::Rten,
        backend_description: String::new(),
        passed_over: Vec::new(),
    };
    let found = Detection {
        x1: 1.0,
        y1: 2.5,
        x2: 30.0,
        y2: 14.0,
        score: 0.75,
        ..Detection::default()
    };
    let json = serde_json::to_string(&PictureJson::new(
        Path::new("a.jpg"),
        &picture,
        &[found],
        &model,
    ))
    .unwrap();
    assert_eq!(
        json,
        r#"{"image":"a.jpg","width":40,"height":20,"detections":[{"class":0,"label":"一","score":0.75,"box":[1.0,2.5,30.0,14.0]}]}"#
    );
}
