//! The inputs and outputs that a YOLOv5 detection model must have: checked in one place, so that every backend accepts and
//! refuses the same files with the same message.

use super::error::ModelError;
use super::facts::{Facts, FixedSize};
use super::names;

/// Declared dimensions of an input or output, `None` for a free one; no shape at all if the file does not say.
pub(crate) type Shape = Option<Vec<Option<usize>>>;

/// What a backend reads from the file.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) inputs: Vec<Shape>,
    pub(crate) outputs: Vec<Shape>,
    /// Metadata `stride`.
    pub(crate) stride: Option<String>,
    /// Metadata `names`.
    pub(crate) names: Option<String>,
}

/// Why a model is not a YOLOv5 detection model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotYolo(pub(crate) String);

impl NotYolo {
    /// The error that names the model.
    pub(crate) fn of(self, model: impl Into<String>) -> ModelError {
        ModelError::NotYolo {
            model: model.into(),
            reason: self.0,
        }
    }
}

impl Declared {
    /// The index of the output to read, and the facts. `name` is the file's, for the log.
    pub(crate) fn inspect(&self, name: &str) -> Result<(usize, Facts), NotYolo> {
        let [input] = self.inputs.as_slice() else {
            return Err(NotYolo(format!(
                "it has {} inputs, one picture is expected",
                self.inputs.len()
            )));
        };
        let output = pick_output(&self.outputs)?;
        let fixed = input_size(input.as_deref())?;
        let stride = self.stride.as_deref().and_then(|s| s.trim().parse().ok());
        let names = self.names.as_deref().and_then(names::parse);
        if self.names.is_some() && names.is_none() {
            tracing::warn!(
                "{name}: its metadata does not name its classes in the form {{0: 'one', 1: 'two'}}; they are numbered"
            );
        }
        let facts = Facts {
            names,
            stride: stride.filter(|s| (8..=256).contains(s)).unwrap_or(32),
            fixed,
        };
        Ok((output, facts))
    }
}

/// The only output; or the decoded one of three dimensions beside the raw maps of five, which exports up to YOLOv5
/// v6.0 carry along.
fn pick_output(outputs: &[Shape]) -> Result<usize, NotYolo> {
    if outputs.len() == 1 {
        return Ok(0);
    }
    let has_rank = |shape: &Shape, n| shape.as_ref().is_some_and(|s| s.len() == n);
    let raw = outputs.iter().filter(|s| has_rank(s, 5)).count();
    let decoded = outputs.iter().position(|s| has_rank(s, 3));
    if let (Some(decoded), true) = (decoded, raw > 0 && raw + 1 == outputs.len()) {
        return Ok(decoded);
    }
    let what = if raw == outputs.len() && raw > 0 {
        "raw maps, which only training uses"
    } else {
        "of other shapes"
    };
    Err(NotYolo(format!(
        "it has {} outputs {what}, one of shape [1, n, 5 + classes] is expected; export a detection model without --train and --nms",
        outputs.len()
    )))
}

/// Checks the declared input: a batch of one, three channels; height and width free or fixed.
fn input_size(shape: Option<&[Option<usize>]>) -> Result<FixedSize, NotYolo> {
    let Some(shape) = shape else { return Ok(None) };
    let [batch, channels, height, width] = *shape else {
        return Err(NotYolo(format!(
            "its input has {} dimensions, [1, 3, height, width] is expected",
            shape.len()
        )));
    };
    if batch.is_some_and(|n| n != 1) {
        return Err(NotYolo(
            "its batch size is not 1; export it with --batch-size 1".into(),
        ));
    }
    if channels.is_some_and(|n| n != 3) {
        return Err(NotYolo("its input does not have 3 channels (RGB)".into()));
    }
    let (Some(h), Some(w)) = (height, width) else {
        return Ok(None);
    };
    let good = |n: usize| (32..=4096).contains(&n) && n.is_multiple_of(32);
    if good(h) && good(w) {
        return Ok(Some((h, w)));
    }
    Err(NotYolo(format!(
        "its input of {w}x{h} pixels is not a multiple of 32 from 32 to 4096"
    )))
}

/// Rows and columns of the output of a run, if it is that of a YOLOv5 detection model. `floats`: it holds floating point
/// numbers.
pub(crate) fn output_size(shape: &[usize], floats: bool) -> Result<(usize, usize), NotYolo> {
    let refused = |why: &str| Err(NotYolo(format!("its output has shape {shape:?}, {why}")));
    let &[batch, rows, columns] = shape else {
        return refused("[1, n, 5 + classes] of f32 is expected");
    };
    if !floats {
        return refused("[1, n, 5 + classes] of f32 is expected");
    }
    if rows < columns {
        return refused(
            "which looks like YOLOv8 or later ([1, 4 + classes, n]); train or export it with YOLOv5",
        );
    }
    if batch != 1 || columns < 6 {
        return refused("[1, n, 5 + classes] is expected");
    }
    Ok((rows, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(dimensions: &[usize]) -> Shape {
        Some(dimensions.iter().map(|d| (*d > 0).then_some(*d)).collect())
    }

    fn declared(input: &[usize], outputs: &[&[usize]]) -> Declared {
        Declared {
            inputs: vec![shape(input)],
            outputs: outputs.iter().map(|s| shape(s)).collect(),
            ..Declared::default()
        }
    }

    #[test]
    fn the_output_is_picked_by_rank() {
        let (decoded, raw): (&[usize], &[usize]) = (&[1, 0, 15], &[1, 3, 0, 0, 15]);
        for (outputs, want) in [
            (vec![decoded], Some(0)),
            (vec![raw], Some(0)), // said by its first run
            (vec![decoded, raw, raw, raw], Some(0)),
            (vec![raw, decoded], Some(1)),
            (vec![decoded, decoded], None),
            (vec![raw, raw, raw], None),
            (vec![], None),
        ] {
            let found = declared(&[1, 3, 0, 0], &outputs).inspect("m");
            assert_eq!(found.ok().map(|f| f.0), want, "{outputs:?}");
        }
    }

    #[test]
    fn facts_are_bounded() {
        let mut file = declared(&[1, 3, 320, 416], &[&[1, 0, 7]]);
        file.stride = Some(" 64 ".into());
        file.names = Some("['a', 'b']".into());
        let (_, facts) = file.inspect("m").unwrap();
        assert_eq!((facts.stride, facts.fixed), (64, Some((320, 416))));
        assert_eq!(facts.names.unwrap(), ["a", "b"]);
        for stride in ["7", "257", "-1", "x", ""] {
            file.stride = Some(stride.into());
            assert_eq!(file.inspect("m").unwrap().1.stride, 32, "{stride}");
        }
        file.inputs.clear();
        let error = file.inspect("m").unwrap_err();
        assert!(error.0.contains("0 inputs"), "{error}");
        file.inputs.push(None);
        assert_eq!(file.inspect("m").unwrap().1.fixed, None);
    }

    #[test]
    fn what_a_run_gave_is_judged() {
        assert_eq!(output_size(&[1, 6300, 15], true), Ok((6300, 15)));
        for (shape, floats, why) in [
            (&[1, 15, 6300][..], true, "YOLOv8"),
            (&[2, 6300, 15], true, "[1, n, 5 + classes]"),
            (&[1, 6300, 5], true, "[1, n, 5 + classes]"),
            (&[6300, 15], true, "f32"),
            (&[1, 6300, 15], false, "f32"),
            (&[1, 0, 0], true, "[1, n, 5 + classes]"),
        ] {
            let error = output_size(shape, floats).unwrap_err();
            assert!(error.0.contains(why), "{error}");
        }
    }
}
