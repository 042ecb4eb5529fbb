//! Configuration: a TOML file whose every key mirrors a command-line flag. Unknown keys are refused with the nearest
//! valid one. The same text hands a configuration to another process of this executable: [`Config::to_toml`].

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// All settings, with their defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `log`: what is logged, see `--log`; none: `info`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// `[capture]`
    pub capture: CaptureConfig,
    /// `[infer]`
    pub infer: InferConfig,
    /// `[render]`
    pub render: RenderConfig,
}

/// Settings of capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaptureConfig {
    /// Source URI: `v4l2:…`, `dir:…`, `file:…`, `y4m:-`, `synth:…`; `auto`: the first camera. While there is none,
    /// `hanja capture` waits for one; `hanja run` shows `synth:`.
    pub source: String,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            source: "auto".into(),
        }
    }
}

/// Settings of infer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InferConfig {
    /// ONNX file, or the name of a model inside the executable; none: the narrow one of those, `hanja-pico`.
    #[serde(with = "path")]
    pub model: Option<PathBuf>,
    /// `auto`, `tensorrt`, `onnxruntime` or `rten`.
    pub backend: String,
    /// Least score of a detection, 0 to 1. Not given: see [`least_score`](Self::least_score).
    pub conf: Option<f32>,
    /// Overlap above which the weaker of two boxes of one class is dropped, 0 to 1.
    pub iou: f32,
    /// Whether a box is dropped for a better one of another class too. Not given: with the ten numerals, of which no two
    /// lie in one place, yes; with other classes no.
    pub agnostic: Option<bool>,
    /// Long side of the model's input in pixels, a multiple of 32.
    pub size: u32,
    /// Long side of a second, smaller input for characters that fill the frame, pixels; 0: none. Not given: with the ten
    /// numerals 128, if `size` is twice that; with other classes none. In a TensorRT engine it is a third of `size`,
    /// whatever is given but 0.
    pub coarse_size: Option<u32>,
    /// Whether what was found is looked at again, one by one, by a second network. It knows the ten numerals; other
    /// classes are not verified.
    pub verify: bool,
    /// Threads of the CPU backend; none: all cores.
    pub threads: Option<usize>,
    /// A TensorRT engine that is ready, made by `trtexec` or `hanja engine build --out`; none: one from the cache.
    #[serde(with = "path")]
    pub engine: Option<PathBuf>,
    /// Directory of TensorRT engines; none: systemd's, else the user's cache directory.
    #[serde(with = "path")]
    pub engine_cache: Option<PathBuf>,
    /// What TensorRT computes with: `fp16` or `fp32`.
    pub precision: String,
}

impl InferConfig {
    /// Least score of a detection where none is given. A verified one says how often such boxes are right: three of four
    /// is where more is lost by inventions than by misses. One of a network alone says nothing of the kind; half is
    /// what such networks are used with.
    #[must_use]
    pub const fn least_score(verified: bool) -> f32 {
        if verified { 0.75 } else { 0.5 }
    }
}

impl Default for InferConfig {
    fn default() -> Self {
        Self {
            model: None,
            backend: "auto".into(),
            conf: None,
            iou: 0.45,
            agnostic: None,
            size: 416,
            coarse_size: None,
            verify: true,
            threads: None,
            engine: None,
            engine_cache: None,
            precision: "fp16".into(),
        }
    }
}

/// Settings of render.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RenderConfig {
    /// Address of the web view, or `off`.
    pub http: String,
    /// Secret that the web view asks for; made up and logged if the address is not loopback and none is set.
    pub token: Option<String>,
}

impl Default for RenderConfig {
    fn default() -> Self {
        Self {
            http: "127.0.0.1:8080".into(),
            token: None,
        }
    }
}

/// Why a configuration file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not readable.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A key nobody knows.
    #[error("{}: unknown key '{key}'{}; known here: {}", path.display(), hint(nearest), known.join(", "))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key with its table.
        key: String,
        /// The closest valid one.
        nearest: Option<String>,
        /// All valid ones.
        known: Vec<String>,
    },
    /// It cannot be written down.
    #[error("cannot hand the configuration on: {0}")]
    Write(#[from] toml::ser::Error),
    /// A number outside its range.
    #[error("{}: {key} = {value} is out of range: {range}", path.display())]
    Range {
        /// The file, or `command line`.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
}

/// The known word that a mistyped one most likely stands for, if any is near.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |word: &str| strsim::normalized_damerau_levenshtein(word, wrong);
    let best = known
        .into_iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.filter(|word| likeness(word) >= 0.5)
}

