//! Where results are written besides the terminal.

use std::path::PathBuf;

use super::ConfigError;

/// Files of results; each is made anew.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// `--csv`: a line a second.
    pub csv: Option<PathBuf>,
    /// `--json`: everything, by its schema.
    pub json: Option<PathBuf>,
    /// `--hdr-log`: latencies second by second, as an HdrHistogram log (V2).
    pub hdr_log: Option<PathBuf>,
}

impl Output {
    /// Whether there is any.
    pub fn is_wanted(&self) -> bool {
        self.csv.is_some() || self.json.is_some() || self.hdr_log.is_some()
    }

    /// Checks that no file would hold two results.
    ///
    /// # Errors
    /// Two options name one file.
    pub fn check(&self) -> Result<(), ConfigError> {
        let all = [("--csv", &self.csv), ("--json", &self.json), ("--hdr-log", &self.hdr_log)];
        for (n, (first, file)) in all.iter().enumerate() {
            let Some(file) = file else { continue };
            if let Some((second, _)) = all.iter().skip(n + 1).find(|(_, other)| other.as_ref() == Some(file))
            {
                return Err(ConfigError::SameFile { first, second, file: file.display().to_string() });
            }
        }
        Ok(())
    }
}

/// Reads a file's name.
///
/// # Errors
/// There is none.
pub fn file(text: &str) -> Result<PathBuf, ConfigError> {
    if text.is_empty() {
        return Err(ConfigError::Form { form: "a file's name", example: "run.json" });
    }
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_has_a_file_of_its_own() {
        let named = |name: &str| Some(PathBuf::from(name));
        let output = Output { csv: named("a"), json: named("b"), hdr_log: None };
        assert!(output.check().is_ok() && output.is_wanted() && !Output::default().is_wanted());
        let error = Output { hdr_log: named("b"), ..output }.check().unwrap_err().to_string();
        assert_eq!(error, "--json and --hdr-log both name b; give each a file of its own");
        assert_eq!(file("run.json"), Ok("run.json".into()));
        assert!(file("").unwrap_err().to_string().contains("not a file's name"));
    }
}
