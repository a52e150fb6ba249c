//! The command `compare`: reads two results, prints what differs, and ends with status 1 where the second is worse.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::{Failure, say};
use crate::config::compare::CompareOptions;
use crate::telemetry::compare::{Options, Verdict, compare};
use crate::telemetry::json;
use crate::telemetry::run::Document;

/// Runs the command.
///
/// # Errors
/// A file cannot be read or has nothing to compare (wrong use), or something became worse.
pub(super) fn run(options: &CompareOptions) -> Result<ExitCode, Failure> {
    let (before, after) = (read(&options.before)?, read(&options.after)?);
    let asked =
        Options { confidence: options.confidence, threshold: options.threshold, ..Options::default() };
    let comparison = compare(&before, &after, &asked).map_err(|error| {
        Failure::usage(format!("{} and {}: {error}", options.before.display(), options.after.display()))
    })?;
    say(&comparison.text(&asked));
    let worse = comparison.rows.iter().filter(|row| row.verdict == Verdict::Worse).count();
    match worse {
        0 => Ok(ExitCode::SUCCESS),
        n => Err(Failure::run(format!(
            "{n} of {} figures of {} are worse than those of {}",
            comparison.rows.len(),
            options.after.display(),
            options.before.display()
        ))),
    }
}

fn read(path: &Path) -> Result<Document, Failure> {
    let text = fs::read(path).map_err(|error| {
        Failure::usage(format!("{} cannot be read: {error}; name a file that --json wrote", path.display()))
    })?;
    json::read(&text).map_err(|error| {
        Failure::usage(format!("{}: {error}; name a file that --json wrote", path.display()))
    })
}
