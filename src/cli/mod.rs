//! Commands of the executable.

pub mod account;

pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
