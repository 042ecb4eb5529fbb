//! `hanja-model crops`: cuts out the boxes that a model finds in a data set, each with its true class. The verifier is
//! trained on these crops, which the product's own code cuts.

use crate::eval::{EvalError, Frame, PixelBox, read_dataset};
use hanja_handwriting::CLASSES;
use hanja_infer::{Detector, SIDE};
use hanja_record::Detection;
use hanja_stage::config::InferConfig;
use image::GrayImage;
use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Crops side by side, and above each other, in one picture file.
pub const SHEET: (usize, usize) = (40, 50);
/// Least overlap (IoU) at which a box counts as one of the label.
const RIGHT: f64 = 0.5;
/// Largest overlap (IoU) at which it does not. Boxes between the two are left out.
const WRONG: f64 = 0.4;
/// Most boxes of one picture that are no numeral.
const MOST_WRONG: usize = 60;

/// What to make.
#[derive(Clone, Debug)]
pub struct CropOptions {
    /// Data set: `images/`, `labels/`, and perhaps `others/`.
    pub data: PathBuf,
    /// Folder to create.
    pub out: PathBuf,
    /// Model, least score and input size.
    pub config: InferConfig,
    /// Additional boxes around each label and other character, moved and scaled a little, since a network is never exact.
    pub jitter: usize,
    /// Seed of the additional boxes.
    pub seed: u64,
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CropReport {
    /// Pictures read.
    pub pictures: usize,
    /// Crops of each class, then of none.
    pub crops: [usize; CLASSES + 1],
}

/// Why no crops could be made.
#[derive(Debug, thiserror::Error)]
pub enum CropError {
    /// The data set cannot be read, or the model not be run.
    #[error(transparent)]
    Data(#[from] EvalError),
    /// The model cannot be loaded or run.
    #[error(transparent)]
    Model(#[from] hanja_infer::InferError),
    /// A picture cannot be decoded.
    #[error(transparent)]
    Still(#[from] hanja_picture::StillError),
    /// The folder is in use.
    #[error("--out {path}: is there already; remove it or choose another folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Makes `sheet-0000.png` and so on, [`SHEET`] crops each, and `crops.csv`: one line a crop, in the order of the sheets
/// row by row: class of what is there (10: none), class and score that the network gave (empty where it found nothing),
/// longer side of the box in pixels, name of the picture.
///
/// # Errors
/// See [`CropError`].
pub fn run(
    options: &CropOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<CropReport, CropError> {
    if options.out.exists() {
        let path = options.out.clone();
        return Err(CropError::Exists { path });
    }
    let pictures = read_dataset(&options.data)?;
    let mut detector = Detector::load(&InferConfig {
        verify: false,
        ..options.config.clone()
    })?;
    detector.keep_for_crops();
    std::fs::create_dir_all(&options.out).map_err(|e| cannot_write(&options.out, &e))?;
    let mut sheets = Sheets::new(&options.out);
    let mut rng = Pcg64Mcg::seed_from_u64(options.seed);
    let total = pictures.len();
    for (index, (path, frame)) in pictures.into_iter().enumerate() {
        let picture = hanja_picture::read(&path, u64::MAX)?;
        let found = detector.detect(&picture.view())?.detections.clone();
        let mut wrong = 0;
        for box_ in &found {
            let Some(there) = there(&frame, box_) else {
                continue;
            };
            wrong += usize::from(there == CLASSES);
            if there < CLASSES || wrong <= MOST_WRONG {
                sheets.add(&detector, box_, there, Some(box_), &frame.name)?;
            }
        }
        let mut around = |area: &PixelBox, there: usize| {
            for _ in 0..options.jitter {
                let moved = jittered(area, &mut rng);
                sheets.add(&detector, &moved, there, None, &frame.name)?;
            }
            Ok::<(), CropError>(())
        };
        for label in &frame.labels {
            around(&label.area, label.class)?;
        }
        for other in others(&options.data, &frame) {
            around(&other, CLASSES)?;
        }
        progress(index + 1, total);
    }
    let crops = sheets.finish()?;
    Ok(CropReport {
        pictures: total,
        crops,
    })
}

/// The true class of a box, [`CLASSES`] for no numeral; `None` where its overlap is too small for the one and too large
/// for the other.
fn there(frame: &Frame, found: &Detection) -> Option<usize> {
    let area = pixel_box(found);
    let best = frame
        .labels
        .iter()
        .map(|l| (l.area.iou(&area), l.class))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((overlap, class)) if overlap >= RIGHT => Some(class),
        Some((overlap, _)) if overlap > WRONG => None,
        _ => Some(CLASSES),
    }
}

fn pixel_box(d: &Detection) -> PixelBox {
    let [x1, y1, x2, y2] = [d.x1, d.y1, d.x2, d.y2].map(f64::from);
    PixelBox { x1, y1, x2, y2 }
}

/// Moved by up to 8 % of its longer side and scaled by up to 12 %.
fn jittered(area: &PixelBox, rng: &mut Pcg64Mcg) -> Detection {
    let long = area.longer_side() as f32;
    let (dx, dy) = (
        rng.random_range(-0.08..0.08) * long,
        rng.random_range(-0.08..0.08) * long,
    );
    let scale = rng.random_range(-0.12..0.12f32).exp();
    let (cx, cy) = (
        (area.x1 + area.x2) as f32 / 2.0 + dx,
        (area.y1 + area.y2) as f32 / 2.0 + dy,
    );
    let (w, h) = (
        (area.x2 - area.x1) as f32 * scale / 2.0,
        (area.y2 - area.y1) as f32 * scale / 2.0,
    );
    Detection {
        x1: cx - w,
        y1: cy - h,
        x2: cx + w,
        y2: cy + h,
        ..Detection::default()
    }
}

/// Boxes of characters that are no numeral, as `synth` writes them; none where there is no such file.
fn others(data: &Path, frame: &Frame) -> Vec<PixelBox> {
    let file = data.join("others").join(&frame.name).with_extension("txt");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let (sx, sy) = (f64::from(frame.width), f64::from(frame.height));
    text.lines()
        .filter_map(|line| {
            let mut numbers = line
                .split_whitespace()
                .filter_map(|w| w.parse::<f64>().ok());
            let mut next = || numbers.next();
            let (cx, cy, w, h) = (next()?, next()?, next()?, next()?);
            Some(PixelBox {
                x1: (cx - w / 2.0) * sx,
                y1: (cy - h / 2.0) * sy,
                x2: (cx + w / 2.0) * sx,
                y2: (cy + h / 2.0) * sy,
            })
        })
        .collect()
}

fn cannot_write(path: &Path, reason: &dyn std::fmt::Display) -> CropError {
    CropError::Write {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Collects crops and writes them to files, a sheet at a time.
struct Sheets<'a> {
    folder: &'a Path,
    sheet: GrayImage,
    on_it: usize,
    written: usize,
    lines: String,
    counts: [usize; CLASSES + 1],
}

impl<'a> Sheets<'a> {
    fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            sheet: empty(),
            on_it: 0,
            written: 0,
            lines: "there,class,score,side,picture\n".into(),
            counts: [0; CLASSES + 1],
        }
    }

    fn add(
        &mut self,
        detector: &Detector,
        area: &Detection,
        there: usize,
        found: Option<&Detection>,
        picture: &str,
    ) -> Result<(), CropError> {
        let mut crop = vec![0; SIDE * SIDE];
        detector.crop(area, &mut crop);
        let (left, top) = (self.on_it % SHEET.0 * SIDE, self.on_it / SHEET.0 * SIDE);
        for (y, line) in crop.chunks_exact(SIDE).enumerate() {
            for (x, value) in line.iter().enumerate() {
                let at = ((left + x) as u32, (top + y) as u32);
                self.sheet.put_pixel(at.0, at.1, image::Luma([*value]));
            }
        }
        let (class, score) = found.map_or((String::new(), String::new()), |d| {
            (d.class.to_string(), format!("{:.5}", d.score))
        });
        let side = pixel_box(area).longer_side();
        let name = picture.replace([',', '\n'], "_");
        let _ = writeln!(self.lines, "{there},{class},{score},{side:.1},{name}");
        self.counts[there] += 1;
        self.on_it += 1;
        if self.on_it == SHEET.0 * SHEET.1 {
            self.write_sheet()?;
        }
        Ok(())
    }

    fn write_sheet(&mut self) -> Result<(), CropError> {
        let path = self.folder.join(format!("sheet-{:04}.png", self.written));
        self.sheet
            .save(&path)
            .map_err(|e| cannot_write(&path, &e))?;
        self.written += 1;
        (self.sheet, self.on_it) = (empty(), 0);
        Ok(())
    }

    fn finish(mut self) -> Result<[usize; CLASSES + 1], CropError> {
        if self.on_it > 0 {
            self.write_sheet()?;
        }
        let path = self.folder.join("crops.csv");
        std::fs::write(&path, &self.lines).map_err(|e| cannot_write(&path, &e))?;
        Ok(self.counts)
    }
}

fn empty() -> GrayImage {
    GrayImage::new((SHEET.0 * SIDE) as u32, (SHEET.1 * SIDE) as u32)
}
