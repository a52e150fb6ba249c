//! The command line's two parts: `dpdk-tcp [EAL options] [-- [COMMAND] [options]]`, the convention of DPDK's own
//! applications. Tells them apart and reads EAL's options as getopt_long would, so that an option's value is
//! never taken for a command. Pure: no option is acted upon here.

use thiserror::Error;

/// What was found on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Words {
    /// The first word is a command: all words are ours, and EAL gets no options.
    OursOnly(Vec<String>),
    /// What stands before `--`, and what stands behind it (nothing where there is no `--`).
    Split {
        /// EAL's options.
        eal: Vec<String>,
        /// Our command and its options.
        ours: Vec<String>,
    },
    /// Help was asked for, wherever EAL's options may stand.
    Help,
    /// The version was asked for, wherever EAL's options may stand.
    Version,
}

/// The words cannot be told apart. All are wrong use: exit status 2.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SplitError {
    /// A command among EAL's options.
    #[error("the command `{0}` stands among EAL's options and `--` is missing before it: write `-- {0}`")]
    CommandAmongEal(String),
    /// A word among EAL's options that is neither.
    #[error(
        "`{word}` is neither an EAL option nor a command: the commands are {commands}, and after EAL's options they stand behind `--`"
    )]
    StrayWord {
        /// The word.
        word: String,
        /// Our commands.
        commands: String,
    },
    /// An option without the value that it needs.
    #[error("the EAL option `{0}` needs a value: give it one, as in `-l 0`")]
    ValueMissing(String),
    /// EAL refuses the two together, in words about a third option that nobody wrote.
    #[error(
        "`--no-huge` and `--in-memory` exclude one another: leave out `--in-memory`; with `--no-shconf` several programs run side by side"
    )]
    NoHugeInMemory,
}

/// Whether an option of EAL takes a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Takes {
    Nothing,
    /// In the same word after `=`, or the next word.
    Value,
    /// Only in the same word after `=`.
    OptionalValue,
}

use Takes::{Nothing, OptionalValue, Value};

/// EAL's short options (`rte_eal_init`, DPDK 22.11 to 25.11), and `V`, which is ours.
const SHORT: &[(char, Takes)] = &[
    ('a', Value),
    ('b', Value),
    ('c', Value),
    ('d', Value),
    ('h', Nothing),
    ('l', Value),
    ('m', Value),
    ('n', Value),
    ('r', Value),
    ('R', Nothing),
    ('s', Value),
    ('S', Value),
    ('v', Nothing),
    ('V', Nothing),
    ('w', Value),
];

/// EAL's long options, and `version`, which is ours.
const LONG: &[(&str, Takes)] = &[
    ("allow", Value),
    ("base-virtaddr", Value),
    ("block", Value),
    ("corelist", Value),
    ("coremask", Value),
    ("create-uio-dev", Nothing),
    ("driver-path", Value),
    ("file-prefix", Value),
    ("force-max-simd-bitwidth", Value),
    ("help", Nothing),
    ("huge-dir", Value),
    ("huge-unlink", OptionalValue),
    ("huge-worker-stack", OptionalValue),
    ("in-memory", Nothing),
    ("iova-mode", Value),
    ("lcores", Value),
    ("legacy-mem", Nothing),
    ("log-color", OptionalValue),
    ("log-level", Value),
    ("log-timestamp", OptionalValue),
    ("main-lcore", Value),
    ("match-allocations", Nothing),
    ("mbuf-pool-ops-name", Value),
    ("memory-channels", Value),
    ("memory-ranks", Value),
    ("memory-size", Value),
    ("no-hpet", Nothing),
    ("no-huge", Nothing),
    ("no-pci", Nothing),
    ("no-shconf", Nothing),
    ("no-telemetry", Nothing),
    ("proc-type", Value),
    ("remap-lcore-ids", OptionalValue),
    ("service-corelist", Value),
    ("service-coremask", Value),
    ("single-file-segments", Nothing),
    ("socket-limit", Value),
    ("socket-mem", Value),
    ("syslog", Value),
    ("telemetry", Nothing),
    ("trace", Value),
    ("trace-bufsz", Value),
    ("trace-dir", Value),
    ("trace-mode", Value),
    ("vdev", Value),
    ("version", Nothing),
    ("vfio-intr", Value),
    ("vfio-vf-token", Value),
    ("vmware-tsc-map", Nothing),
];

/// One of EAL's words, or two of them, understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Item<'a> {
    /// An option by its full name (one letter for short ones).
    Known { name: &'a str, value: Option<&'a str> },
    /// An option that no EAL known here has.
    Unknown,
    /// A word that may be the value of an unknown option before it.
    Unclear,
    /// A word that belongs to no option.
    Stray(&'a str),
    /// An option whose value is not there.
    Incomplete(&'a str),
}

/// The long option that these letters name: in full, or the beginning of exactly one.
fn long_option(letters: &str) -> Option<(&'static str, Takes)> {
    if let Some(exact) = LONG.iter().find(|(name, _)| *name == letters) {
        return Some(*exact);
    }
    let mut begun = LONG.iter().filter(|(name, _)| name.starts_with(letters));
    match (begun.next(), begun.next()) {
        (Some(only), None) => Some(*only),
        _ => None,
    }
}

/// Walks over EAL's words as getopt_long does, up to the end or `--`.
struct Walk<'a> {
    words: &'a [String],
    /// The next word.
    at: usize,
    /// The rest of a word of several short options, after the ones that were returned.
    cluster: &'a str,
    after_unknown: bool,
}

