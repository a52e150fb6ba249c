//! What is printed when a run begins.

use std::io::{self, Write};

/// The facts of a run.
pub(super) struct Banner {
    pub dpdk: String,
    pub ports: Vec<String>,
    pub cores: Vec<String>,
    pub memory: Vec<String>,
    /// What is served, or done: its subject and its line.
    pub last: (&'static str, String),
}

/// Prints the banner to stdout.
pub(super) fn print(banner: &Banner) {
    let mut text = format!("dpdk-tcp {} on {}\n", env!("CARGO_PKG_VERSION"), banner.dpdk);
    for (subject, lines) in [("port", &banner.ports), ("core", &banner.cores), ("memory", &banner.memory)] {
        for line in lines {
            text += &format!("  {subject:<9}{line}\n");
        }
    }
    text += &format!("  {:<9}{}\n", banner.last.0, banner.last.1);
    let mut out = io::stdout().lock();
    // Without a reader the run goes on.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
