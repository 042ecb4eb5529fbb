//! Class names as exporters write them into ONNX metadata: the text of a Python dictionary, `{0: 'one', 1: "two"}`, or of a
//! list, `['one', 'two']`, as Python's `str()` gives it; JSON's objects and arrays are near enough to be read by the same
//! rules. Numbers, `True` and `None` are names as they stand there.
//!
//! By hand: the one crate for Python literals has had no release since 2021 and brings a parser generator and big numbers.

use std::collections::BTreeMap;

/// Most classes a model may have; a damaged file shall not make us allocate more.
const MOST: usize = 65_536;

/// Parses the metadata value. `None` if it is not of that form or its numbers have gaps.
pub(crate) fn parse(text: &str) -> Option<Vec<String>> {
    let mut reader = Reader(text.trim());
    let names = if reader.takes('{') {
        reader.dictionary()?
    } else if reader.takes('[') {
        reader.items(']')?
    } else if reader.takes('(') {
        reader.items(')')?
    } else {
        return None;
    };
    (reader.0.is_empty() && !names.is_empty()).then_some(names)
}

/// What has not been read yet; blanks before it are skipped by whoever looks for something.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    /// Takes `c` and the blanks before it, if it comes next.
    fn takes(&mut self, c: char) -> bool {
        let rest = self.0.trim_start();
        let found = rest.strip_prefix(c);
        self.0 = found.unwrap_or(rest);
        found.is_some()
    }

    /// After the opening bracket, up to and with the closing one: keys are the class numbers, in any order.
    fn dictionary(&mut self) -> Option<Vec<String>> {
        let mut names = BTreeMap::new();
        while !self.takes('}') {
            let key: usize = self.value()?.parse().ok()?;
            if !self.takes(':') || names.len() == MOST {
                return None;
            }
            names.insert(key, self.value()?);
            if !self.takes(',') && !self.0.starts_with('}') {
                return None;
            }
        }
        let complete = names
            .last_key_value()
            .is_none_or(|(last, _)| *last == names.len() - 1);
        complete.then(|| names.into_values().collect())
    }

    fn items(&mut self, close: char) -> Option<Vec<String>> {
        let mut names = Vec::new();
        while !self.takes(close) {
            if names.len() == MOST {
                return None;
            }
            names.push(self.value()?);
            if !self.takes(',') && !self.0.starts_with(close) {
                return None;
            }
        }
        Some(names)
    }

    /// A string, or a word or number as it stands.
    fn value(&mut self) -> Option<String> {
        self.0 = self.0.trim_start();
        let first = self.0.chars().next()?;
        if matches!(first, '\'' | '"') {
            return self.string(first);
        }
        let end = self
            .0
            .find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c)));
        let (word, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        let known = matches!(word, "True" | "False" | "None" | "true" | "false" | "null");
        (known || word.parse::<f64>().is_ok()).then(|| word.to_owned())
    }

    /// A string literal whose first character is `quote`.
    fn string(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.0.chars();
        chars.next();
        loop {
            match chars.next()? {
                '\\' => {
                    let (character, rest) = escape(chars.as_str())?;
                    text.extend(character);
                    chars = rest.chars();
                }
                c if c == quote => break,
                c => text.push(c),
            }
        }
        self.0 = chars.as_str();
        Some(text)
    }
}

/// What an escape stands for (nothing: a line that goes on), from the character after the backslash, and what follows it.
/// JSON's pairs of surrogates are one character.
fn escape(text: &str) -> Option<(Option<char>, &str)> {
    let kind = text.chars().next()?;
    let rest = &text[kind.len_utf8()..];
    let plain = |c: char| Some((Some(c), rest));
    match kind {
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'a' => plain('\u{7}'),
        'b' => plain('\u{8}'),
        'f' => plain('\u{c}'),
        'v' => plain('\u{b}'),
        '\n' => Some((None, rest)),
        '\\' | '\'' | '"' | '/' => plain(kind),
        'x' => digits(rest, 2, 16).and_then(character),
        'U' => digits(rest, 8, 16).and_then(character),
        'u' => {
            let (high, after) = digits(rest, 4, 16)?;
            if !(0xd800..0xdc00).contains(&high) {
                return character((high, after));
            }
            let (low, after) = digits(after.strip_prefix("\\u")?, 4, 16)?;
            let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            character((0x1_0000 + ((high - 0xd800) << 10) + low, after))
        }
        '0'..='7' => {
            let len = text
                .bytes()
                .take(3)
                .take_while(|b| (b'0'..=b'7').contains(b))
                .count();
            digits(text, len, 8).and_then(character)
        }
        // An unknown escape is two characters in Python, with a warning; nobody's str() writes one.
        _ => None,
    }
}

