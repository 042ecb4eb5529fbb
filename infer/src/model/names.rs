//! Class names as YOLOv5 writes them into ONNX metadata: a Python dictionary in text, `{0: 'one', 1: "two"}`, or a
//! list, `['one', 'two']`.

/// The most classes that a model may have, so that a damaged file cannot make the parser allocate more.
const MOST: usize = 1000;

/// Parses the metadata value. `None` if it is not of that form or its numbers have gaps.
pub(crate) fn parse(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let (body, keyed) = match (text.strip_prefix('{'), text.strip_prefix('[')) {
        (Some(body), _) => (body.strip_suffix('}')?, true),
        (_, Some(body)) => (body.strip_suffix(']')?, false),
        _ => return None,
    };
    let mut names = Vec::new();
    let mut rest = body.trim();
    while !rest.is_empty() && names.len() < MOST {
        if keyed {
            let (key, after) = rest.split_once(':')?;
            if key.trim().parse::<usize>().ok()? != names.len() {
                return None;
            }
            rest = after.trim_start();
        }
        let (name, after) = quoted(rest)?;
        names.push(name);
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    (rest.is_empty() && !names.is_empty()).then_some(names)
}

/// A Python string literal at the start of `text`, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            c if c == quote => return Some((name, &text[at + c.len_utf8()..])),
            c => name.push(c),
        }
    }
    None
}

/// Whether a model's classes are the ten numerals in their order, as those of our own models are. Unless the configuration
/// says otherwise, such a model gets a second size, a second look, and one reading for each place.
pub(crate) fn are_the_numerals(names: &[String]) -> bool {
    names == hanja_record::NUMERALS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_in_the_wild() {
        assert_eq!(parse("{0: '一', 1: '二'}").unwrap(), ["一", "二"]);
        assert_eq!(
            parse("['person', \"traffic light\"]").unwrap(),
            ["person", "traffic light"]
        );
        assert_eq!(
            parse(r"{0: 'it\'s', 1: 'a, b: {c}'}").unwrap(),
            ["it's", "a, b: {c}"]
        );
        for bad in [
            "", "{}", "{1: 'a'}", "{0: a}", "{0: 'a'", "['a' 'b", "names",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_survived(text in ".{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn round_trip(names in prop::collection::vec("[^'\\\\]{0,8}", 1..6)) {
            let text: Vec<_> = names.iter().enumerate().map(|(i, n)| format!("{i}: '{n}'")).collect();
            prop_assert_eq!(parse(&format!("{{{}}}", text.join(", "))), Some(names));
        }
    }
}
