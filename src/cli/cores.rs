//! The cores that EAL's options ask for, compared with the CPUs that are online, before EAL sees them: its own
//! answer is a hundred lines of usage. Pure; the text of `/sys/devices/system/cpu/online` is an argument.

use std::collections::BTreeSet;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use thiserror::Error;

use super::eal_args;

/// EAL numbers its lcores below this (RTE_MAX_LCORE of a usual build); `--lcores` may map any CPU to them.
const LCORES_MAX: u32 = 128;
/// No CPU has a number as large as this (CPU_SETSIZE).
const CPUS_MAX: u32 = 1_024;

/// Numbers of CPUs or lcores.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CpuSet(BTreeSet<u32>);

impl CpuSet {
    /// Reads a list such as `0-1,4`, as the kernel writes it.
    ///
    /// # Errors
    /// The text is not such a list.
    pub fn parse(text: &str) -> Result<CpuSet, CoreError> {
        let mut set = CpuSet::default();
        for part in text.trim().split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (number(first), number(last)) {
                (Some(first), Some(last)) => set.0.extend(first.min(last)..=first.max(last)),
                _ => {
                    return Err(CoreError::Unreadable {
                        option: "a list of CPUs",
                        text: text.trim().to_owned(),
                    });
                }
            }
        }
        Ok(set)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// Whether this one is among them.
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains(&id)
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<T: IntoIterator<Item = u32>>(ids: T) -> Self {
        CpuSet(ids.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    /// As the kernel writes it: `0-3,8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.0.iter().copied().peekable();
        let mut comma = "";
        while let Some(first) = ids.next() {
            let mut last = first;
            while let Some(next) = ids.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

/// The cores asked for: each lcore with the CPUs that it may run on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CoreRequest {
    /// In the order of their numbers.
    pub lcores: Vec<(u32, CpuSet)>,
}

/// A core list that is wrong in itself or for this machine. All are wrong use: exit status 2.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CoreError {
    /// The list cannot be read.
    #[error(
        "`{text}` cannot be read as {option}: write cores as in `-l 0-1`, `-c 0x3` or `--lcores '(0-3)@(0-1)'`"
    )]
    Unreadable {
        /// What was expected.
        option: &'static str,
        /// What was found.
        text: String,
    },
    /// More than one list.
    #[error("cores are given more than once (`{first}` and `{second}`): use one of -l, -c and --lcores")]
    Twice {
        /// The first option.
        first: &'static str,
        /// The second one.
        second: &'static str,
    },
    /// The same lcore has two places.
    #[error("lcore {0} is placed twice in `--lcores`: name each lcore once")]
    PlacedTwice(u32),
    /// The main lcore is none of the lcores.
    #[error("`--main-lcore {main}` is not among the lcores {lcores}: name one of them")]
    MainMissing {
        /// The main lcore asked for.
        main: u32,
        /// The lcores that there are.
        lcores: CpuSet,
    },
    /// CPUs that are not there.
    #[error(
        "the cores ask for {}, but only {} online: use `-l {offer}`, or let them share with `--lcores \
         '({lcores})@({online})'`",
        cpus(.absent),
        are(.online)
    )]
    Offline {
        /// CPUs that were asked for and are not there.
        absent: CpuSet,
        /// CPUs that are there.
        online: CpuSet,
        /// A list that would do.
        offer: CpuSet,
        /// The lcores asked for.
        lcores: CpuSet,
    },
    /// Numbers that EAL does not give to lcores.
    #[error(
        "lcore {id} is beyond EAL's {LCORES_MAX}: place a lower one on that CPU, as in `--lcores '0@{id}'`"
    )]
    TooLarge {
        /// The lcore's number.
        id: u32,
    },
}

fn cpus(set: &CpuSet) -> String {
    if set.len() == 1 { format!("CPU {set}") } else { format!("CPUs {set}") }
}

fn are(set: &CpuSet) -> String {
    if set.len() == 1 { format!("CPU {set} is") } else { format!("CPUs {set} are") }
}

