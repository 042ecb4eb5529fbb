//! Reads what eval compares: a YOLO data set, and the detections that `hanja detect --json` printed.

use super::EvalError;
use super::boxes::{Detection, Frame, Label, PixelBox};
use hanja_handwriting::CLASSES;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The pictures of a data set, sorted by name, with their labels and no detections.
///
/// `folder` holds `images/` and `labels/`; a picture without a label file has no labels, and
/// `labels/` may be missing altogether (a set of negatives).
///
/// # Errors
/// When there are no pictures, a picture's header cannot be read, or a label line is not
/// `class cx cy w h` with a class of 0..=9 and shares of 0..=1.
pub fn read_dataset(folder: &Path) -> Result<Vec<(PathBuf, Frame)>, EvalError> {
    let images = folder.join("images");
    let entries = std::fs::read_dir(&images).map_err(|_| EvalError::NoPictures {
        path: images.clone(),
    })?;
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        ["jpg", "jpeg", "png", "bmp", "webp"].contains(&extension.to_ascii_lowercase().as_str())
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(is_picture)
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(EvalError::NoPictures { path: images });
    }
    let read = |path: PathBuf| {
        let frame = read_frame(&path, &folder.join("labels"))?;
        Ok((path, frame))
    };
    files.into_iter().map(read).collect()
}

fn read_frame(picture: &Path, labels: &Path) -> Result<Frame, EvalError> {
    let (width, height) = image::image_dimensions(picture).map_err(|e| EvalError::Picture {
        path: picture.to_owned(),
        reason: e.to_string(),
    })?;
    let name = picture
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let stem = picture.file_stem().unwrap_or_default();
    let file = labels.join(stem).with_extension("txt");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => {
            return Err(EvalError::Label {
                path: file,
                line: 0,
                reason: e.to_string(),
            });
        }
    };
    let mut found = Vec::new();
    for (i, line) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
    {
        found.push(
            read_label(line, width, height).map_err(|reason| EvalError::Label {
                path: file.clone(),
                line: i + 1,
                reason,
            })?,
        );
    }
    Ok(Frame {
        name,
        width,
        height,
        labels: found,
        detections: Vec::new(),
    })
}

fn read_label(line: &str, width: u32, height: u32) -> Result<Label, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [class, shares @ ..] = words.as_slice() else {
        return Err("empty line".into());
    };
    let class: usize = class
        .parse()
        .map_err(|_| format!("'{class}' is not a class number"))?;
    if class >= CLASSES {
        return Err(format!("class {class} is not 0 to {}", CLASSES - 1));
    }
    let numbers: Vec<f64> = shares.iter().filter_map(|w| w.parse().ok()).collect();
    let [cx, cy, w, h] = numbers[..] else {
        return Err("expected 'class cx cy w h'".into());
    };
    if ![cx, cy, w, h].iter().all(|v| (-0.01..=1.01).contains(v)) {
        return Err("centre and size must be shares of the picture, 0 to 1".into());
    }
    let (sx, sy) = (f64::from(width), f64::from(height));
    let area = PixelBox {
        x1: (cx - w / 2.0) * sx,
        y1: (cy - h / 2.0) * sy,
        x2: (cx + w / 2.0) * sx,
        y2: (cy + h / 2.0) * sy,
    };
    Ok(Label { class, area })
}

#[derive(serde::Deserialize)]
struct Printed {
    image: String,
    detections: Vec<PrintedDetection>,
}

#[derive(serde::Deserialize)]
struct PrintedDetection {
    class: usize,
    score: f64,
    r#box: [f64; 4],
}

/// Reads the output of `hanja detect --json`: one object a picture, on lines of their own or in one
/// array. Returns detections by file name, without folders.
///
/// # Errors
/// When the file cannot be read or is not of that form, or a picture comes twice.
pub fn read_detections(file: &Path) -> Result<BTreeMap<String, Vec<Detection>>, EvalError> {
    let bad = |reason: String| EvalError::Detections {
        path: file.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(file).map_err(|e| bad(e.to_string()))?;
    let mut pictures: Vec<Printed> = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>() {
        let value = value.map_err(|e| bad(e.to_string()))?;
        if value.is_array() {
            let many: Vec<Printed> =
                serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
            pictures.extend(many);
        } else {
            pictures.push(serde_json::from_value(value).map_err(|e| bad(e.to_string()))?);
        }
    }
    let mut by_name = BTreeMap::new();
    for picture in pictures {
        let path = Path::new(&picture.image);
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let found = picture
            .detections
            .iter()
            .map(detection)
            .collect::<Result<_, _>>();
        if by_name.insert(name.clone(), found.map_err(bad)?).is_some() {
            return Err(bad(format!("two pictures are named {name}")));
        }
    }
    Ok(by_name)
}

fn detection(d: &PrintedDetection) -> Result<Detection, String> {
    let [x1, y1, x2, y2] = d.r#box;
    if d.class >= CLASSES {
        return Err(format!("class {} is not 0 to {}", d.class, CLASSES - 1));
    }
    if ![d.score, x1, y1, x2, y2].iter().all(|v| v.is_finite()) {
        return Err("a score or box is not a finite number".into());
    }
    Ok(Detection {
        class: d.class,
        score: d.score,
        area: PixelBox { x1, y1, x2, y2 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_lines_become_pixels() {
        let label = read_label("6 0.5 0.25 0.1 0.5", 640, 480).unwrap();
        assert_eq!(label.class, 6);
        let want = PixelBox {
            x1: 288.0,
            y1: 0.0,
            x2: 352.0,
            y2: 240.0,
        };
        assert!((label.area.iou(&want) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn bad_label_lines_say_why() {
        for (line, word) in [
            ("x 0.5 0.5 0.1 0.1", "class number"),
            ("10 0.5 0.5 0.1 0.1", "0 to 9"),
            ("1 0.5 0.5 0.1", "expected"),
            ("1 320 240 50 50", "shares"),
        ] {
            let reason = read_label(line, 640, 480).unwrap_err();
            assert!(reason.contains(word), "{line}: {reason}");
        }
    }

    #[test]
    fn detections_come_as_lines_or_as_an_array() {
        let one = r#"{"image":"a/b.jpg","width":9,"height":9,"detections":[{"class":1,"label":"二","score":0.5,"box":[1,2,3,4]}]}"#;
        let two = r#"{"image":"c.jpg","width":9,"height":9,"detections":[]}"#;
        let folder = tempfile::tempdir().unwrap();
        for text in [format!("{one}\n{two}\n"), format!("[{one},{two}]")] {
            let file = folder.path().join("d.json");
            std::fs::write(&file, text).unwrap();
            let read = read_detections(&file).unwrap();
            assert_eq!(read.keys().collect::<Vec<_>>(), ["b.jpg", "c.jpg"]);
            assert_eq!(read["b.jpg"][0].class, 1);
        }
        let file = folder.path().join("bad.json");
        std::fs::write(&file, format!("{two}{two}")).unwrap();
        assert!(
            read_detections(&file)
                .unwrap_err()
                .to_string()
                .contains("two pictures")
        );
        std::fs::write(&file, "{").unwrap();
        assert!(read_detections(&file).is_err());
    }
}
