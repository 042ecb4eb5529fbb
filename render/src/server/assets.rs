//! The page's own files, inside the executable: nothing is loaded from elsewhere, and all of it stays small.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hanja_record::MetricId;
use std::sync::LazyLock;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($path:literal, $kind:expr, $file:literal) => {
        ($path, $kind, include_str!(concat!("../../assets/", $file)))
    };
}

/// Path, kind, content.
const ASSETS: &[(&str, &str, &str)] = &[
    asset!("/", HTML, "index.html"),
    asset!("/app.css", CSS, "app.css"),
    asset!("/icon.svg", SVG, "icon.svg"),
    asset!("/app.js", SCRIPT, "app.js"),
    asset!("/charts.js", SCRIPT, "charts.js"),
    asset!("/dom.js", SCRIPT, "dom.js"),
    asset!("/draw.js", SCRIPT, "draw.js"),
    asset!("/feed.js", SCRIPT, "feed.js"),
    asset!("/histogram.js", SCRIPT, "histogram.js"),
    asset!("/keep.js", SCRIPT, "keep.js"),
    asset!("/meet.js", SCRIPT, "meet.js"),
    asset!("/numbers.js", SCRIPT, "numbers.js"),
    asset!("/parts.js", SCRIPT, "parts.js"),
    asset!("/picture.js", SCRIPT, "picture.js"),
    asset!("/state.js", SCRIPT, "state.js"),
    asset!("/steps.js", SCRIPT, "steps.js"),
    asset!("/waterfall.js", SCRIPT, "waterfall.js"),
    asset!("/words.js", SCRIPT, "words.js"),
    asset!("/words.en.js", SCRIPT, "words.en.js"),
    asset!("/words.ko.js", SCRIPT, "words.ko.js"),
];

/// The steps of a frame's way, for the page: written out of the table that the records are made by.
static TABLE: LazyLock<String> = LazyLock::new(|| {
    let names = |steps: &[MetricId]| steps.iter().map(|step| step.name()).collect::<Vec<_>>();
    let sums = MetricId::ALL.split_at(MetricId::STEPS.len()).1;
    let to_detections = [MetricId::CAPTURE, MetricId::INFER].concat();
    format!(
        "// Written by hanja.\n\n\
         /** In the order in which a frame takes them; the names are those of the records. */\n\
         export const STEPS = {:?};\n\
         /** The first of them make up \"end to end\": sensor to detections. All together are \"show\": sensor to screen. */\n\
         export const TO_DETECTIONS = {:?};\n\
         export const TOTALS = {:?};\n",
        names(&MetricId::STEPS),
        names(&to_detections),
        names(sums),
    )
});

/// Path, kind, content of each.
fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let table = ("/table.js", SCRIPT, TABLE.as_str());
    ASSETS.iter().copied().chain([table])
}

/// Adds a route for each.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    all().fold(router, |router, (path, kind, text)| {
        router.route(
            path,
            get(move || async move { ([(CONTENT_TYPE, kind)], text) }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a phone fetches to open the view, in bytes.
    const MOST: usize = 200_000;

    fn text(path: &str) -> Option<&'static str> {
        all().find(|a| a.0 == path).map(|a| a.2)
    }

    #[test]
    fn every_step_has_a_name_in_both_languages_and_a_colour() {
        let table = text("/table.js").unwrap();
        assert!(
            table.contains(r#"STEPS = ["dequeue", "publish", "queue","#)
                && table.contains(r#""announce"];"#)
                && table.contains(r#"TOTALS = ["end_to_end", "show"];"#),
            "{table}"
        );
        for path in ["/words.en.js", "/words.ko.js"] {
            let (_, steps) = text(path).unwrap().split_once("  step: {").unwrap();
            let (steps, _) = steps.split_once('}').unwrap();
            let named = |entry: &str| {
                entry
                    .trim()
                    .split_once(": ")
                    .map(|(step, _)| step.to_owned())
            };
            let named: Vec<_> = steps.split(',').filter_map(named).collect();
            assert_eq!(named, MetricId::ALL.map(MetricId::name), "{path}");
        }
        let style = text("/app.css").unwrap();
        for id in MetricId::ALL {
            let colour = format!("--{}: #", id.name());
            assert_eq!(
                style.matches(&colour).count(),
                2,
                "{colour}, light and dark"
            );
        }
    }

    #[test]
    fn all_together_are_light() {
        let bytes: usize = all().map(|(_, _, text)| text.len()).sum();
        assert!(bytes < MOST, "{bytes} bytes");
    }

    #[test]
    fn scripts_import_only_what_is_served_and_all_is_used() {
        let mut wanted = vec!["/".to_owned()];
        let mut seen: Vec<String> = Vec::new();
        while let Some(path) = wanted.pop() {
            if seen.contains(&path) {
                continue;
            }
            let text = text(path.as_str()).unwrap_or_else(|| panic!("{path} is not served"));
            let names = text.split('"');
            wanted.extend(names.filter_map(|name| {
                let own = [".js", ".css", ".svg"]
                    .iter()
                    .any(|end| name.ends_with(end));
                let name = name.trim_start_matches(['.', '/']);
                (own && !name.contains(char::is_whitespace)).then(|| format!("/{name}"))
            }));
            seen.push(path);
        }
        assert_eq!(seen.len(), all().count(), "served but never asked for");
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        for (path, _, text) in all() {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !text.contains("http://") && !text.contains("https://"),
                "{path}"
            );
            for sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!text.contains(sink), "{path} uses {sink}");
            }
        }
    }
}
