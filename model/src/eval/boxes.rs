//! Boxes, labels and detections, in pixels of the picture.

/// A box by its corners, `x1 <= x2` and `y1 <= y2`, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelBox {
    /// Left.
    pub x1: f64,
    /// Top.
    pub y1: f64,
    /// Right.
    pub x2: f64,
    /// Bottom.
    pub y2: f64,
}

impl PixelBox {
    /// Area in square pixels; 0 for a box turned inside out.
    #[must_use]
    pub fn area(&self) -> f64 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// Longer side in pixels.
    #[must_use]
    pub fn longer_side(&self) -> f64 {
        (self.x2 - self.x1).max(self.y2 - self.y1)
    }

    /// Intersection over union, 0..=1; 0 when both are empty.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f64 {
        let overlap = Self {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        }
        .area();
        let union = self.area() + other.area() - overlap;
        if union > 0.0 { overlap / union } else { 0.0 }
    }
}

/// A numeral in the ground truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// Class, 0..=9.
    pub class: usize,
    /// Where.
    pub area: PixelBox,
}

/// A numeral that a model found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Class, 0..=9.
    pub class: usize,
    /// Confidence, 0..=1.
    pub score: f64,
    /// Where.
    pub area: PixelBox,
}

/// One picture with its labels and the detections on it.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// File name.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Ground truth.
    pub labels: Vec<Label>,
    /// The model's answer.
    pub detections: Vec<Detection>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_known_boxes() {
        let a = PixelBox {
            x1: 0.0,
            y1: 0.0,
            x2: 10.0,
            y2: 10.0,
        };
        let b = PixelBox {
            x1: 5.0,
            y1: 0.0,
            x2: 15.0,
            y2: 10.0,
        };
        assert!((a.iou(&b) - 50.0 / 150.0).abs() < 1e-12);
        assert_eq!(a.iou(&a), 1.0);
        let far = PixelBox {
            x1: 20.0,
            y1: 20.0,
            x2: 30.0,
            y2: 30.0,
        };
        assert_eq!(a.iou(&far), 0.0);
        let empty = PixelBox {
            x1: 3.0,
            y1: 3.0,
            x2: 3.0,
            y2: 3.0,
        };
        assert_eq!(empty.iou(&empty), 0.0);
    }
}
