//! A model's file: where it comes from, its bytes, its id, what it says of itself; and the kinds of files that are often
//! taken for models.

use super::embedded::{BUILT_IN, EMBEDDED};
use super::error::ModelError;
use super::names;
use hanja_onnx::OnnxError;
use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// Largest file read, bytes; the largest YOLOv5 (x6 in fp32) has 0.6 GB.
const MOST_BYTES: u64 = 1 << 30;

/// A model as it lies on disk or in the executable.
#[derive(Debug)]
pub(crate) struct ModelFile {
    /// How errors and logs call it.
    pub(crate) name: String,
    /// First eight bytes of a hash of the file (FNV-1a).
    pub(crate) id: u64,
    pub(crate) bytes: Cow<'static, [u8]>,
    described: OnceLock<Described>,
}

/// What a model's file says of itself to whoever does not run it.
#[derive(Debug)]
pub(crate) struct Described {
    /// Height and width of its input, if both are fixed.
    pub(crate) fixed: Option<(u32, u32)>,
    /// Metadata `stride`.
    pub(crate) stride: Option<String>,
    /// Metadata `names`.
    pub(crate) names: Option<String>,
}

impl Described {
    fn read(bytes: &[u8]) -> Result<Self, OnnxError> {
        let model = hanja_onnx::Model::parse(bytes)?;
        Ok(Self {
            fixed: model.picture_input()?.fixed(),
            stride: model.metadata("stride")?,
            names: model.metadata("names")?,
        })
    }

    /// The class names, if they can be understood.
    pub(crate) fn class_names(&self) -> Option<Vec<String>> {
        self.names.as_deref().and_then(names::parse)
    }
}

impl ModelFile {
    /// The embedded model of that name, else the file; `None`: the first embedded model. A file that is called like an
    /// embedded model is reached as `./hanja-n`.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, ModelError> {
        let wanted = path.unwrap_or(Path::new(BUILT_IN[0]));
        let embedded = EMBEDDED.iter().find(|(name, _)| Path::new(name) == wanted);
        let (name, bytes) = match (embedded, wanted) {
            (Some((name, bytes)), _) => (format!("embedded {name}"), Cow::Borrowed(*bytes)),
            (None, path) => {
                let read = read(path).map_err(|source| ModelError::Read {
                    path: path.to_owned(),
                    source,
                });
                (path.display().to_string(), Cow::Owned(read?))
            }
        };
        if let Some(reason) = foreign(&bytes) {
            return Err(ModelError::Load {
                model: name,
                reason: reason.into(),
            });
        }
        Ok(Self::new(name, bytes))
    }

    /// A model of these bytes, called `name`.
    pub(crate) fn new(name: String, bytes: Cow<'static, [u8]>) -> Self {
        Self {
            name,
            id: fnv1a(&bytes),
            bytes,
            described: OnceLock::new(),
        }
    }

    /// What the file says of itself; it is read once.
    ///
    /// # Errors
    /// It is no ONNX model with one picture for an input.
    pub(crate) fn described(&self) -> Result<&Described, OnnxError> {
        if let Some(known) = self.described.get() {
            return Ok(known);
        }
        let described = Described::read(&self.bytes)?;
        Ok(self.described.get_or_init(|| described))
    }
}

/// A regular file of bounded size: reading a pipe or a device might never end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if meta.len() > MOST_BYTES {
        return Err(io::Error::other("it is larger than 1 GiB"));
    }
    std::fs::read(path)
}

/// What a file is instead of ONNX, for the usual mistakes.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 3] = [
        (b"PK\x03\x04", "it is a PyTorch checkpoint"),
        (
            b"version https://git-lfs",
            "it is a Git LFS pointer, which 'git lfs pull' replaces by the file",
        ),
        (
            b"ftrt",
            "it is a TensorRT engine, and the ONNX file that it was built from is wanted",
        ),
    ];
    if bytes.is_empty() {
        return Some("it is empty");
    }
    MAGICS
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|(_, what)| *what)
}

/// FNV-1a, 64 bits: tells models apart; no defence against forged files.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn only_bounded_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let open = |path: &Path| ModelFile::open(Some(path)).unwrap_err().to_string();
        assert!(open(dir.path()).contains("it is not a file"));
        assert!(open(Path::new("/dev/zero")).contains("it is not a file"));
        let large = dir.path().join("large.onnx");
        let file = std::fs::File::create(&large).unwrap();
        file.set_len(MOST_BYTES + 1).unwrap(); // sparse
        assert!(open(&large).contains("larger than 1 GiB"));
    }

    #[test]
    fn the_embedded_models_are_found_by_name() {
        let default = ModelFile::open(None).unwrap();
        assert_eq!(default.name, "embedded hanja-pico");
        for (name, bytes) in EMBEDDED {
            let model = ModelFile::open(Some(Path::new(name))).unwrap();
            assert_eq!(model.bytes, bytes);
            assert_eq!(model.id == default.id, name == "hanja-pico");
        }
        let file = ModelFile::open(Some(Path::new("./hanja-n"))).unwrap_err();
        assert!(file.to_string().contains("./hanja-n"), "{file}");
    }
}
