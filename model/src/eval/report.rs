//! The result of an evaluation, as text for people, JSON for programs and SVG for a page.

use super::average_precision::{ClassScore, means};
use super::bootstrap::{Interval, Intervals};
use super::operating::{Operating, SCORE_BANDS, SIZE_BANDS};
use hanja_handwriting::LABELS;
use std::fmt::Write as _;

/// The result of an evaluation.
#[derive(Clone, Debug)]
pub struct EvalReport {
    /// Scores by class, 0..=9.
    pub classes: Vec<ClassScore>,
    /// Counts at the operating threshold.
    pub operating: Operating,
    /// The operating threshold.
    pub threshold: f64,
    /// Bootstrap intervals of the figures, if they were asked for.
    pub intervals: Option<Intervals>,
}

impl EvalReport {
    /// (mAP50, mAP50-95), 0..=1, over the classes that have labels.
    #[must_use]
    pub fn means(&self) -> (f64, f64) {
        means(&self.classes)
    }

    /// A table for a terminal; scores in per cent.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_scores(&mut out);
        self.write_shares(&mut out);
        self.write_intervals(&mut out);
        self.write_mistakes(&mut out);
        out
    }

    /// A row for each class with labels and one for all, and the figures at the operating threshold. Writing to a String
    /// cannot fail, so the result of `writeln!` is ignored here and below.
    fn write_scores(&self, out: &mut String) {
        let (map50, map) = self.means();
        let o = &self.operating;
        out.push_str("class  labels    AP50  AP50-95  precision  recall\n");
        let mut row = |label: &str, labels: usize, shares: [f64; 4]| {
            let [ap50, ap, precision, recall] = shares.map(|share| 100.0 * share);
            let _ = writeln!(
                out,
                "{label}{labels:>7}  {ap50:>6.2}   {ap:>6.2}     {precision:>6.2}  {recall:>6.2}"
            );
        };
        let classes = LABELS.iter().zip(&self.classes).zip(&o.by_class);
        for ((label, s), c) in classes.filter(|((_, s), _)| s.labels > 0) {
            // The numerals are two columns wide.
            let shares = [s.ap50(), s.ap50_95(), c.precision(), c.recall()];
            row(&format!("{label}    "), s.labels, shares);
        }
        let all = o.all();
        let shares = [map50, map, all.precision(), all.recall()];
        row("all   ", all.labels, shares);
        let _ = writeln!(
            out,
            "\nprecision and recall at threshold {}: {:.4} false positives a frame ({} frames)",
            self.threshold,
            o.false_positives_per_frame(),
            o.frames,
        );
    }

    /// Recall by size, and how many detections are right by score.
    fn write_shares(&self, out: &mut String) {
        let o = &self.operating;
        if o.all().labels > 0 {
            out.push_str("recall by size (longer side, share of the frame):");
            for (end, (labels, found)) in SIZE_BANDS.iter().zip(o.by_size).filter(|(_, c)| c.0 > 0)
            {
                let share = 100.0 * found as f64 / labels as f64;
                let _ = write!(
                    out,
                    "  up to {:.1} %: {share:.1} % of {labels}",
                    100.0 * end
                );
            }
            out.push('\n');
        }
        if o.by_score.iter().any(|(found, _)| *found > 0) {
            out.push_str("right by score:");
            for (band, (found, right)) in o.by_score.iter().enumerate().filter(|(_, c)| c.0 > 0) {
                let (low, share) = (SCORE_BANDS[band], 100.0 * *right as f64 / *found as f64);
                let _ = write!(out, "  from {low:.1}: {share:.1} % of {found}");
            }
            out.push('\n');
        }
    }

    fn write_intervals(&self, out: &mut String) {
        let Some(i) = &self.intervals else { return };
        let share = |name: &str, (low, high): Interval| {
            format!("  {name} {:.2} to {:.2}", 100.0 * low, 100.0 * high)
        };
        let (low, high) = i.false_positives_per_frame;
        let _ = writeln!(
            out,
            "95 % of draws of these pictures:{}{}{}{}  false positives {low:.4} to {high:.4}",
            share("mAP50", i.map50),
            share("mAP50-95", i.map50_95),
            share("precision", i.precision),
            share("recall", i.recall),
        );
    }

    /// Confusions, and the pictures with the most mistakes.
    fn write_mistakes(&self, out: &mut String) {
        let o = &self.operating;
        if !o.confusions.is_empty() {
            out.push_str("read as another:");
            for ((is, given), times) in &o.confusions {
                let _ = write!(out, "  {} as {} x{times}", LABELS[*is], LABELS[*given]);
            }
            out.push('\n');
        }
        for (name, missed, wrong) in &o.worst {
            let _ = writeln!(out, "  {name}: {missed} missed, {wrong} wrong");
        }
    }

    /// The same as a JSON value; scores are 0..=1.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let (map50, map) = self.means();
        let o = &self.operating;
        let all = o.all();
        let classes: Vec<_> = LABELS
            .iter()
            .zip(&self.classes)
            .enumerate()
            .map(|(class, (label, s))| {
                let c = &o.by_class[class];
                serde_json::json!({"class": class, "label": label, "labels": s.labels,
                    "ap50": s.ap50(), "ap50_95": s.ap50_95(), "precision": c.precision(),
                    "recall": c.recall(), "false_positives": c.wrong})
            })
            .collect();
        let sizes: Vec<_> = SIZE_BANDS
            .iter()
            .zip(o.by_size)
            .map(|(end, (labels, found))| {
                serde_json::json!({"up_to": end, "labels": labels, "found": found})
            })
            .collect();
        let confusions: Vec<_> = o
            .confusions
            .iter()
            .map(|((is, given), times)| {
                serde_json::json!({"is": LABELS[*is], "given": LABELS[*given], "times": times})
            })
            .collect();
        let scores: Vec<_> = SCORE_BANDS
            .iter()
            .zip(o.by_score)
            .map(|(from, (found, right))| {
                serde_json::json!({"from": from, "detections": found, "right": right})
            })
            .collect();
        let intervals = self.intervals.map(|i| {
            serde_json::json!({
                "map50": i.map50, "map50_95": i.map50_95, "precision": i.precision,
                "recall": i.recall, "false_positives_per_frame": i.false_positives_per_frame,
            })
        });
        serde_json::json!({
            "intervals_95": intervals, "right_by_score": scores,
            "map50": map50, "map50_95": map, "classes": classes, "threshold": self.threshold,
            "precision": all.precision(), "recall": all.recall(), "frames": o.frames,
            "labels": all.labels, "false_positives": all.wrong,
            "false_positives_per_frame": o.false_positives_per_frame(),
            "recall_by_size": sizes, "confusions": confusions, "worst": o.worst,
        })
    }

    /// Precision against recall at IoU .50, one line a class, as an SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        const SIDE: f64 = 400.0;
        const LEFT: f64 = 50.0;
        let mut out = String::from(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 540 470\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"540\" height=\"470\" \
             fill=\"white\"/>\n<rect x=\"50\" y=\"20\" width=\"400\" height=\"400\" fill=\"none\" \
             stroke=\"#888\"/>\n<text x=\"250\" y=\"455\" text-anchor=\"middle\">recall</text>\n\
             <text x=\"16\" y=\"220\" transform=\"rotate(-90 16 220)\" text-anchor=\"middle\">\
             precision (IoU .50)</text>\n",
        );
        for (i, share) in [0.0, 0.5, 1.0].iter().enumerate() {
            let at = share * SIDE;
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"437\" text-anchor=\"middle\">{share}</text>\
                 <text x=\"45\" y=\"{}\" text-anchor=\"end\">{share}</text>",
                LEFT + at,
                424.0 - at - f64::from(i as u32),
            );
        }
        let mut row = 0.0;
        for (class, s) in self
            .classes
            .iter()
            .enumerate()
            .filter(|(_, s)| s.labels > 0)
        {
            let colour = format!("hsl({} 75% 40%)", class * 36);
            let points: Vec<String> = s
                .curve
                .iter()
                .enumerate()
                .map(|(i, p)| format!("{:.1},{:.1}", LEFT + i as f64 * 4.0, 420.0 - p * SIDE))
                .collect();
            let _ = writeln!(
                out,
                "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"{colour}\" points=\"{}\"/>\
                 <text x=\"462\" y=\"{}\" fill=\"{colour}\">{} {:.1}</text>",
                points.join(" "),
                40.0 + row * 20.0,
                LABELS[class],
                100.0 * s.ap50(),
            );
            row += 1.0;
        }
        out.push_str("</svg>\n");
        out
    }
}
