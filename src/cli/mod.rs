//! Commands of the executable: what the command line means, and what its exit says.
//!
//! A command reads its flags here and calls one function of the floors below; nothing is done here itself.

mod account;
mod backup;
mod check;
mod fsck;
mod serve;
pub mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use crate::base::config::{self, printable};

/// A command that could not do its work.
const FAILED: u8 = 1;
/// A flag, a variable or a key that is not understood.
const USAGE: u8 = 2;

/// Live streaming and a video library for a small clinic.
#[derive(Debug, Parser)]
#[command(name = "siaran", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve pages, media and RTMP until told to stop
    Serve(serve::Flags),
    /// Accounts, without a browser and also while serve runs
    Account {
        #[command(subcommand)]
        command: account::AccountCommand,
        /// Directory of the whole state
        #[arg(long, global = true, value_name = "DIR")]
        data: Option<String>,
    },
    /// What this box has and lacks: cameras, microphones, encoders and their speed, disk, clock
    Check(check::Flags),
    /// Recordings against their index: exit 0 = clean, 1 = a line for each fault
    Fsck(fsck::Flags),
    /// Copy everything to another disk, also while serve runs; the next time only what is new
    Backup(backup::Flags),
    /// Bring a backup back, into a directory that does not exist yet
    Restore(backup::Flags),
    /// What serve starts for itself
    #[command(hide = true)]
    Worker {
        #[command(subcommand)]
        kind: WorkerKind,
    },
}

#[derive(Debug, Subcommand)]
enum WorkerKind {
    /// Capture, encode, cut into parts
    Capture,
    /// Read in one file, shut in
    Import,
    /// Make smaller renditions of a recording, shut in
    Ladder,
}

pub fn main() -> ExitCode {
    match parse(std::env::args_os()) {
        Ok(Cli { command }) => run(command),
        Err(error) => refuse(&error),
    }
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Serve(flags) => serve::run(&flags),
        Command::Account { command, data } => match config::data_directory(data.map(PathBuf::from)) {
            Ok(data) => account::run(command, &data),
            Err(error) => usage(&error.to_string()),
        },
        Command::Check(flags) => match config::data_directory(flags.data.map(PathBuf::from)) {
            Ok(data) => check::run(&data, flags.json),
            Err(error) => usage(&error.to_string()),
        },
        Command::Fsck(flags) => match config::data_directory(flags.data.clone().map(PathBuf::from)) {
            Ok(data) => fsck::run(&data, &flags),
            Err(error) => usage(&error.to_string()),
        },
        Command::Backup(backup::Flags { place, data }) => match config::data_directory(data.map(PathBuf::from)) {
            Ok(data) => backup::save(&data, &place),
            Err(error) => usage(&error.to_string()),
        },
        Command::Restore(backup::Flags { place, data }) => match config::data_directory(data.map(PathBuf::from)) {
            Ok(data) => backup::bring_back(&data, &place),
            Err(error) => usage(&error.to_string()),
        },
        Command::Worker { kind: WorkerKind::Capture } => worker::capture(),
        Command::Worker { kind: WorkerKind::Import } => worker::import(),
        Command::Worker { kind: WorkerKind::Ladder } => worker::ladder(),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// Help and version are answers, everything else is one line and exit 2.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has closed the pipe wants no more of it.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => usage(&one_line(error)),
    }
}

fn usage(message: &str) -> ExitCode {
    eprintln!("siaran: {message}");
    ExitCode::from(USAGE)
}

/// clap explains itself over several lines; the first paragraph names what is wrong.
fn one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return String::from("a command is missing; see siaran --help");
    }
    // Whoever types a secret in the wrong place should not find it in a log.
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(name))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        let name = name.split('=').next().unwrap_or_default();
        return format!("unexpected argument '{}'", printable(name));
    }
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &[&str]) -> String {
        let arguments = ["siaran"].iter().chain(arguments).map(OsString::from);
        let line = one_line(&parse(arguments).expect_err("refused"));
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    }

    #[test]
    fn the_commands_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn each_mistake_is_one_line_that_names_it() {
        assert!(refusal(&["serve", "--htp", "x"]).contains("'--htp'"));
        assert!(refusal(&["serve", "--htp=secret"]).contains("'--htp'"));
        assert!(!refusal(&["serve", "--htp=secret"]).contains("secret"));
        assert!(refusal(&["serve", "--http"]).contains("--http"));
        assert!(refusal(&["serve", "--http", "a", "--http", "b"]).contains("--http"));
        assert!(refusal(&["dance"]).contains("'dance'"));
        assert!(refusal(&["serve", "stray\nline"]).contains("stray"));
        assert!(refusal(&[]).contains("command"));
    }
}