fn hint(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map_or_else(String::new, |n| format!(", did you mean '{n}'?"))
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Each names the file and the key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config = Self::from_toml(text, path)?;
        config.check(path)?;
        Ok(config)
    }

    /// The whole of it, whatever keys there are, for [`from_toml`](Self::from_toml) in another process. It holds a
    /// secret.
    ///
    /// # Errors
    /// [`ConfigError::Write`].
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        Ok(toml::to_string(self)?)
    }

    /// Reads what [`to_toml`](Self::to_toml) wrote: keys and types are checked, values are not. `path` is named in errors.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] and [`ConfigError::UnknownKey`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let syntax = |e: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: e.to_string().trim_end().replace('\n', " "),
        };
        let table: toml::Table = text.parse().map_err(syntax)?;
        check_keys(&table, path)?;
        table.try_into().map_err(syntax)
    }

    /// What a stage can be set to, by key: its own table, and `log`. In a fixed order.
    #[must_use]
    pub fn settings(&self, table: &str) -> Vec<Setting> {
        let log = self.log.as_deref().unwrap_or("info").to_owned();
        let mut all = vec![Setting {
            key: "log".into(),
            value: Value(log),
        }];
        let own = toml::Table::try_from(self).ok();
        let own = own.as_ref().and_then(|all| all.get(table)?.as_table());
        let keys = TABLES.iter().find(|(name, _)| *name == table);
        for key in keys.map_or(&[][..], |(_, keys)| keys) {
            let value = own.and_then(|own| own.get(*key));
            all.push(Setting {
                key: format!("{table}.{key}"),
                value: Value(match value {
                    None => "the default".to_owned(),
                    // These are f32 in truth.
                    Some(toml::Value::Float(f)) => (*f as f32).to_string(),
                    // A path that is not UTF-8, see `path`.
                    Some(toml::Value::Array(bytes)) => format!("{:?}", path::from_bytes(bytes)),
                    Some(value) => value.to_string(),
                }),
            });
        }
        all
    }

    /// Checks ranges; `path` is named in the error.
    ///
    /// # Errors
    /// [`ConfigError::Range`].
    pub fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let range = |key, value: String, range| {
            Err(ConfigError::Range {
                path: path.to_owned(),
                key,
                value,
                range,
            })
        };
        if let Some(Err(reason)) = self.log.as_deref().map(crate::logging::check_filter) {
            return Err(ConfigError::Syntax {
                path: path.to_owned(),
                message: reason.to_string(),
            });
        }
        let i = &self.infer;
        if let Some(conf) = i.conf.filter(|c| !(*c > 0.0 && *c < 1.0)) {
            return range("infer.conf", conf.to_string(), "between 0 and 1");
        }
        if !(i.iou > 0.0 && i.iou <= 1.0) {
            return range("infer.iou", i.iou.to_string(), "above 0, at most 1");
        }
        if !i.size.is_multiple_of(32) || !(64..=4096).contains(&i.size) {
            return range(
                "infer.size",
                i.size.to_string(),
                "a multiple of 32 from 64 to 4096",
            );
        }
        if i.coarse_size
            .is_some_and(|s| s != 0 && !(32..=i.size).contains(&s))
        {
            return range(
                "infer.coarse_size",
                format!("{}", i.coarse_size.unwrap_or(0)),
                "0, or from 32 to infer.size",
            );
        }
        if i.threads.is_some_and(|t| !(1..=256).contains(&t)) {
            return range("infer.threads", format!("{:?}", i.threads), "1 to 256");
        }
        if !matches!(i.precision.as_str(), "fp16" | "fp32") {
            return range("infer.precision", i.precision.clone(), "fp16 or fp32");
        }
        Ok(())
    }
}

