//! The command line: which words are EAL's and which ours, what ours say, and what is done about it.

pub mod args;