fn digits(text: &str, len: usize, radix: u32) -> Option<(u32, &str)> {
    let digits = text.get(..len)?;
    let hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let value = u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| hexadecimal)?;
    Some((value, &text[len..]))
}

fn character((code, rest): (u32, &str)) -> Option<(Option<char>, &str)> {
    Some((Some(char::from_u32(code)?), rest))
}

/// Whether a model's classes are the ten numerals in their order: ours, or one that somebody trained for the same. For
/// them there is a second size, a second look and one reading a place, where the configuration does not say otherwise.
pub(crate) fn are_the_numerals(names: &[String]) -> bool {
    names == hanja_record::NUMERALS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_in_the_wild() {
        for (text, names) in [
            ("{0: '一', 1: '二'}", ["一", "二"]),
            ("['person', \"traffic light\"]", ["person", "traffic light"]),
            ("('person', 'car',)", ["person", "car"]),
            (r"{0: 'it\'s', 1: 'a, b: {c}'}", ["it's", "a, b: {c}"]),
            (
                r"{0: '三\u3000十', 1: 'a\xa0b\t\u200d'}",
                ["三\u{3000}十", "a\u{a0}b\t\u{200d}"],
            ),
            (r"{0: '\U0001f600', 1: '\101\0'}", ["\u{1f600}", "A\0"]),
            (
                r#"{"0": "\ud83d\ude00", "1": "a\/b"}"#,
                ["\u{1f600}", "a/b"],
            ),
            ("{0: 2146, 1: 21008}", ["2146", "21008"]),
            ("{0: True, 1: -1.5e3}", ["True", "-1.5e3"]),
            ("{1: 'b', 0: None}", ["None", "b"]),
        ] {
            assert_eq!(
                parse(text).as_deref(),
                Some(names.map(String::from).as_slice()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_a_literal_is_none() {
        for bad in [
            "",
            "{}",
            "{1: 'a'}",
            "{0: a}",
            "{0: 'a'",
            "['a' 'b",
            "['a' 'b']",
            "names",
            "{0: 'a' 1: 'b'}",
            "{0 'a'}",
            r"{0: '\u00'}",
            r"{0: '\xg1'}",
            r"{0: '\x+1'}",
            r"{0: '\q'}",
            r"{0: '\ud83d'}",
            "{0: 'a'} b",
            "{-1: 'a'}",
            "{0: 'a', 2: 'b'}",
            "{0: {}}",
            "{18446744073709551615: 'a'}",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn as_many_as_there_may_be() {
        let text = |n: usize| format!("[{}]", "'x', ".repeat(n));
        assert_eq!(parse(&text(MOST)).map(|n| n.len()), Some(MOST));
        assert_eq!(parse(&text(MOST + 1)), None);
        let keyed = (0..MOST)
            .rev()
            .map(|i| format!("{i}: {i}, "))
            .collect::<String>();
        assert_eq!(parse(&format!("{{{keyed}}}")).unwrap()[1203], "1203");
    }

    proptest! {
        #[test]
        fn anything_is_survived(text in r#"[\[{('"\\:,0-9a-fuxU\]}) ]{0,80}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn round_trip(names in prop::collection::vec(any::<String>(), 1..6)) {
            let quoted = |name: &String| {
                let escaped = name.chars().map(|c| match c {
                    '\'' | '\\' => format!("\\{c}"),
                    c if c.is_control() => format!("\\U{:08x}", u32::from(c)),
                    c => c.into(),
                });
                escaped.collect::<String>()
            };
            let text: Vec<_> = names.iter().enumerate().map(|(i, n)| format!("{i}: '{}'", quoted(n))).collect();
            prop_assert_eq!(parse(&format!("{{{}}}", text.join(", "))), Some(names));
        }
    }
}