/// A path as a string; one that is not UTF-8, which a command line can name and TOML cannot, as an array of its bytes.
/// So a configuration holds every path that a flag can give.
mod path {
    use super::{OsString, PathBuf};
    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::fmt;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    pub(super) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match path.as_deref().map(|path| (path.to_str(), path)) {
            None => to.serialize_none(),
            Some((Some(text), _)) => to.serialize_some(text),
            Some((None, path)) => to.serialize_some(path.as_os_str().as_bytes()),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Written>::deserialize(from)?.map(|written| written.0))
    }

    struct Written(PathBuf);

    impl<'de> Deserialize<'de> for Written {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_any(Either).map(Self)
        }
    }

    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = PathBuf;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("path string")
        }

        fn visit_str<E>(self, text: &str) -> Result<PathBuf, E> {
            Ok(text.into())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<PathBuf, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = array.next_element()? {
                bytes.push(byte);
            }
            Ok(OsString::from_vec(bytes).into())
        }
    }

    /// As it stands in a table.
    pub(super) fn from_bytes(array: &[toml::Value]) -> PathBuf {
        let byte = |value: &toml::Value| value.as_integer().and_then(|n| u8::try_from(n).ok());
        let bytes = array.iter().filter_map(byte).collect();
        OsString::from_vec(bytes).into()
    }
}

/// One key and its value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// With its table, like `infer.conf`.
    pub key: String,
    value: Value,
}

/// Not shown in debug output: one of them is a secret.
#[derive(Clone, PartialEq, Eq)]
struct Value(String);

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl Setting {
    /// The value for a log: secrets are not shown.
    #[must_use]
    pub fn shown(&self) -> &str {
        if self.key == "render.token" {
            "a secret"
        } else {
            &self.value.0
        }
    }
}

/// Tables of the file and their keys. A test compares them with the structs.
const TABLES: [(&str, &[&str]); 3] = [
    ("capture", &["source"]),
    (
        "infer",
        &[
            "model",
            "backend",
            "conf",
            "iou",
            "agnostic",
            "size",
            "coarse_size",
            "verify",
            "threads",
            "engine",
            "engine_cache",
            "precision",
        ],
    ),
    ("render", &["http", "token"]),
];
/// Keys outside of any table.
const TOP: [&str; 1] = ["log"];