impl<'a> Walk<'a> {
    const fn new(words: &'a [String]) -> Self {
        Walk { words, at: 0, cluster: "", after_unknown: false }
    }

    /// The next word as a value; `--` is none, though getopt would take it: nobody means that.
    fn value(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).filter(|word| *word != "--")?;
        self.at += 1;
        Some(word)
    }

    fn short(&mut self) -> Option<Item<'a>> {
        let letter = self.cluster.chars().next()?;
        let (name, rest) = self.cluster.split_at(letter.len_utf8());
        self.cluster = rest;
        match SHORT.iter().find(|(known, _)| *known == letter) {
            Some((_, Nothing)) => Some(Item::Known { name, value: None }),
            Some(_) => {
                self.cluster = "";
                let value = if rest.is_empty() { self.value() } else { Some(rest) };
                Some(value.map_or(Item::Incomplete(name), |value| Item::Known { name, value: Some(value) }))
            }
            None => {
                self.cluster = "";
                self.after_unknown = rest.is_empty();
                Some(Item::Unknown)
            }
        }
    }

    fn long(&mut self, letters: &'a str) -> Item<'a> {
        let (letters, attached) = match letters.split_once('=') {
            Some((letters, value)) => (letters, Some(value)),
            None => (letters, None),
        };
        match (long_option(letters), attached) {
            (Some((name, Value)), None) => {
                let value = self.value();
                value.map_or(Item::Incomplete(name), |value| Item::Known { name, value: Some(value) })
            }
            (Some((name, _)), value) => Item::Known { name, value },
            (None, None) => {
                self.after_unknown = true;
                Item::Unknown
            }
            (None, Some(_)) => Item::Unknown,
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if let Some(item) = self.short() {
            return Some(item);
        }
        let word = self.words.get(self.at).filter(|word| *word != "--")?;
        self.at += 1;
        let after_unknown = std::mem::take(&mut self.after_unknown);
        if let Some(letters) = word.strip_prefix("--") {
            return Some(self.long(letters));
        }
        match word.strip_prefix('-') {
            Some(letters) if !letters.is_empty() => {
                self.cluster = letters;
                self.short()
            }
            _ if after_unknown => Some(Item::Unclear),
            _ => Some(Item::Stray(word)),
        }
    }
}

/// Tells the two parts of the command line (without the program's name) apart. `commands` are our commands.
///
/// # Errors
/// A command, or another word that is no option, stands among EAL's options; one of those lacks its value.
pub fn split(words: &[String], commands: &[&str]) -> Result<Words, SplitError> {
    if words.first().is_some_and(|first| commands.contains(&first.as_str())) {
        return Ok(Words::OursOnly(words.to_vec()));
    }
    let mut walk = Walk::new(words);
    let mut wrong = None;
    for item in walk.by_ref() {
        let error = match item {
            Item::Known { name: "help" | "h", .. } => return Ok(Words::Help),
            Item::Known { name: "version" | "V", .. } => return Ok(Words::Version),
            Item::Stray(word) if commands.contains(&word) => SplitError::CommandAmongEal(word.to_owned()),
            Item::Stray(word) => {
                SplitError::StrayWord { word: word.to_owned(), commands: commands.join(", ") }
            }
            Item::Incomplete(name) => SplitError::ValueMissing(written(name)),
            Item::Known { .. } | Item::Unknown | Item::Unclear => continue,
        };
        // Help asked for later on is still given.
        wrong.get_or_insert(error);
    }
    if let Some(error) = wrong {
        return Err(error);
    }
    let (eal, rest) = words.split_at(walk.at.min(words.len()));
    let given = options(eal);
    if ["no-huge", "in-memory"].iter().all(|wanted| given.iter().any(|(name, _)| name == wanted)) {
        return Err(SplitError::NoHugeInMemory);
    }
    let ours = rest.get(1..).unwrap_or_default();
    Ok(Words::Split { eal: eal.to_vec(), ours: ours.to_vec() })
}

/// The options among EAL's words that this program knows, by their full names (`l`, `lcores`, `vdev`), with
/// their values, in order.
pub fn options(eal: &[String]) -> Vec<(&str, Option<&str>)> {
    let known = |item| match item {
        Item::Known { name, value } => Some((name, value)),
        _ => None,
    };
    Walk::new(eal).filter_map(known).collect()
}

/// An option as it is written.
fn written(name: &str) -> String {
    if name.len() == 1 { format!("-{name}") } else { format!("--{name}") }
}

#[cfg(test)]
mod tests;
