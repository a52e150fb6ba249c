//! A load in stages, from a file in TOML: `[[stage]]` tables whose keys are the options' own names, `rate`,
//! `concurrency`, `ramp` and `duration`, written as those are, or as plain numbers. An error names file and line.

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::serve;
use super::shape::{self, DURATION_DEFAULT, nanoseconds};
use crate::load::schedule::Stage;

/// What is wrong with a file of stages, and where.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{file}, line {line}: {what}")]
pub struct StageError {
    /// The file's name.
    file: String,
    /// The line, from 1.
    line: usize,
    /// One sentence.
    what: String,
}

/// A file that is being read.
#[derive(Clone, Copy)]
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

/// Reads the stages in the text of a file; `name` is for errors. What a stage leaves out is as with the options:
/// no ramp, and ten seconds.
///
/// # Errors
/// Not TOML, an unknown key, a value out of range, a stage without a level, or no stage at all.
pub fn read(name: &str, text: &str) -> Result<Vec<Stage>, ConfigError> {
    let file = File { name, text };
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.message().lines().next().unwrap_or_default();
        let at = error.span().map_or(0, |span| span.start);
        file.wrong(at, format!("this is not TOML ({line}); write strings in quotes, as in rate = \"10k\""))
    })?;
    let mut stages = Vec::new();
    for (key, value) in table.get_ref() {
        let tables = value.get_ref().as_array().filter(|_| key.get_ref() == "stage");
        let Some(tables) = tables else {
            let what = format!("'{}' means nothing here; begin each stage with [[stage]]", key.get_ref());
            return Err(file.wrong(key.span().start, what));
        };
        for table in tables.iter() {
            stages.push(file.stage(table)?);
        }
    }
    if stages.is_empty() {
        return Err(file.wrong(0, "there is no stage; begin each one with [[stage]]".to_owned()));
    }
    Ok(stages)
}

impl File<'_> {
    fn wrong(self, at: usize, what: String) -> ConfigError {
        let line = 1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        StageError { file: self.name.to_owned(), line, what }.into()
    }

    fn stage(self, value: &Spanned<DeValue<'_>>) -> Result<Stage, ConfigError> {
        let at = value.span().start;
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.wrong(at, "this is not a stage; begin each one with [[stage]]".to_owned()));
        };
        let mut stage = Stage { duration_ns: nanoseconds(DURATION_DEFAULT), ..Stage::default() };
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let number = self.number(name, value)?;
            let read = match name {
                "rate" => shape::rate(&number).map(|rate| stage.rate = Some(rate)),
                "concurrency" => shape::concurrency(&number).map(|level| stage.concurrency = Some(level)),
                "ramp" => shape::ramp(&number).map(|ramp| stage.ramp_ns = nanoseconds(ramp)),
                "duration" => serve::duration(&number).map(|time| stage.duration_ns = nanoseconds(time)),
                _ => {
                    let what = format!("'{name}' is not a stage's; take rate, concurrency, ramp or duration");
                    return Err(self.wrong(at, what));
                }
            };
            read.map_err(|error| self.wrong(at, format!("{name} {number}: {error}")))?;
        }
        if stage.rate.is_none() && stage.concurrency.is_none() {
            return Err(self.wrong(at, "this stage has no level; give it a rate or a concurrency".to_owned()));
        }
        Ok(stage)
    }

    /// A value as it would be written on the command line.
    fn number(self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, ConfigError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
            DeValue::Float(number) => Ok(number.as_str().to_owned()),
            _ => {
                let what = format!("{name} is neither a number nor a string; write it like {name} = \"10\"");
                Err(self.wrong(value.span().start, what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, line: usize, part: &str) {
        let error = read("load.toml", text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("load.toml, line {line}: ")) && error.contains(part), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn stages_are_read_in_their_order_in_the_options_notations() {
        let text = "\
# up, and down again
[[stage]]
rate = \"1.5k\"
ramp = \"500ms\"

[[stage]]
rate = 0.5
concurrency = 1_000
duration = 2.5
";
        let second = 1_000_000_000;
        let first =
            Stage { rate: Some(1_500.0), ramp_ns: second / 2, duration_ns: 10 * second, concurrency: None };
        let last =
            Stage { rate: Some(0.5), concurrency: Some(1_000), ramp_ns: 0, duration_ns: second * 5 / 2 };
        assert_eq!(read("load.toml", text), Ok(vec![first, last]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        refused("", 1, "there is no stage; begin each one with [[stage]]");
        refused("[[stage]]\nrate = 10k\n", 2, "this is not TOML");
        refused("[[stage]]\nrate = 1\n[[stages]]\nrate = 2\n", 3, "'stages' means nothing here");
        refused("[stage]\nrate = 1\n", 1, "'stage' means nothing here");
        refused("stage = [1]\n", 1, "this is not a stage");
        refused("[[stage]]\nrate = 1\nrates = 2\n", 3, "'rates' is not a stage's; take rate, concurrency,");
        refused("[[stage]]\nrate = 1\n\n[[stage]]\nramp = 1\n", 4, "this stage has no level");
        refused("[[stage]]\nrate = true\n", 2, "rate is neither a number nor a string");
        refused("[[stage]]\nrate = -1\n", 2, "rate -1: this is not a rate");
        refused("[[stage]]\nrate = 0x10\n", 2, "rate is neither");
        refused(
            "[[stage]]\nconcurrency = 0\n",
            2,
            "concurrency 0: the number of connections at a time must be",
        );
        refused(
            "[[stage]]\nrate = 1\nduration = \"0\"\n",
            3,
            "duration 0: the duration must be 1ms to 3650d",
        );
        refused("[[stage]]\nrate = 1\nrate = 2\n", 3, "duplicate key");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(\\[\\[stage\\]\\]\n|rate|ramp|=|[0-9.\"k\n]|.){0,24}") {
            let _ = read("load.toml", &text);
        }
    }
}