/// The valid keys are those of the defaults, so that they cannot get out of step with the structs.
fn check_keys(table: &toml::Table, path: &Path) -> Result<(), ConfigError> {
    let unknown = |key: String, wrong: &str, known: Vec<String>| {
        let nearest = nearest(wrong, known.iter().map(String::as_str)).map(str::to_owned);
        Err(ConfigError::UnknownKey {
            path: path.to_owned(),
            key,
            nearest,
            known,
        })
    };
    for (name, value) in table {
        if TOP.contains(&name.as_str()) {
            continue;
        }
        let Some((_, keys)) = TABLES.iter().find(|(t, _)| t == name) else {
            let known = TABLES.iter().map(|(t, _)| *t).chain(TOP);
            return unknown(name.clone(), name, known.map(str::to_owned).collect());
        };
        for key in value.as_table().into_iter().flat_map(toml::Table::keys) {
            if !keys.contains(&key.as_str()) {
                let known = keys.iter().map(|k| (*k).to_owned()).collect();
                return unknown(format!("{name}.{key}"), key, known);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("hanja.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_and_partial_files() {
        assert_eq!(parse("").unwrap(), Config::default());
        let c = parse("[infer]\nconf = 0.5\n[render]\nhttp = \"off\"").unwrap();
        assert_eq!(
            (c.infer.conf, c.infer.size, c.render.http.as_str()),
            (Some(0.5), 416, "off")
        );
    }

    /// Of a struct, all fields (the compiler sees to it that none is left out) with values that are not the defaults.
    macro_rules! unlike_the_default {
        ($name:ident { $($field:ident: $value:expr),* $(,)? }) => {{
            let (all, default) = ($name { $($field: $value),* }, $name::default());
            $(assert_ne!(all.$field, default.$field, stringify!($field));)*
            all
        }};
    }

    /// Every key set.
    fn whole() -> Config {
        unlike_the_default!(Config {
            log: Some("debug".into()),
            capture: unlike_the_default!(CaptureConfig {
                source: "dir:/a \"b\"\n[render]\nhttp = 'off'?fps=30".into(),
            }),
            infer: unlike_the_default!(InferConfig {
                model: Some("m.onnx".into()),
                backend: "rten".into(),
                conf: Some(0.3),
                iou: 0.1,
                agnostic: Some(false),
                size: 320,
                coarse_size: Some(0),
                verify: false,
                threads: Some(2),
                engine: Some("m.engine".into()),
                engine_cache: Some("/var/cache/engines".into()),
                precision: "fp32".into(),
            }),
            render: unlike_the_default!(RenderConfig {
                http: "off".into(),
                token: Some("t".into()),
            }),
        })
    }

    /// A new key cannot be left out here, and fails this test if it does not come out of the text as it went in.
    #[test]
    fn every_key_survives_being_handed_on() {
        let config = whole();
        let text = config.to_toml().unwrap();
        let back = Config::from_toml(&text, Path::new("x")).unwrap();
        assert_eq!(back, config);
        assert_eq!(parse(&text).unwrap(), config, "and a file may hold it");
        // By its key, as SIGHUP sees it; no key is in the text that `TABLES` does not have, and the other way round.
        let written: toml::Table = text.parse().unwrap();
        assert_eq!(written.len(), TABLES.len() + TOP.len());
        for (table, keys) in TABLES {
            let mut found: Vec<_> = written[table].as_table().unwrap().keys().collect();
            let mut keys = keys.to_vec();
            found.sort_unstable();
            keys.sort_unstable();
            assert_eq!(found, keys, "[{table}]");
            assert_eq!(back.settings(table), config.settings(table));
            let defaults = Config::default().settings(table);
            for (set, default) in config.settings(table).iter().zip(&defaults) {
                assert_ne!(set, default);
            }
        }
    }

    #[test]
    fn a_path_that_is_not_utf_8_is_a_path_like_others() {
        use std::os::unix::ffi::OsStringExt;
        let mut config = whole();
        let odd = PathBuf::from(OsString::from_vec(b"/m/\xff\0.onnx".to_vec()));
        for path in [
            &mut config.infer.model,
            &mut config.infer.engine,
            &mut config.infer.engine_cache,
        ] {
            *path = Some(odd.clone());
        }
        let text = config.to_toml().unwrap();
        assert_eq!(Config::from_toml(&text, Path::new("x")).unwrap(), config);
        let model = &config.settings("infer")[1];
        assert_eq!(model.shown(), format!("{odd:?}"));
        assert_ne!(config.settings("infer"), whole().settings("infer"));
        let e = parse("[infer]\nmodel = 3").unwrap_err();
        assert!(e.contains("integer `3`, expected path string"), "{e}");
    }

    #[test]
    fn settings_differ_where_the_configuration_does() {
        let (old, new) = (
            parse("").unwrap(),
            parse("log = \"warn\"\n[infer]\nconf = 0.25\nmodel = \"hanja-n\"\n[render]\ntoken = \"x\"").unwrap(),
        );
        let changed = |table| {
            let pairs = old.settings(table).into_iter().zip(new.settings(table));
            let changed = pairs.filter(|(a, b)| a != b);
            changed
                .map(|(a, b)| format!("{} {} {}", b.key, a.shown(), b.shown()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            changed("infer"),
            [
                "log info warn",
                "infer.model the default \"hanja-n\"",
                "infer.conf the default 0.25"
            ]
        );
        assert_eq!(
            changed("render"),
            ["log info warn", "render.token a secret a secret"]
        );
        assert_eq!(changed("capture"), ["log info warn"]);
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let e = parse("[infer]\ncnof = 0.5").unwrap_err();
        assert!(
            e.contains("hanja.toml: unknown key 'infer.cnof', did you mean 'conf'?"),
            "{e}"
        );
        let e = parse("[rendr]\nhttp = \"off\"").unwrap_err();
        assert!(e.contains("did you mean 'render'?"), "{e}");
        let e = parse("zzz = 1").unwrap_err();
        assert!(
            !e.contains("did you mean") && e.contains("capture, infer, render"),
            "{e}"
        );
    }

    #[test]
    fn bad_values_are_refused_in_one_line() {
        for text in [
            "[infer]\nconf = 2.0",
            "[infer]\nsize = 100",
            "[infer]\ncoarse_size = 16",
            "[infer]\ncoarse_size = 640",
            "[infer]\nverify = 1",
            "[infer]\nprecision = \"fp8\"",
            "[infer]\nconf = \"a\"",
            "[infer",
            "infer = 3",
            "log = \"hanja_infer=loud\"",
        ] {
            let e = parse(text).unwrap_err();
            assert!(e.starts_with("hanja.toml: ") && !e.contains('\n'), "{e}");
        }
    }
}
