//! `hanja-model synth`: from handwriting, pen strokes and fonts to a labelled data set.
//!
//! Every picture has its own random generator, seeded from the run's seed and its number, so the
//! result does not depend on how many threads drew it.

mod canvas;
mod effects;
mod error;
mod fonts;
mod geometry;
mod glyph;
mod ground;
mod hand;
mod layout;
mod library;
mod lines;
mod scene;
mod thin;
mod variation;
mod words;
mod write;

pub use error::SynthError;
use library::Library;
use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Which recipe draws the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Real scenes: paper, tables, boards, photographs, every pen, light and lens, other characters.
    Hard,
    /// The original project's recipe: white ground, random place and size, shading.
    Classic,
}

/// File format of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// JPEG at qualities 60 to 95, some compressed twice.
    Jpg,
    /// PNG, without loss.
    Png,
}

/// Which writers' files are used; a writer is the number in a file name like `w012_03.jpg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Everyone.
    All,
    /// All but every `n`-th writer; files without a writer's number are used.
    Train(u32),
    /// Only every `n`-th writer, and no numerals from fonts or stroke files: for validation on
    /// hands that training has not seen.
    HeldOut(u32),
}

impl Writers {
    const fn held_out(self) -> bool {
        matches!(self, Self::HeldOut(_))
    }

    fn takes(self, file: &Path) -> bool {
        match self {
            Self::All => true,
            Self::Train(n) => writer(file).is_none_or(|w| w % n.max(1) != 0),
            Self::HeldOut(n) => writer(file).is_some_and(|w| w % n.max(1) == 0),
        }
    }

    fn takes_other(self, file: &Path) -> bool {
        writer(file).is_none() || self.takes(file)
    }
}

/// The writer's number in `w012_03.jpg`.
fn writer(file: &Path) -> Option<u32> {
    let name = file.file_name()?.to_str()?;
    name.strip_prefix('w')?.split('_').next()?.parse().ok()
}

/// What to make and from what.
#[derive(Clone, Debug)]
pub struct SynthOptions {
    /// Folder to create; it must not hold a data set yet.
    pub out: PathBuf,
    /// Number of pictures.
    pub count: usize,
    /// Side of the square pictures, in pixels (64..=2048).
    pub size: usize,
    /// Seed of the whole run.
    pub seed: u64,
    /// Recipe.
    pub preset: Preset,
    /// Share of pictures without a numeral, 0..=1.
    pub negatives: f64,
    /// Picture format.
    pub format: Format,
    /// Writers to use.
    pub writers: Writers,
    /// Folders of handwriting, each with `1/` to `10/`.
    pub chars: Vec<PathBuf>,
    /// Files of pen strokes.
    pub strokes: Vec<PathBuf>,
    /// Font files or folders of them.
    pub fonts: Vec<PathBuf>,
    /// Folders of pictures of other characters.
    pub distractors: Vec<PathBuf>,
    /// Folders of photographs.
    pub backgrounds: Vec<PathBuf>,
    /// Distractor files whose path contains one of these are left out.
    pub skip: Vec<String>,
}

/// What was made.
#[derive(Clone, Debug, Default)]
pub struct SynthReport {
    /// Pictures written.
    pub pictures: usize,
    /// Pictures without a label.
    pub without_labels: usize,
    /// Labels by class.
    pub labels: [usize; hanja_handwriting::CLASSES],
    /// Files that were skipped, with the reason.
    pub warnings: Vec<String>,
}

/// Makes the data set; `progress` gets the number of pictures done, from any thread.
///
/// # Errors
/// See [`SynthError`]. Pictures already written stay.
pub fn run(
    options: &SynthOptions,
    progress: impl Fn(usize) + Sync,
) -> Result<SynthReport, SynthError> {
    check(options)?;
    let library = Library::load(options)?;
    let folder = |name: &str| {
        let path = options.out.join(name);
        std::fs::create_dir_all(&path)
            .map(|()| path.clone())
            .map_err(|source| SynthError::Write { path, source })
    };
    let folders = Folders {
        images: folder("images")?,
        labels: folder("labels")?,
        others: folder("others")?,
    };
    let done = AtomicUsize::new(0);
    let counts: Vec<[usize; hanja_handwriting::CLASSES]> = (0..options.count)
        .into_par_iter()
        .map(|index| {
            let counts = make(options, &library, &folders, index)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(counts)
        })
        .collect::<Result<_, SynthError>>()?;
    write::data_yaml(&options.out)?;
    let mut report = SynthReport {
        warnings: library.warnings,
        ..SynthReport::default()
    };
    for picture in &counts {
        report.pictures += 1;
        report.without_labels += usize::from(picture.iter().all(|n| *n == 0));
        for (total, n) in report.labels.iter_mut().zip(picture) {
            *total += n;
        }
    }
    Ok(report)
}

fn check(options: &SynthOptions) -> Result<(), SynthError> {
    if !(64..=2048).contains(&options.size) {
        let text = format!(
            "--size {}: must be between 64 and 2048 pixels",
            options.size
        );
        return Err(SynthError::Usage(text));
    }
    if !(0.0..=1.0).contains(&options.negatives) {
        let text = format!(
            "--negatives {}: must be a share from 0 to 1",
            options.negatives
        );
        return Err(SynthError::Usage(text));
    }
    if options.out.join("images").exists() || options.out.join("labels").exists() {
        return Err(SynthError::Exists {
            path: options.out.clone(),
        });
    }
    Ok(())
}

/// Where the files of a data set go.
struct Folders {
    images: PathBuf,
    labels: PathBuf,
    /// Boxes of characters that are no numeral. They stand apart from the labels, which other tools
    /// read too; ours trains the classes on them, so that they learn to tell a look-alike by its shape.
    others: PathBuf,
}

/// Draws and writes one picture; returns its labels by class.
fn make(
    options: &SynthOptions,
    library: &Library,
    folders: &Folders,
    index: usize,
) -> Result<[usize; hanja_handwriting::CLASSES], SynthError> {
    // Golden-ratio steps keep the streams of neighbouring pictures and seeds apart.
    let seed = options
        .seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(index as u64);
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let negative = rng.random_bool(options.negatives);
    let picture = match options.preset {
        Preset::Hard => scene::draw(library, options.size, negative, &mut rng),
        Preset::Classic => scene::draw_classic(library, options.size, negative, &mut rng),
    };
    let bytes = write::encode(&picture, options.format, &mut rng)
        .map_err(|reason| SynthError::Encode { index, reason })?;
    let extension = if options.format == Format::Png {
        "png"
    } else {
        "jpg"
    };
    let save = |path: PathBuf, bytes: &[u8]| {
        std::fs::write(&path, bytes).map_err(|source| SynthError::Write { path, source })
    };
    let Folders {
        images,
        labels,
        others,
    } = folders;
    let text = format!("{index:06}.txt");
    save(images.join(format!("{index:06}.{extension}")), &bytes)?;
    save(labels.join(&text), write::label_text(&picture).as_bytes())?;
    save(others.join(&text), write::others_text(&picture).as_bytes())?;
    let mut counts = [0; hanja_handwriting::CLASSES];
    for (class, _) in &picture.labels {
        counts[*class] += 1;
    }
    Ok(counts)
}
