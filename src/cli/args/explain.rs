//! What is wrong with a command line, in one sentence with the cause and the cure.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{COMMANDS, Exit, Program};

/// Wrong use: status 2, and one sentence that says what is wrong and what to do.
pub(super) fn wrong_use(sentence: &str) -> Exit {
    Exit { status: 2, text: format!("dpdk-tcp: {sentence}\n"), to_stdout: false }
}

pub(super) fn explain(error: &clap::Error, command: Option<&str>) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit { status: 0, text: error.to_string(), to_stdout: true };
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let argument = context(ContextKind::InvalidArg);
    // The option without what stands for its value, `--mtu <BYTES>`; or what stands for a word, `[TARGET]...`.
    let option = argument.split(' ').next().unwrap_or(argument);
    let option = option.trim_start_matches('[').trim_end_matches("...").trim_end_matches(']');
    let sentence = match error.kind() {
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("{option} {}: {reason}", context(ContextKind::InvalidValue))
        }
        ErrorKind::InvalidValue => format!("{option} needs a value, as in {}", argument.replace("...", "")),
        ErrorKind::ArgumentConflict if command == Some("bench") && argument.is_empty() => {
            "max-rate stands behind an option; write it right after bench".to_owned()
        }
        ErrorKind::ArgumentConflict => format!("{option} is given twice; leave one of the two out"),
        ErrorKind::UnknownArgument if COMMANDS.contains(&argument) => {
            format!("the command '{argument}' stands behind an option; write it first, right after `--`")
        }
        ErrorKind::UnknownArgument if !argument.starts_with('-') => {
            format!("'{argument}' is neither an option nor an option's value; leave it out")
        }
        ErrorKind::UnknownArgument => match (owners(option), context(ContextKind::SuggestedArg)) {
            (owners, _) if !owners.is_empty() => {
                format!(
                    "{option} is not an option of ours here, but of {}; leave it out",
                    list(&owners, "and")
                )
            }
            (_, "") => format!("{option} is not an option of ours; EAL's options stand before `--`"),
            (_, similar) => format!("{option} is not an option of ours; perhaps {similar} is meant"),
        },
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand);
            match command {
                Some(_) => format!("'{word}' is neither an option nor an option's value; leave it out"),
                None => {
                    format!(
                        "'{word}' is not a command; take {}, or write EAL's options before `--`",
                        list(COMMANDS, "or")
                    )
                }
            }
        }
        _ => {
            let words = error.to_string();
            let first = words.lines().next().unwrap_or_default().trim_start_matches("error: ");
            format!("{first}; `dpdk-tcp {} --help` lists the options", command.unwrap_or("serve"))
        }
    };
    wrong_use(&sentence)
}

/// The commands that have an option.
fn owners(option: &str) -> Vec<String> {
    let has = |command: &&clap::Command| {
        command
            .get_arguments()
            .any(|known| known.get_long().is_some() && known.get_long() == option.strip_prefix("--"))
    };
    Program::command().get_subcommands().filter(has).map(|command| command.get_name().to_owned()).collect()
}

/// Words as one lists them in a sentence.
fn list(words: &[impl AsRef<str>], before_last: &str) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} {before_last} {last}", others.join(", ")),
        None => String::new(),
    }
}
