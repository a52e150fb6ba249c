//! The words of `compare`.

use std::path::PathBuf;

use clap::Args;

use crate::config::compare::{self, CompareOptions};
use crate::config::{ConfigError, output};

#[derive(Args)]
pub(super) struct CompareArgs {
    #[arg(value_name = "FILE", value_parser = output::file)]
    #[arg(help = "Two results of --json: what to compare with, and what is judged")]
    files: Vec<PathBuf>,

    #[arg(long, value_name = "PERCENT", default_value = "95%", value_parser = compare::confidence)]
    #[arg(help = "Confidence of the intervals, 50% to 99.99%")]
    confidence: f64,

    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = compare::threshold)]
    #[arg(help = "End with status 1 where something became worse by more than\n\
                  this")]
    threshold: f64,
}

impl CompareArgs {
    pub(super) fn checked(self) -> Result<CompareOptions, ConfigError> {
        let count = self.files.len();
        let [before, after] =
            <[PathBuf; 2]>::try_from(self.files).map_err(|_| ConfigError::TwoFiles(count))?;
        Ok(CompareOptions { before, after, confidence: self.confidence, threshold: self.threshold })
    }
}
