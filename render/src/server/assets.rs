//! The page's own files, inside the executable: nothing is loaded from elsewhere, and all of it stays small.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

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

/// Adds a route for each.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    ASSETS.iter().fold(router, |router, (path, kind, text)| {
        router.route(
            path,
            get(move || async move { ([(CONTENT_TYPE, *kind)], *text) }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a phone fetches to open the view, in bytes.
    const MOST: usize = 200_000;

    #[test]
    fn all_together_are_light() {
        let bytes: usize = ASSETS.iter().map(|(_, _, text)| text.len()).sum();
        assert!(bytes < MOST, "{bytes} bytes");
    }

    #[test]
    fn scripts_import_only_what_is_served_and_all_is_used() {
        let text = |path: &str| ASSETS.iter().find(|a| a.0 == path).map(|a| a.2);
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
        assert_eq!(seen.len(), ASSETS.len(), "served but never asked for");
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        for (path, _, text) in ASSETS {
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
