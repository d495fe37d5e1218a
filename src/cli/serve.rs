//! `siaran serve`: settles the settings, starts the log, runs the program until it is told to stop.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, FromArgMatches};
use tracing_subscriber::EnvFilter;

use crate::base::config::{self, Config, Layer, SETTINGS};

/// The flags, read as texts: [`config::load`] understands them, and the environment and the file, in the same way.
#[derive(Debug, Default)]
pub struct Flags {
    file: Option<PathBuf>,
    settings: Layer,
}

/// Runs until SIGTERM or SIGINT. Exit 0 after an orderly stop, 1 when it could not serve, 2 for a setting it cannot use.
pub fn run(flags: &Flags) -> ExitCode {
    let config = match config::load(&flags.settings, flags.file.as_deref(), std::env::vars_os()) {
        Ok(config) => config,
        Err(error) => return super::usage(&error.to_string()),
    };
    start_log(&config);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("siaran: {error}");
            ExitCode::from(super::FAILED)
        }
    }
}

fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(crate::app::serve(config))?)
}

/// Stdout belongs to the line that says where we listen.
fn start_log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

impl clap::Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file =
            Arg::new("config").long("config").value_name("FILE").help("TOML file with the settings below as keys");
        let settings = SETTINGS.iter().map(|setting| {
            let environment = setting.variable();
            Arg::new(setting.flag)
                .long(setting.flag)
                .value_name(setting.value_name)
                .help(format!("{} [env: {environment}]", setting.help))
        });
        command.arg(file.value_parser(clap::value_parser!(PathBuf))).args(settings)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        if let Some(file) = matches.get_one::<PathBuf>("config") {
            self.file = Some(file.clone());
        }
        for setting in SETTINGS {
            if let Some(text) = matches.get_one::<String>(setting.flag) {
                self.settings.insert(setting.flag, text.clone());
            }
        }
        Ok(())
    }
}