/// The cores that EAL's options ask for; `None` when they say nothing, in which case EAL takes one lcore for each
/// CPU that the process may run on.
///
/// # Errors
/// The options cannot be read, contradict each other, or name a main lcore that is none.
pub fn request(eal: &[String]) -> Result<Option<CoreRequest>, CoreError> {
    let mut found: Option<(&'static str, CoreRequest)> = None;
    let mut main = None;
    for (name, value) in eal_args::options(eal) {
        let value = value.unwrap_or_default();
        let (option, request) = match name {
            "l" | "corelist" => ("-l", core_list(value)?),
            "c" | "coremask" => ("-c", mask(value)?),
            "lcores" => ("--lcores", placed(value, "--lcores")?),
            "main-lcore" => {
                let unreadable = CoreError::Unreadable { option: "--main-lcore", text: value.to_owned() };
                main = Some(number(value).ok_or(unreadable)?);
                continue;
            }
            _ => continue,
        };
        if let Some((first, _)) = found {
            return Err(CoreError::Twice { first, second: option });
        }
        found = Some((option, request));
    }
    let Some((_, request)) = found else { return Ok(None) };
    if let Some(main) = main.filter(|main| !request.lcores.iter().any(|(id, _)| id == main)) {
        return Err(CoreError::MainMissing { main, lcores: request.lcore_ids() });
    }
    Ok(Some(request))
}

impl CoreRequest {
    /// The lcores' numbers.
    pub fn lcore_ids(&self) -> CpuSet {
        self.lcores.iter().map(|(id, _)| *id).collect()
    }

    /// All CPUs that lcores may run on.
    pub fn cpus(&self) -> CpuSet {
        self.lcores.iter().flat_map(|(_, cpus)| cpus.0.iter().copied()).collect()
    }

    /// Compares what is asked for with the CPUs that are online.
    ///
    /// # Errors
    /// CPUs that are not online, or lcores beyond EAL's limit.
    pub fn check(&self, online: &CpuSet) -> Result<(), CoreError> {
        let absent: CpuSet = self.cpus().0.difference(&online.0).copied().collect();
        if !absent.is_empty() {
            // As many as were asked for, of those that are there.
            let offer = online.0.iter().copied().take(self.lcores.len()).collect();
            let error =
                CoreError::Offline { absent, online: online.clone(), offer, lcores: self.lcore_ids() };
            return Err(error);
        }
        match self.lcores.iter().find(|(id, _)| *id >= LCORES_MAX) {
            Some((id, _)) => Err(CoreError::TooLarge { id: *id }),
            None => Ok(()),
        }
    }

    /// Each lcore on the CPU of its own number.
    fn one_to_one(ids: impl IntoIterator<Item = u32>) -> CoreRequest {
        CoreRequest { lcores: ids.into_iter().map(|id| (id, CpuSet::from_iter([id]))).collect() }
    }
}

/// The value of `-l`. Later releases of EAL read it as `--lcores`, of which a plain list is a part.
fn core_list(text: &str) -> Result<CoreRequest, CoreError> {
    if text.contains(['@', '(']) {
        return placed(text, "-l");
    }
    let unreadable = |_| CoreError::Unreadable { option: "-l", text: text.to_owned() };
    CpuSet::parse(text).map(|set| CoreRequest::one_to_one(set.0)).map_err(unreadable)
}

/// The value of `-c`: hexadecimal digits, the last of which stands for CPUs 0 to 3.
fn mask(text: &str) -> Result<CoreRequest, CoreError> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).unwrap_or(digits);
    let mut ids = Vec::new();
    for (place, digit) in digits.chars().rev().enumerate() {
        let Some(bits) = digit.to_digit(16).filter(|_| place < CPUS_MAX as usize / 4) else {
            return Err(CoreError::Unreadable { option: "-c", text: text.to_owned() });
        };
        ids.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| place as u32 * 4 + bit));
    }
    if ids.is_empty() {
        return Err(CoreError::Unreadable { option: "-c", text: text.to_owned() });
    }
    Ok(CoreRequest::one_to_one(ids))
}

/// The value of `--lcores`: groups `lcores[@cpus]`, parted by commas. Each side is a number, a range or a list of
/// both in parentheses. Without CPUs, lcores in parentheses share the CPUs of their own numbers, and others have
/// one each.
fn placed(text: &str, option: &'static str) -> Result<CoreRequest, CoreError> {
    let unreadable = || CoreError::Unreadable { option, text: text.to_owned() };
    let compact: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let mut letters = compact.chars().peekable();
    let mut request = CoreRequest::default();
    loop {
        let (ids, in_parentheses) = group(&mut letters).ok_or_else(unreadable)?;
        let shared = match letters.next_if_eq(&'@') {
            Some(_) => Some(group(&mut letters).ok_or_else(unreadable)?.0),
            None => in_parentheses.then(|| ids.clone()),
        };
        for id in ids.0 {
            if request.lcores.iter().any(|(other, _)| *other == id) {
                return Err(CoreError::PlacedTwice(id));
            }
            request.lcores.push((id, shared.clone().unwrap_or_else(|| CpuSet::from_iter([id]))));
        }
        match letters.next() {
            None => break,
            Some(',') => {}
            Some(_) => return Err(unreadable()),
        }
    }
    request.lcores.sort_unstable_by_key(|(id, _)| *id);
    Ok(request)
}

/// One side of a group, and whether it stood in parentheses.
fn group(letters: &mut Peekable<Chars<'_>>) -> Option<(CpuSet, bool)> {
    let in_parentheses = letters.next_if_eq(&'(').is_some();
    let mut list = String::new();
    while let Some(letter) = letters
        .next_if(|letter| letter.is_ascii_digit() || *letter == '-' || (in_parentheses && *letter == ','))
    {
        list.push(letter);
    }
    if in_parentheses {
        letters.next_if_eq(&')')?;
    }
    CpuSet::parse(&list).ok().map(|set| (set, in_parentheses))
}

fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|id| *id < CPUS_MAX)
}

#[cfg(test)]
mod tests;
