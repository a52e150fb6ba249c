//! Writes and reads a measurement's document. Its format is described in docs/schema/run.schema.json.

use std::io::{self, Write};

use serde::Deserialize;
use thiserror::Error;

use super::run::{Document, SCHEMA};

/// Why a document cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The text is no JSON, or has no `schema`.
    #[error("it is no document of this program: {0}")]
    NoDocument(serde_json::Error),
    /// Another format, or another version of it.
    #[error("its format is `{0}`, and only `{SCHEMA}` can be read")]
    Unknown(String),
    /// The format is ours, and something in it is not.
    #[error("it breaks its own format: {0}")]
    Broken(serde_json::Error),
}

/// Writes a document to be read by people and programs, with a line end behind it.
///
/// # Errors
/// `out` takes no more.
pub fn write(document: &Document, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, document)?;
    writeln!(out)?;
    out.flush()
}

/// Reads a document.
///
/// # Errors
/// It is none, or of an unknown format.
pub fn read(text: &[u8]) -> Result<Document, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let head: Head = serde_json::from_slice(text).map_err(ReadError::NoDocument)?;
    if head.schema != SCHEMA {
        return Err(ReadError::Unknown(head.schema));
    }
    serde_json::from_slice(text).map_err(ReadError::Broken)
}

#[cfg(test)]
#[path = "json/tests.rs"]
mod tests;
