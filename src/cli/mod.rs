//! Commands of the executable.

pub mod worker;

pub fn main() -> std::process::ExitCode {
    if std::env::args().skip(1).eq(["worker", "capture"]) {
        return worker::main();
    }
    std::process::ExitCode::SUCCESS
}
