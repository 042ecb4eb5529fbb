//! Faults on demand: the drawn source behaves like a broken camera, so that alarms can be tested.

use std::str::FromStr;

/// A fault and when it lasts: `repeat`, `repeat@5` (from the fifth second on) or `repeat@5-10`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    kind: Kind,
    /// Seconds since the first frame.
    from: f64,
    to: f64,
}

/// Kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The same frame again: number, time and picture stand still.
    Repeat,
    /// The time stamps stand still.
    Clock,
    /// The numbers stand still.
    Number,
    /// The picture stands still.
    Picture,
    /// Frames without a picture.
    Signal,
    /// No frames.
    Silence,
}

const KINDS: [(&str, Kind); 6] = [
    ("repeat", Kind::Repeat),
    ("clock", Kind::Clock),
    ("number", Kind::Number),
    ("picture", Kind::Picture),
    ("signal", Kind::Signal),
    ("silence", Kind::Silence),
];

/// The valid faults, for error messages.
pub(crate) const EXPECTED: &str =
    "repeat, clock, number, picture, signal or silence, if need be with seconds, like repeat@5-10";

impl FromStr for Fault {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, span) = text.split_once('@').unwrap_or((text, "0"));
        let (from, to) = span.split_once('-').unwrap_or((span, "inf"));
        let kind = KINDS.iter().find(|(known, _)| *known == name).ok_or(())?.1;
        let (from, to): (f64, f64) = (from.parse().map_err(drop)?, to.parse().map_err(drop)?);
        (from >= 0.0 && to > from)
            .then_some(Self { kind, from, to })
            .ok_or(())
    }
}

impl Fault {
    /// The fault that lasts so many seconds after the first frame.
    pub(crate) fn now(&self, seconds: f64) -> Option<Kind> {
        (self.from..self.to).contains(&seconds).then_some(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_their_time() {
        let at = |text: &str, seconds| text.parse::<Fault>().unwrap().now(seconds);
        assert_eq!(at("repeat", 0.0), Some(Kind::Repeat));
        assert_eq!(at("clock@5", 4.9), None);
        assert_eq!(at("clock@5", 1e9), Some(Kind::Clock));
        assert_eq!(at("signal@0.5-1.5", 1.4), Some(Kind::Signal));
        assert_eq!(at("signal@0.5-1.5", 1.5), None);
        for bad in [
            "",
            "repeet",
            "repeat@",
            "repeat@x",
            "repeat@5-",
            "repeat@5-5",
            "repeat@-1",
            "repeat@nan",
            "repeat@1-nan",
        ] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
    }
}
