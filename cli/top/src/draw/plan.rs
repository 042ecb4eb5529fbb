//! Who gets how many rows: what matters most first, whatever the height.

/// Rows of each part. Together with the state line they never exceed the height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Sentences.
    pub(crate) warnings: u16,
    /// The heading of the stages.
    pub(crate) stage_rule: bool,
    /// Of each stage; 0: none is shown.
    pub(crate) stage_rows: u16,
    /// The stacked bar with its heading.
    pub(crate) bar: bool,
    /// The table of steps.
    pub(crate) steps: Steps,
    /// Counts and detections with their heading.
    pub(crate) below: u16,
    /// The line of keys.
    pub(crate) keys: bool,
}

/// The table of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Steps {
    /// None.
    #[default]
    No,
    /// Two steps beside each other.
    Two,
    /// A step a row, with more numbers, and the sum.
    One,
}

impl Steps {
    fn rows(self) -> u16 {
        match self {
            Self::No => 0,
            Self::Two => 6,
            Self::One => 12,
        }
    }
}

/// Two steps beside each other need so many columns.
const TWO: u16 = 70;
/// One a row needs so many.
const ONE: u16 = 48;

/// More lines of sentences than this push everything else away.
pub(crate) fn most_warnings(height: u16) -> u16 {
    match height {
        ..8 => 1,
        8..16 => 2,
        16..32 => 3,
        _ => 6,
    }
}

impl Plan {
    /// For a screen of this size, where the sentences would like so many rows.
    pub(crate) fn new(width: u16, height: u16, warnings: usize, keys: bool) -> Self {
        let mut left = height.saturating_sub(1);
        let mut take = |rows: u16| {
            let fits = rows <= left;
            left -= if fits { rows } else { 0 };
            fits
        };
        let mut plan = Self {
            keys: keys && height >= 8 && take(1),
            ..Self::default()
        };
        let wanted = u16::try_from(warnings).unwrap_or(u16::MAX);
        let wanted = wanted.clamp(1, most_warnings(height));
        if take(wanted) {
            plan.warnings = wanted;
        }
        if take(3) {
            plan.stage_rows = 1;
        }
        plan.bar = take(2);
        if take(4) {
            plan.below = 4;
        }
        plan.stage_rule = plan.stage_rows > 0 && take(1);
        if plan.stage_rule && take(3) {
            plan.stage_rows = 2;
        }
        if plan.bar && width >= TWO && take(Steps::Two.rows()) {
            plan.steps = Steps::Two;
        }
        if plan.below > 0 && take(2) {
            plan.below += 2;
        }
        if plan.bar && width >= ONE && take(Steps::One.rows() - plan.steps.rows()) {
            plan.steps = Steps::One;
        }
        // What is left makes the map larger, then the curves higher, then the map again.
        if plan.below > 0 {
            plan.below += left.min(5);
            left -= left.min(5);
            if plan.stage_rows == 2 && left >= 3 {
                plan.stage_rows = 3;
                left -= 3;
            }
            plan.below += left.min(14);
        }
        plan
    }

    /// There are no steps to show: what is below gets the rows of their table.
    pub(crate) fn without_steps(&mut self) {
        if self.below > 0 {
            self.below += std::mem::take(&mut self.steps).rows();
        }
    }

    /// Rows of the stages.
    pub(crate) fn stages(&self) -> u16 {
        u16::from(self.stage_rule) + 3 * self.stage_rows
    }

    /// Rows of a frame's way.
    pub(crate) fn way(&self) -> u16 {
        2 * u16::from(self.bar) + self.steps.rows()
    }
}

/// Rows in which everything is there, for paper.
pub(crate) fn natural_height(warnings: usize) -> u16 {
    let warnings = u16::try_from(warnings).unwrap_or(u16::MAX);
    34 + warnings.clamp(1, most_warnings(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_fits_into_every_height() {
        for keys in [false, true] {
            for width in [1, 20, 40, 60, 80, 200] {
                for height in 0..120 {
                    for warnings in [0, 1, 2, 3, 100] {
                        let p = Plan::new(width, height, warnings, keys);
                        let rows = 1 + p.warnings + p.stages() + p.way() + p.below;
                        let rows = rows + u16::from(p.keys);
                        assert!(rows <= height.max(1), "{width}x{height}: {p:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_usual_sizes() {
        let small = Plan::new(80, 24, 1, true);
        assert_eq!((small.stage_rows, small.steps), (2, Steps::Two));
        assert_eq!((small.stage_rule, small.keys, small.below), (true, true, 6));
        // Sentences take their rows from the map.
        assert_eq!(Plan::new(80, 24, 3, true).below, 4);
        let large = Plan::new(120, 40, 1, true);
        assert_eq!((large.stage_rows, large.steps), (3, Steps::One));
        let tiny = Plan::new(40, 10, 1, true);
        assert_eq!((tiny.stage_rows, tiny.bar, tiny.below), (1, true, 0));
        assert_eq!(Plan::new(40, 2, 1, true).warnings, 1);
    }
}
