//! Which TensorRT a library is, and whether its tables of methods are known. This is decided before any of its objects is
//! touched: with a wrong table, a call jumps to a wrong address.

use crate::slots::{self, Slots};

/// The two products whose libraries speak this interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// TensorRT: `libnvinfer`.
    TensorRt,
    /// TensorRT-RTX: `libtensorrt_rtx`, for desktop cards; its plans are not TensorRT's.
    Rtx,
}

impl Flavour {
    /// The name people know it by; also fit for a cache key.
    pub fn name(self) -> &'static str {
        match self {
            Self::TensorRt => "TensorRT",
            Self::Rtx => "TensorRT-RTX",
        }
    }
}

impl std::fmt::Display for Flavour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A version as the library itself gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 8, 10 or 11; 1 for TensorRT-RTX.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// From `getInferLibVersion`: thousands up to version 9, ten thousands since.
    pub(crate) fn decode(raw: i32) -> Option<Self> {
        let raw = u32::try_from(raw).ok().filter(|&raw| raw >= 1000)?;
        let step = if raw < 10_000 { 1000 } else { 10_000 };
        Some(Self {
            major: raw / step,
            minor: raw % step / 100,
            patch: raw % 100,
        })
    }

    /// TensorRT itself never had a 1.x that counts in ten thousands, so that is TensorRT-RTX.
    pub(crate) fn flavour(self, raw: i32) -> Flavour {
        if self.major == 1 && raw >= 10_000 {
            Flavour::Rtx
        } else {
            Flavour::TensorRt
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The slots of this version, or why it is refused.
pub(crate) fn table(flavour: Flavour, version: Version) -> Result<Slots, String> {
    let known = match (flavour, version.major, version.minor) {
        (Flavour::TensorRt, 8, _) => slots::V8,
        (Flavour::TensorRt, 10, _) => slots::V10,
        (Flavour::TensorRt, 11, _) => slots::V11,
        (Flavour::Rtx, 1, 7) => slots::RTX_1_7,
        _ => {
            return Err(format!(
                "it is {flavour} {version}, whose interface is not known here; \
                 known are TensorRT 8, 10, 11 and TensorRT-RTX 1.7"
            ));
        }
    };
    Ok(known.of_minor(version.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(raw: i32) -> Result<String, String> {
        let version = Version::decode(raw).ok_or("no version")?;
        let flavour = version.flavour(raw);
        table(flavour, version).map(|_| format!("{flavour} {version}"))
    }

    #[test]
    fn versions_are_read_as_each_major_writes_them() {
        assert_eq!(known(8201).as_deref(), Ok("TensorRT 8.2.1"));
        assert_eq!(known(8001).as_deref(), Ok("TensorRT 8.0.1"));
        assert_eq!(known(8602).as_deref(), Ok("TensorRT 8.6.2"));
        assert_eq!(known(100_300).as_deref(), Ok("TensorRT 10.3.0"));
        assert_eq!(known(110_401).as_deref(), Ok("TensorRT 11.4.1"));
        assert_eq!(known(10_701).as_deref(), Ok("TensorRT-RTX 1.7.1"));
    }

    #[test]
    fn others_are_refused_by_name() {
        for (raw, name) in [
            (7103, "TensorRT 7.1.3"),
            (9300, "TensorRT 9.3.0"),
            (120_000, "TensorRT 12.0.0"),
            (10_600, "TensorRT-RTX 1.6.0"),
            (10_800, "TensorRT-RTX 1.8.0"),
            (i32::MAX, "TensorRT 214748"),
        ] {
            let refusal = known(raw).expect_err(name);
            assert!(refusal.contains(name), "{refusal}");
        }
        for raw in [0, -1, i32::MIN, 999] {
            assert_eq!(Version::decode(raw), None);
        }
    }
}
